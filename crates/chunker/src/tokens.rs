//! Counts the tokens of a text, word by word and once, so that the tokens of any part can be looked up.

use std::{collections::HashMap, ops::Range};

use tokenizers::{NormalizerWrapper, PostProcessor, PreTokenizerWrapper, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

use domain::{Code, Failure};

/// The most bytes that count as one token; ordinary text has 3 to 6. This limits the size of a passage of unknown words,
/// which are one token each at any length, or of accents and spaces, which are none.
const MAX_BYTES_PER_TOKEN: usize = 16;
/// A longer word is counted in pieces, so that it can be cut.
const MAX_PIECE_BYTES: usize = 64;
/// Words that are counted in one call of the tokenizer.
const WORDS_PER_CALL: usize = 64;
/// Characters in a piece of a long word.
const PIECE_CHARS: usize = 16;

/// Counts tokens as the tokenizer does.
pub(super) struct Counter {
    tokenizer: Tokenizer,
    /// Whether the tokens of a text are those of its words.
    additive: bool,
}

impl Counter {
    pub fn new(mut tokenizer: Tokenizer) -> Self {
        // The whole text must be counted, even if the tokenizer's file asks for truncation.
        tokenizer.with_padding(None);
        // Without a limit this cannot fail: only a stride longer than the limit is refused.
        let _ = tokenizer.with_truncation(None);
        let additive = is_additive(&tokenizer);
        Self { tokenizer, additive }
    }

    /// How many tokens the model adds to each text: `[CLS]`, `[SEP]`.
    pub fn special_tokens(&self) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false))
    }

    fn count(&self, text: &str) -> Result<usize, Failure> {
        self.tokenizer.encode_fast(text, false).map(|encoding| encoding.len()).map_err(|error| refused(&error))
    }

    /// Counts the tokens of each word. One call takes many words, since its overhead is that of several words.
    fn count_each(&self, words: &[&str]) -> Result<Vec<usize>, Failure> {
        let mut counts = vec![0; words.len()];
        let mut done = 0;
        for batch in words.chunks(WORDS_PER_CALL) {
            let encoding = self.tokenizer.encode(batch.join(" "), false).map_err(|error| refused(&error))?;
            let starts = sums_before(batch.iter().map(|word| word.len() + 1));
            // The end of a token decides: a token may begin with the space before its word.
            for &(_, end) in encoding.get_offsets() {
                counts[done + starts.partition_point(|&start| start < end).saturating_sub(1)] += 1;
            }
            done += batch.len();
        }
        Ok(counts)
    }
}

pub(super) fn refused(error: &tokenizers::Error) -> Failure {
    let message =
        format!("The embedding model's tokenizer refused a text ({error}). Check the model folder's tokenizer.json.");
    Failure::new(Code::TokenizerFailed, message)
}

/// Whether the tokens of a text are those of its words. BERT splits at white space first; other tokenizers may join a word
/// with the space before it.
fn is_additive(tokenizer: &Tokenizer) -> bool {
    matches!(tokenizer.get_normalizer(), None | Some(NormalizerWrapper::BertNormalizer(_)))
        && matches!(
            tokenizer.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::BertPreTokenizer(_) | PreTokenizerWrapper::WhitespaceSplit(_))
        )
}

/// Whether `c` is white space at which the tokenizer splits too. BERT drops other control characters, and so joins the text
/// around them.
fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r') || (c.is_whitespace() && !c.is_control())
}

/// The words of `text`, with their starts.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let base = text.as_ptr() as usize;
    text.split(is_gap).filter(|word| !word.is_empty()).map(move |word| (word.as_ptr() as usize - base, word))
}

/// The token counts of one text, as sums over its words, so that the count of any part needs two look-ups.
pub(super) struct TextTokens<'a> {
    counter: &'a Counter,
    text: &'a str,
    /// The tokens of each distinct word, or piece of a long word.
    known: HashMap<&'a str, usize>,
    /// The start of each word, or piece of a long word, and the number of tokens before it.
    starts: Vec<(usize, usize)>,
    total: usize,
}

