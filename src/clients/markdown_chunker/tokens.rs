//! How many tokens a text has: counted word by word once, looked up ever after.

use std::{collections::HashMap, ops::Range};

use tokenizers::{NormalizerWrapper, PostProcessor, PreTokenizerWrapper, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

use crate::domain::{Code, Failure};

/// A text is never counted as fewer tokens than its bytes over this: it bounds a passage of words that the
/// tokenizer does not know (each one token, however long), of accents or of spaces (none). Ordinary text has 3 to 6.
const MAX_BYTES_PER_TOKEN: usize = 16;
/// A word of more bytes is counted in pieces, so that it can be cut.
const MAX_PIECE_BYTES: usize = 64;
/// Words counted in one call.
const WORDS_PER_CALL: usize = 64;
/// Characters of a piece of such a word.
const PIECE_CHARS: usize = 16;

/// Counts tokens as the embedding model does.
pub(super) struct Meter {
    tokenizer: Tokenizer,
    /// Whether words apart have as many tokens as words together.
    additive: bool,
}

impl Meter {
    pub fn new(mut tokenizer: Tokenizer) -> Self {
        // Counting must see the whole text, whatever the file says.
        tokenizer.with_padding(None);
        // Infallible in effect: only a stride longer than the limit is refused, and there is no limit.
        let _ = tokenizer.with_truncation(None);
        let additive = is_additive(&tokenizer);
        Self { tokenizer, additive }
    }

    /// Tokens that the model adds to each text: `[CLS]`, `[SEP]`.
    pub fn special_tokens(&self) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false))
    }

    fn count(&self, text: &str) -> Result<usize, Failure> {
        self.tokenizer.encode_fast(text, false).map(|encoding| encoding.len()).map_err(|error| refused(&error))
    }

    /// Tokens of each of `words`. Many at a time: a call's overhead is that of several words.
    fn count_each(&self, words: &[&str]) -> Result<Vec<usize>, Failure> {
        let mut counts = vec![0; words.len()];
        let mut done = 0;
        for batch in words.chunks(WORDS_PER_CALL) {
            let encoding = self.tokenizer.encode(batch.join(" "), false).map_err(|error| refused(&error))?;
            let starts = running(batch.iter().map(|word| word.len() + 1));
            // By its end: a token may begin with the space before its word.
            for &(_, end) in encoding.get_offsets() {
                counts[done + starts.partition_point(|&start| start < end).saturating_sub(1)] += 1;
            }
            done += batch.len();
        }
        Ok(counts)
    }
}

fn refused(error: &tokenizers::Error) -> Failure {
    let message =
        format!("The embedding model's tokenizer refused a text ({error}). Check the model folder's tokenizer.json.");
    Failure::new(Code::TokenizerFailed, message)
}

/// BERT splits at white space before anything else; other tokenizers may join a word with the space before it.
fn is_additive(tokenizer: &Tokenizer) -> bool {
    matches!(tokenizer.get_normalizer(), None | Some(NormalizerWrapper::BertNormalizer(_)))
        && matches!(
            tokenizer.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::BertPreTokenizer(_) | PreTokenizerWrapper::WhitespaceSplit(_))
        )
}

/// White space that the tokenizer splits at too. BERT drops other controls, and so joins what they part.
fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r') || (c.is_whitespace() && !c.is_control())
}

/// The words of `text` and where they start.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let base = text.as_ptr() as usize;
    text.split(is_gap).filter(|word| !word.is_empty()).map(move |word| (word.as_ptr() as usize - base, word))
}

/// Token counts of one text: a sum over its words, so that any part's count is two look-ups.
pub(super) struct Ruler<'a> {
    meter: &'a Meter,
    text: &'a str,
    /// Tokens of each distinct word, or piece of a long word.
    known: HashMap<&'a str, usize>,
    /// Where each word or piece of a long word starts, and the tokens before it.
    starts: Vec<(usize, usize)>,
    total: usize,
}

