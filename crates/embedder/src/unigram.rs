//! The Unigram model of a tokenizer, as XLM-RoBERTa has it: the split of a word with the greatest sum of scores.
//!
//! Its results are those of the crate `tokenizers`, whose own takes 296 MB for the 250,000 pieces of multilingual-e5: a hash map for each byte
//! of its trie. Here the pieces lie one after another, and one table of hashes finds them: 8 MB. Everything else of a
//! tokenizer is the crate's.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use tokenizers::{
    AddedToken, DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Result, Token,
    TokenizerImpl, Trainer,
};

/// A tokenizer of this model.
pub(super) type UnigramTokenizer =
    TokenizerImpl<Unigram, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// How far an unknown character's score lies below the least one.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The pieces of the vocabulary, with their scores. A piece's id is its place.
#[derive(Debug, Default)]
struct Pieces {
    text: String,
    /// Where each piece ends in `text`.
    ends: Vec<u32>,
    scores: Vec<f64>,
}

impl Pieces {
    fn push(&mut self, piece: &str, score: f64) {
        self.text.push_str(piece);
        // A vocabulary file is far below 4 GB, since it is read into memory whole.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.scores.push(score);
    }

    fn get(&self, id: usize) -> Option<&str> {
        let start = if id == 0 { 0 } else { *self.ends.get(id - 1)? };
        self.text.get(start as usize..*self.ends.get(id)? as usize)
    }
}