impl<'a> TextTokens<'a> {
    pub fn new(counter: &'a Counter, text: &'a str) -> Result<Self, Failure> {
        let mut distinct = Vec::new();
        // The index of each word in `distinct`.
        let mut indices = HashMap::new();
        // The start of each word in the text, and its index.
        let mut found = Vec::new();
        let mut add = |start, word| {
            let index = *indices.entry(word).or_insert_with(|| {
                distinct.push(word);
                distinct.len() - 1
            });
            found.push((start, index));
        };
        for (start, word) in words(text) {
            if word.len() <= MAX_PIECE_BYTES {
                add(start, word);
            } else {
                pieces(word).for_each(|(offset, piece)| add(start + offset, piece));
            }
        }
        let counts = counter.count_each(&distinct)?;
        let before = sums_before(found.iter().map(|&(_, index)| counts[index]));
        let total = found.iter().map(|&(_, index)| counts[index]).sum();
        let starts = found.iter().zip(before).map(|(&(start, _), before)| (start, before)).collect();
        Ok(Self { counter, text, known: distinct.into_iter().zip(counts).collect(), starts, total })
    }

    /// The estimated tokens of `range`. The estimate is exact if the range neither cuts a word nor contains a long one.
    pub fn cost(&self, range: &Range<usize>) -> usize {
        let tokens = self.before(range.end) - self.before(range.start);
        tokens.max(range.len().div_ceil(MAX_BYTES_PER_TOKEN))
    }

    fn before(&self, at: usize) -> usize {
        let index = self.starts.partition_point(|&(start, _)| start < at);
        self.starts.get(index).map_or(self.total, |&(_, before)| before)
    }

    /// The last start of a word or piece that is within `most` tokens from `start`, or the next one if none is.
    pub fn reach(&self, start: usize, most: usize) -> usize {
        let first = self.starts.partition_point(|&(at, _)| at <= start);
        let rest = &self.starts[first..];
        let fitting = rest.partition_point(|&(at, _)| self.cost(&(start..at)) <= most);
        rest.get(fitting.max(1) - 1).map_or(self.text.len(), |&(at, _)| at)
    }

    /// The starts of words and pieces inside `range`, except the start of the range.
    pub fn starts_in(&self, range: &Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let first = self.starts.partition_point(|&(start, _)| start <= range.start);
        let end = range.end;
        self.starts[first..].iter().map(|&(start, _)| start).take_while(move |&start| start < end)
    }

    /// The exact number of tokens of `text` for the model, without special tokens.
    pub fn count(&self, text: &str) -> Result<usize, Failure> {
        if !self.counter.additive {
            return self.counter.count(text);
        }
        words(text).try_fold(0, |sum, (_, word)| {
            Ok(sum + self.known.get(word).map_or_else(|| self.counter.count(word), |&tokens| Ok(tokens))?)
        })
    }

    /// Whether a cut at `at` is between two words, not between the pieces of one.
    pub fn separates_words(&self, at: usize) -> bool {
        self.text[..at].ends_with(is_gap) || self.text[at..].starts_with(is_gap)
    }
}

/// For each of `sizes`, the sum of those before it.
fn sums_before(sizes: impl Iterator<Item = usize>) -> Vec<usize> {
    let sums = sizes.scan(0, |sum, size| {
        *sum += size;
        Some(*sum - size)
    });
    sums.collect()
}

/// Cuts a long word at Unicode's word boundaries (each ideograph is a word), and every few characters if those are far
/// apart.
fn pieces(word: &str) -> impl Iterator<Item = (usize, &str)> {
    let cuts: Vec<usize> = word.split_word_bound_indices().flat_map(|(start, part)| short_cuts(start, part)).collect();
    let ends: Vec<usize> = cuts.iter().copied().skip(1).chain([word.len()]).collect();
    cuts.into_iter().zip(ends).map(|(from, to)| (from, &word[from..to]))
}

/// The cuts of a part of a word that begins at `start`: there, and every few characters if it is long.
fn short_cuts(start: usize, part: &str) -> impl Iterator<Item = usize> {
    let step = if part.len() > MAX_PIECE_BYTES { PIECE_CHARS } else { usize::MAX };
    part.char_indices().step_by(step).map(move |(at, _)| start + at)
}