impl<'a> Ruler<'a> {
    pub fn new(meter: &'a Meter, text: &'a str) -> Result<Self, Failure> {
        let mut distinct = Vec::new();
        // Each distinct word's place in `distinct`, and for each word its start and that place.
        let mut places = HashMap::new();
        let mut found = Vec::new();
        let mut note = |start, word| {
            let place = *places.entry(word).or_insert_with(|| {
                distinct.push(word);
                distinct.len() - 1
            });
            found.push((start, place));
        };
        for (start, word) in words(text) {
            if word.len() <= MAX_PIECE_BYTES {
                note(start, word);
            } else {
                pieces(word).for_each(|(offset, piece)| note(start + offset, piece));
            }
        }
        let counts = meter.count_each(&distinct)?;
        let before = running(found.iter().map(|&(_, place)| counts[place]));
        let total = found.iter().map(|&(_, place)| counts[place]).sum();
        let starts = found.iter().zip(before).map(|(&(start, _), before)| (start, before)).collect();
        Ok(Self { meter, text, known: distinct.into_iter().zip(counts).collect(), starts, total })
    }

    /// What `range` is reckoned to cost: close to its tokens, and exact where it neither cuts nor holds a long word.
    pub fn cost(&self, range: &Range<usize>) -> usize {
        let tokens = self.before(range.end) - self.before(range.start);
        tokens.max(range.len().div_ceil(MAX_BYTES_PER_TOKEN))
    }

    fn before(&self, at: usize) -> usize {
        let index = self.starts.partition_point(|&(start, _)| start < at);
        self.starts.get(index).map_or(self.total, |&(_, before)| before)
    }

    /// The farthest start of a word or piece that `most` reaches from `start`, but always one on.
    pub fn reach(&self, start: usize, most: usize) -> usize {
        let first = self.starts.partition_point(|&(at, _)| at <= start);
        let rest = &self.starts[first..];
        let fitting = rest.partition_point(|&(at, _)| self.cost(&(start..at)) <= most);
        rest.get(fitting.max(1) - 1).map_or(self.text.len(), |&(at, _)| at)
    }

    /// Starts of words and pieces inside `range`, its own start left out.
    pub fn starts_in(&self, range: &Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let first = self.starts.partition_point(|&(start, _)| start <= range.start);
        let end = range.end;
        self.starts[first..].iter().map(|&(start, _)| start).take_while(move |&start| start < end)
    }

    /// Exactly how many tokens the model reads of `text`, its special tokens aside.
    pub fn count(&self, text: &str) -> Result<usize, Failure> {
        if !self.meter.additive {
            return self.meter.count(text);
        }
        words(text).try_fold(0, |sum, (_, word)| {
            Ok(sum + self.known.get(word).map_or_else(|| self.meter.count(word), |&tokens| Ok(tokens))?)
        })
    }

    /// Whether a cut at `at` would part two words, not the pieces of one.
    pub fn parts_words(&self, at: usize) -> bool {
        self.text[..at].ends_with(is_gap) || self.text[at..].starts_with(is_gap)
    }
}

/// The sum of `sizes` before each of them.
fn running(sizes: impl Iterator<Item = usize>) -> Vec<usize> {
    let sums = sizes.scan(0, |sum, size| {
        *sum += size;
        Some(*sum - size)
    });
    sums.collect()
}

/// A long word cut at Unicode's word boundaries (each ideograph is one) and, where those are far apart too, every
/// few characters.
fn pieces(word: &str) -> impl Iterator<Item = (usize, &str)> {
    let cuts: Vec<usize> = word.split_word_bound_indices().flat_map(|(start, part)| short_cuts(start, part)).collect();
    let ends: Vec<usize> = cuts.iter().copied().skip(1).chain([word.len()]).collect();
    cuts.into_iter().zip(ends).map(|(from, to)| (from, &word[from..to]))
}

/// Where the part of a word that begins at `start` is cut: there, and every few characters if it is long.
fn short_cuts(start: usize, part: &str) -> impl Iterator<Item = usize> {
    let step = if part.len() > MAX_PIECE_BYTES { PIECE_CHARS } else { usize::MAX };
    part.char_indices().step_by(step).map(move |(at, _)| start + at)
}
