//! The passages of one request, in order of the text, within the service's bounds.

use std::collections::{HashMap, VecDeque};

use domain::ports::{Chunk, RequestBounds};
use store::chunks::PendingChunk;

/// Requests of a round for each that may run at a time.
const REQUESTS_OF_ROUND: usize = 8;
/// The most passages of a round, which are in memory together.
const PASSAGES_OF_ROUND: usize = 2048;
/// How often a passage that the service refuses is cut to its first half.
const MAX_CUTS: u32 = 4;
/// Bytes of a token, for scripts whose letters the chunker does not count one by one.
const TOKEN_BYTES: usize = 4;

/// A text to buy, and the chunks that have it.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) chunks: Vec<PendingChunk>,
    pub(super) text: String,
    pub(super) tokens: usize,
    cuts: u32,
    /// Its vector was none before.
    pub(super) was_invalid: bool,
}

impl Passage {
    /// A request with this passage only, whose vector was none.
    pub(super) fn alone_again(self) -> Order {
        vec![Self { was_invalid: true, ..self }]
    }
}

/// The passages of one request.
pub(super) type Order = Vec<Passage>;

/// The passages that one round looks at.
pub(crate) fn round_size(bounds: RequestBounds) -> i64 {
    let passages = bounds.inputs.saturating_mul(bounds.in_flight).saturating_mul(REQUESTS_OF_ROUND);
    i64::try_from(passages.clamp(1, PASSAGES_OF_ROUND)).unwrap_or(i64::MAX)
}

/// Tokens of a text, at least as many as the chunker has counted.
pub(crate) fn reckoned_tokens(text: &str, counted: i32) -> usize {
    usize::try_from(counted).unwrap_or(0).max(text.len() / TOKEN_BYTES)
}

/// Puts chunks into requests, in order of the text. Equal texts are sent once.
pub(super) fn orders(pending: Vec<PendingChunk>, bounds: RequestBounds) -> VecDeque<Order> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for chunk in pending {
        if let Some(place) = places.get(&chunk.chunk_sha) {
            passages[*place].chunks.push(chunk);
            continue;
        }
        places.insert(chunk.chunk_sha.clone(), passages.len());
        let text = Chunk::embed_text(&chunk.heading, &chunk.text);
        let tokens = reckoned_tokens(&text, chunk.token_count);
        passages.push(Passage { chunks: vec![chunk], text, tokens, cuts: 0, was_invalid: false });
    }
    let most = bounds.most_tokens();
    let (mut orders, mut order, mut tokens) = (VecDeque::new(), Order::new(), 0);
    for passage in passages {
        if !order.is_empty() && (order.len() >= bounds.inputs || tokens + passage.tokens > most) {
            orders.push_back(std::mem::take(&mut order));
            tokens = 0;
        }
        tokens += passage.tokens;
        order.push(passage);
    }
    orders.extend((!order.is_empty()).then_some(order));
    orders
}

/// What may be taken of a refused request: its halves, or the first half of its only text. `None`: that was tried often
/// enough.
pub(super) fn smaller(mut order: Order) -> Option<Vec<Order>> {
    if order.len() > 1 {
        let second = order.split_off(order.len() / 2);
        return Some(vec![order, second]);
    }
    let mut passage = order.pop().filter(|passage| passage.cuts < MAX_CUTS)?;
    let kept = passage.text.chars().count().div_ceil(2);
    passage.text = passage.text.chars().take(kept).collect();
    passage.tokens = passage.tokens.div_ceil(2);
    passage.cuts += 1;
    Some(vec![vec![passage]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ChunkId;
    use uuid::Uuid;

    const BOUNDS: RequestBounds =
        RequestBounds { inputs: 3, tokens: 100, in_flight: 2, requests_per_minute: 0, tokens_per_minute: 0 };

    fn chunk(text: &str, token_count: i32) -> PendingChunk {
        PendingChunk {
            chunk_id: ChunkId(Uuid::new_v4()),
            heading: String::new(),
            text: text.to_owned(),
            chunk_sha: text.to_owned(),
            token_count,
        }
    }

    fn texts(orders: &VecDeque<Order>) -> Vec<Vec<&str>> {
        orders.iter().map(|order| order.iter().map(|passage| passage.text.as_str()).collect()).collect()
    }

    #[test]
    fn a_request_is_bounded_by_texts_and_by_tokens() {
        let pending = ["a", "b", "c", "d", "e"].map(|text| chunk(text, 10)).into();
        assert_eq!(texts(&orders(pending, BOUNDS)), [vec!["a", "b", "c"], vec!["d", "e"]]);
        let pending = vec![chunk("a", 60), chunk("b", 60), chunk("c", 250), chunk("d", 1)];
        assert_eq!(
            texts(&orders(pending, BOUNDS)),
            [["a"], ["b"], ["c"], ["d"]],
            "one text may be more than the bound"
        );
        let little = RequestBounds { tokens_per_minute: 15, ..BOUNDS };
        assert_eq!(
            orders(vec![chunk("a", 10), chunk("b", 10)], little).len(),
            2,
            "no request takes more than a minute has"
        );
    }

    #[test]
    fn tokens_are_counted_by_bytes_where_the_chunker_counts_too_few() {
        let orders = orders(vec![chunk(&"\u{1f600}".repeat(20), 1)], BOUNDS);
        assert_eq!(orders[0][0].tokens, 20);
    }

    #[test]
    fn equal_texts_are_sent_once() {
        let orders = orders(vec![chunk("a", 1), chunk("b", 1), chunk("a", 1)], BOUNDS);
        assert_eq!(texts(&orders), [["a", "b"]]);
        assert_eq!(orders[0][0].chunks.len(), 2);
    }

    #[test]
    fn what_is_refused_is_halved_until_one_text_is_left_and_that_is_cut_a_few_times() {
        let order: Order = orders(vec![chunk("a", 1), chunk("b", 1), chunk("c", 1)], BOUNDS).remove(0).unwrap();
        let halves = smaller(order).unwrap();
        assert_eq!(halves.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        let mut order = orders(vec![chunk(&"ü".repeat(64), 64)], BOUNDS).remove(0).unwrap();
        for left in [32, 16, 8, 4] {
            order = smaller(order).unwrap().remove(0);
            assert_eq!((order[0].text.chars().count(), order[0].tokens), (left, left));
        }
        assert!(smaller(order).is_none());
    }
}
