//! The embed step with a service that charges: sends passages in requests, several at a time, and commits the vectors of
//! each as its answer arrives.
//!
//! Doing it twice costs money, so a row is written before each request and ends with the commit of its vectors. What a
//! crash leaves open is recorded as uncertain by the next run, and only what has no vector is sent again.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Mutex;

use super::{
    Breaker, Pipeline,
    embed::{Embedding, check_vectors, progress},
    spend::stopped,
};
use domain::{
    ChunkId, Code, ErrorClass, Failure, Lease, Outcome, Status, StepError,
    money::CapReached,
    ports::{Bought, BuyFailed, Chunk, EmbedModel, EmbedService, RequestBounds},
};
use pg::DbError;
use store::{
    beside::insert_refused_texts,
    chunks::{PendingChunk, Place, save_vectors},
    embed_calls::{CallLost, Charged, EmbedCall, begin_embed_call, lose_embed_call},
    provider_rates::{Rates, Reserved, pause_requests, reserve_request},
};

/// How long a round begins requests. A job whose turn is over looks after each round whether others wait.
const ROUND: Duration = Duration::from_secs(1);
/// Requests of a round for each that may run at a time.
const REQUESTS_OF_ROUND: usize = 8;
/// The most passages of a round, which are in memory together.
const PASSAGES_OF_ROUND: usize = 2048;
/// How long a job keeps its slot for its place within the rates; one that has to wait longer is parked.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a passage that the service refuses is cut to its first half.
const MAX_CUTS: u32 = 4;
/// Bytes of a token, for scripts whose letters the chunker does not count one by one.
const TOKEN_BYTES: usize = 4;

/// A text to buy, and the chunks that have it.
#[derive(Debug)]
struct Passage {
    chunks: Vec<PendingChunk>,
    text: String,
    tokens: usize,
    cuts: u32,
}

/// The passages of one request.
type Order = Vec<Passage>;

/// Why a request brought no vectors.
enum NotBought {
    /// The service refuses these texts; nothing was charged.
    Refused(Order, Failure),
    /// There is no place within the rates, or the service asks to wait.
    Wait(Duration),
    /// A cap does not allow these texts.
    Capped(Order, CapReached),
    Failed(StepError),
}