/// The model.
#[derive(Debug)]
pub(super) struct Unigram {
    pieces: Pieces,
    /// Places by hash, open addressing: the id + 1 of a piece, or 0. A power of two in length, at most half of it used.
    table: Vec<u32>,
    /// The most characters of a piece.
    longest: usize,
    unknown: Option<usize>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The best way to a border between two characters.
#[derive(Debug, Clone, Copy, Default)]
struct Border {
    score: f64,
    /// Where the last piece begins, and its id.
    last: Option<(usize, usize)>,
}

impl Border {
    /// Takes the way if it is better. Of equal ways the first stays.
    fn offer(&mut self, score: f64, start: usize, id: usize) {
        if self.last.is_none() || score > self.score {
            *self = Self { score, last: Some((start, id)) };
        }
    }
}

/// FNV-1a, which takes the bytes one by one: each piece that begins at a place costs only its last character.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

fn hash_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Unigram {
    fn new(pieces: Pieces, unknown: Option<usize>, byte_fallback: bool) -> Self {
        let least = pieces.scores.iter().copied().fold(f64::INFINITY, f64::min);
        let table = vec![0; (2 * pieces.ends.len()).next_power_of_two()];
        let mut model =
            Self { pieces, table, longest: 0, unknown, unknown_score: least - UNKNOWN_PENALTY, byte_fallback };
        for id in 0..model.pieces.ends.len() {
            let piece = model.pieces.get(id).unwrap_or_default();
            model.longest = model.longest.max(piece.chars().count());
            let slot = model.slot(hash_on(HASH_START, piece.as_bytes()), piece);
            // If a piece stands twice, its last id counts.
            model.table[slot] = u32::try_from(id + 1).unwrap_or(0);
        }
        model
    }

    /// The place of a piece in the table, or the free place for it.
    #[expect(clippy::cast_possible_truncation, reason = "the hash is cut to the length of the table")]
    fn slot(&self, hash: u64, piece: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = (hash ^ hash >> 32) as usize & mask;
        loop {
            match self.table[slot] {
                0 => return slot,
                id if self.pieces.get(id as usize - 1) == Some(piece) => return slot,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn find(&self, hash: u64, piece: &str) -> Option<usize> {
        (self.table[self.slot(hash, piece)] as usize).checked_sub(1)
    }

    fn id_of(&self, piece: &str) -> Option<usize> {
        self.find(hash_on(HASH_START, piece.as_bytes()), piece)
    }

    /// Where the pieces of the best split begin and end, and their ids. Unknown characters in a row are one piece.
    fn split(&self, text: &str) -> Result<Vec<(usize, usize, usize)>> {
        let mut borders = vec![Border::default(); text.len() + 1];
        for (start, first) in text.char_indices() {
            let before = borders[start].score;
            let mut alone = false;
            let mut hash = HASH_START;
            let rest = &text[start..];
            for (offset, c) in rest.char_indices().take(self.longest) {
                let length = offset + c.len_utf8();
                hash = hash_on(hash, &rest.as_bytes()[offset..length]);
                if let Some(id) = self.find(hash, &rest[..length]) {
                    borders[start + length].offer(self.pieces.scores[id] + before, start, id);
                    alone |= length == first.len_utf8();
                }
            }
            if !alone {
                let unknown = self
                    .unknown
                    .ok_or("the text has a character outside the vocabulary, and no token stands for it")?;
                borders[start + first.len_utf8()].offer(self.unknown_score + before, start, unknown);
            }
        }
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        let mut end = text.len();
        while let Some((start, id)) = borders[end].last {
            match found.last_mut() {
                Some(next) if Some(id) == self.unknown && Some(next.2) == self.unknown => next.0 = start,
                _ => found.push((start, end, id)),
            }
            end = start;
        }
        found.reverse();
        Ok(found)
    }

    /// The tokens that stand for the bytes of an unknown piece; `None` if the vocabulary has none.
    fn byte_tokens(&self, piece: &str, offsets: (usize, usize)) -> Option<Vec<Token>> {
        if !self.byte_fallback {
            return None;
        }
        let token = |byte: u8| {
            let name = format!("<0x{byte:02X}>");
            Some(Token::new(u32::try_from(self.id_of(&name)?).ok()?, name, offsets))
        };
        piece.bytes().map(token).collect()
    }
}

impl Model for Unigram {
    type Trainer = NoTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        for (start, end, id) in self.split(text)? {
            let piece = &text[start..end];
            if Some(id) != self.unknown {
                tokens.push(Token::new(u32::try_from(id)?, piece.to_owned(), (start, end)));
                continue;
            }
            // Unknown characters can form a known piece together.
            let id = self.id_of(piece);
            match id.is_none().then(|| self.byte_tokens(piece, (start, end))).flatten() {
                Some(bytes) => tokens.extend(bytes),
                None => tokens.push(Token::new(
                    u32::try_from(id.or(self.unknown).unwrap_or(0))?,
                    piece.to_owned(),
                    (start, end),
                )),
            }
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        u32::try_from(self.id_of(token)?).ok()
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.pieces.get(id as usize).map(str::to_owned)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..).map_while(|id| Some((self.id_to_token(id)?, id))).collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.pieces.ends.len()
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("this model is not saved".into())
    }

    fn get_trainer(&self) -> NoTrainer {
        NoTrainer
    }
}

/// The interface of the crate wants a trainer; models are not trained here.
pub(super) struct NoTrainer;

impl Trainer for NoTrainer {
    type Model = Unigram;

    fn should_show_progress(&self) -> bool {
        false
    }

    fn train(&self, _model: &mut Unigram) -> Result<Vec<AddedToken>> {
        Err("this model is not trained".into())
    }

    fn feed<I, S, F>(&mut self, _iterator: I, _process: F) -> Result<()>
    where
        I: Iterator<Item = S> + Send,
        S: AsRef<str> + Send,
        F: Fn(&str) -> Result<Vec<String>> + Sync,
    {
        Err("this model is not trained".into())
    }
}

impl<'de> Deserialize<'de> for Unigram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ModelVisitor)
    }
}

/// Reads `model` of a `tokenizer.json`.
struct ModelVisitor;

impl<'de> Visitor<'de> for ModelVisitor {
    type Value = Unigram;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Unigram model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unigram, A::Error> {
        let (mut pieces, mut unknown, mut byte_fallback) = (Pieces::default(), None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "vocab" => pieces = map.next_value_seed(VocabularySeed)?,
                "unk_id" => unknown = map.next_value::<Option<usize>>()?,
                "byte_fallback" => byte_fallback = map.next_value()?,
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        let len = pieces.ends.len();
        if len == 0 || unknown.is_some_and(|id| id >= len) {
            return Err(A::Error::custom("the vocabulary is empty, or unk_id is outside it"));
        }
        Ok(Unigram::new(pieces, unknown, byte_fallback))
    }
}

/// Reads the vocabulary into [`Pieces`] as it comes, without a string for each piece.
struct VocabularySeed;

impl<'de> DeserializeSeed<'de> for VocabularySeed {
    type Value = Pieces;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Pieces, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for VocabularySeed {
    type Value = Pieces;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pieces with their scores")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Pieces, A::Error> {
        let mut pieces = Pieces::default();
        while let Some((piece, score)) = seq.next_element::<(std::borrow::Cow<'_, str>, f64)>()? {
            pieces.push(&piece, score);
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests;