impl From<DbError> for NotBought {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl NotBought {
    /// Of several ends of a round, the greatest decides: what stops this worker before what one job tries again.
    fn weight(&self) -> u8 {
        match self {
            Self::Failed(StepError::LeaseLost) => 3,
            Self::Failed(StepError::Failed(failure)) if failure.class == ErrorClass::Configuration => 2,
            Self::Failed(StepError::Failed(_)) => 1,
            Self::Refused(..) | Self::Wait(_) | Self::Capped(..) => 0,
        }
    }
}

/// The passages that one round looks at.
pub(super) fn round_size(bounds: RequestBounds) -> i64 {
    let passages = bounds.inputs.saturating_mul(bounds.in_flight).saturating_mul(REQUESTS_OF_ROUND);
    i64::try_from(passages.clamp(1, PASSAGES_OF_ROUND)).unwrap_or(i64::MAX)
}

/// Tokens of a text, at least as many as the chunker has counted.
pub(super) fn reckoned_tokens(text: &str, counted: i32) -> usize {
    usize::try_from(counted).unwrap_or(0).max(text.len() / TOKEN_BYTES)
}

/// Puts chunks into requests, in order of the text. Equal texts are sent once.
fn orders(pending: Vec<PendingChunk>, bounds: RequestBounds) -> VecDeque<Order> {
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
        passages.push(Passage { chunks: vec![chunk], text, tokens, cuts: 0 });
    }
    let most = match bounds.tokens_per_minute {
        0 => bounds.tokens,
        limit => bounds.tokens.min(limit as usize),
    };
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
fn smaller(mut order: Order) -> Option<Vec<Order>> {
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

impl Pipeline {
    /// What is remembered of the service whose vectors go there.
    fn breaker_of(&self, place: Place) -> &Breaker {
        match place {
            Place::Rows(_) => &self.breaker,
            Place::Beside => &self.beside_breaker,
        }
    }

    /// Buys vectors of `pending` for about a second. What was begun is waited for, since it is paid.
    pub(super) async fn buy_round(
        &self,
        service: &dyn EmbedService,
        model: &EmbedModel,
        work: (&Lease, Place),
        pending: Vec<PendingChunk>,
        at: &mut Embedding,
    ) -> Result<Outcome, StepError> {
        let bounds = service.bounds();
        let (began, mut orders, mut again) = (Instant::now(), orders(pending, bounds), Vec::new());
        let embedded = Mutex::new(at.embedded);
        let (mut running, mut end) = (FuturesUnordered::new(), None::<NotBought>);
        let mut in_flight = bounds.in_flight.max(1);
        loop {
            while end.is_none() && running.len() < in_flight {
                let fresh = || if began.elapsed() < ROUND { orders.pop_front() } else { None };
                let Some(order) = again.pop().or_else(fresh) else { break };
                running.push(self.buy(service, model, work, order, (at.chunks, &embedded)));
            }
            let Some(bought) = running.next().await else { break };
            let Err(mut not_bought) = bought else { continue };
            not_bought = match not_bought {
                // What the others have reserved is more than they cost, so there may be room once they are done.
                NotBought::Capped(order, _) if !running.is_empty() => {
                    in_flight = 1;
                    again.push(order);
                    continue;
                }
                other => other,
            };
            if let NotBought::Refused(order, refused) = not_bought {
                let chunks: Vec<ChunkId> =
                    order.iter().flat_map(|passage| &passage.chunks).map(|chunk| chunk.chunk_id).collect();
                match smaller(order) {
                    Some(parts) => {
                        again.extend(parts);
                        continue;
                    }
                    // A service that takes nothing at all is not the document's fault.
                    None => match (service.probe().await, work.1) {
                        (Ok(()), Place::Beside) => {
                            insert_refused_texts(&self.db, &chunks, refused.code.as_str()).await?;
                            continue;
                        }
                        (probed, _) => not_bought = NotBought::Failed(probed.err().unwrap_or(refused).into()),
                    },
                }
            }
            if end.as_ref().is_none_or(|end| end.weight() < not_bought.weight()) {
                end = Some(not_bought);
            }
        }
        drop(running);
        at.embedded = embedded.into_inner();
        match end {
            None => Ok(Outcome::Advanced(Status::EmbeddingInProgress)),
            Some(NotBought::Wait(delay)) => Ok(Outcome::Snooze { code: Code::WaitingForEmbedder, delay }),
            Some(NotBought::Capped(_, reached)) => stopped(&reached),
            Some(NotBought::Failed(error)) => Err(error),
            Some(NotBought::Refused(_, failure)) => Err(failure.into()),
        }
    }

    /// Sends one request when it is its turn, and commits what it brought.
    async fn buy(
        &self,
        service: &dyn EmbedService,
        model: &EmbedModel,
        (lease, place): (&Lease, Place),
        order: Order,
        (chunks, embedded): (Option<i64>, &Mutex<i64>),
    ) -> Result<(), NotBought> {
        let breaker = self.breaker_of(place);
        let (bounds, provider) = (service.bounds(), service.name());
        let rates = Rates { requests: bounds.requests_per_minute, tokens: bounds.tokens_per_minute };
        let tokens = order.iter().map(|passage| passage.tokens).sum();
        match reserve_request(&self.db, provider, rates, tokens, PATIENCE).await? {
            Reserved::After(wait) => {
                breaker.has_place();
                tokio::time::sleep(wait).await;
            }
            Reserved::Not(wait) => return Err(NotBought::Wait(breaker.wait(wait, fastrand::f64()))),
        }
        let price = self.money.price_of_tokens(&model.name).map_err(|failure| NotBought::Failed(failure.into()))?;
        let cost = price.map(|price| price.of_tokens(i64::try_from(tokens).unwrap_or(i64::MAX)));
        let call = EmbedCall { provider, model: &model.name, inputs: order.len(), tokens, cost };
        let begun = begin_embed_call(&self.db, lease, &self.money.caps, call).await?;
        let call_id = match begun {
            Ok(call_id) => call_id,
            Err(reached) => return Err(NotBought::Capped(order, reached)),
        };
        let texts: Vec<String> = order.iter().map(|passage| passage.text.clone()).collect();
        let answer =
            service.buy(&texts).await.and_then(|bought| match check_vectors(model, texts.len(), &bought.vectors) {
                Ok(()) => Ok(bought),
                Err(failure) => Err(BuyFailed { failure, uncertain: true, refuses_texts: false }),
            });
        let failed = match answer {
            Ok(Bought { vectors, tokens }) => {
                breaker.close();
                let chunks_of = |(passage, vector): (Passage, Vec<f32>)| {
                    passage.chunks.into_iter().map(move |chunk| (chunk, vector.clone()))
                };
                let batch: Vec<_> = order.into_iter().zip(vectors).flat_map(chunks_of).collect();
                let mut embedded = embedded.lock().await;
                let so_far = *embedded + i64::try_from(batch.len()).unwrap_or(0);
                let progress = progress(chunks, so_far);
                let charged = Charged { call_id, tokens, price };
                save_vectors(&self.db, lease.fence, place, model, &batch, Some(charged), &progress).await?;
                *embedded = so_far;
                return Ok(());
            }
            Err(failed) => failed,
        };
        let how = if failed.uncertain { CallLost::Uncertain } else { CallLost::Refused };
        lose_embed_call(&self.db, lease.fence, call_id, how).await?;
        if failed.refuses_texts {
            return Err(NotBought::Refused(order, failed.failure));
        }
        if failed.failure.code == Code::EmbedServiceBusy {
            let wait = failed.failure.retry_after.unwrap_or_default();
            tracing::info!(provider, wait_seconds = wait.as_secs_f64(), "the embedding service asks to wait");
            pause_requests(&self.db, provider, wait).await?;
            return Err(NotBought::Wait(breaker.wait(wait, fastrand::f64())));
        }
        Err(NotBought::Failed(breaker.count(failed.failure).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
