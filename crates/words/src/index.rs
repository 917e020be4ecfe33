//! Makes the rows of the index on words.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a block, numbers of blocks and weights are far below the limits of their types"
)]

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    language::{Language, detect},
    term,
    tokens::{Forms, is_unspaced, tokens, tokens_of},
};

/// Passages in a block: a row holds the postings of a term in one block of a document. With 3 bytes for each passage, a
/// row stays below what an entry of a B-tree may have (2,704 bytes).
pub const BLOCK: usize = 512;

/// `k1` of BM25.
const K1: f32 = 1.2;
/// `b` of BM25.
const B: f32 = 0.75;
/// Words that a passage has on average, by how long the chunker cuts it; of pairs of characters a passage has twice as
/// many. A constant, so that no row depends on other documents.
const USUAL_WORDS: f32 = 90.0;

/// A passage to index.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// Headings above it.
    pub heading: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// The rows of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordIndex {
    /// Its language; empty: not in the table of languages.
    pub language: String,
    /// How many passages it has.
    pub passages: usize,
    /// Terms, each with the block and its entries: for each passage its place in the block (2 bytes, little end first)
    /// and the weight of the term in it. In order of terms and blocks.
    pub postings: Vec<(i32, i32, Vec<u8>)>,
    /// The terms of its name.
    pub title: Vec<i32>,
}

/// The index of a document with this name and these passages, in order.
pub fn index(filename: &str, passages: &[Passage<'_>]) -> WordIndex {
    let language = detect(passages.iter().map(|passage| passage.text));
    let mut postings: BTreeMap<(i32, i32), Vec<u8>> = BTreeMap::new();
    let mut forms = Forms::new(language);
    let mut counted: HashMap<i32, u16> = HashMap::new();
    for (ord, passage) in passages.iter().enumerate() {
        counted.clear();
        let mut words = 0.0_f32;
        for text in [passage.heading, passage.text] {
            tokens_of(text, &mut forms, &mut |token| {
                let is_pair = token.forms[0].chars().next().is_some_and(is_unspaced);
                words += match (token.is_part, is_pair) {
                    (true, _) => 0.0,
                    (false, true) => 0.5,
                    (false, false) => 1.0,
                };
                for form in &token.forms {
                    let count = counted.entry(term(form)).or_default();
                    *count = count.saturating_add(1);
                }
            });
        }
        let norm = K1 * (1.0 - B + B * words / USUAL_WORDS);
        let (block, place) = (ord / BLOCK, (ord % BLOCK) as u16);
        for (term, count) in &counted {
            let count = f32::from(*count);
            let weight = (255.0 * count / (count + norm)).round().clamp(1.0, 255.0) as u8;
            let entries = postings.entry((*term, block as i32)).or_default();
            entries.extend_from_slice(&place.to_le_bytes());
            entries.push(weight);
        }
    }
    WordIndex {
        language: language.map(Language::code).unwrap_or_default().to_owned(),
        passages: passages.len(),
        postings: postings.into_iter().map(|((term, block), entries)| (term, block, entries)).collect(),
        title: title_terms(filename, language),
    }
}

/// The terms of a file's name without its ending. Numbers of one or two digits name no document.
fn title_terms(filename: &str, language: Option<Language>) -> Vec<i32> {
    let stem =
        filename.rsplit_once('.').map_or(filename, |(stem, ending)| if ending.len() <= 8 { stem } else { filename });
    let mut terms = Vec::new();
    let mut seen = HashSet::new();
    tokens(stem, language, &mut |token| {
        for form in token.forms {
            let is_short_number = form.len() <= 2 && form.bytes().all(|byte| byte.is_ascii_digit());
            if !is_short_number
                && !language.is_some_and(|language| language.is_function_word(&form))
                && seen.insert(term(&form))
            {
                terms.push(term(&form));
            }
        }
    });
    terms
}

/// The place in the block and the weight of one entry of a row.
pub fn decode_entry(entry: [u8; 3]) -> (usize, u8) {
    let [low, high, weight] = entry;
    (usize::from(u16::from_le_bytes([low, high])), weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries_of(index: &WordIndex, word: &str) -> Vec<(i32, usize, u8)> {
        let of_term = index.postings.iter().filter(|(number, _, _)| *number == term(word));
        of_term
            .flat_map(|(_, block, entries)| {
                entries.as_chunks::<3>().0.iter().map(|entry| {
                    let (place, weight) = decode_entry(*entry);
                    (*block, place, weight)
                })
            })
            .collect()
    }

    #[test]
    fn a_word_weighs_more_where_it_is_more_often_and_the_passage_is_short() {
        let long = "The lamp burns. ".repeat(30);
        let texts = ["The lamp burns.", "The lamp, the lamp burns.", &long, "A sea."];
        let passages: Vec<Passage<'_>> = texts.iter().map(|text| Passage { heading: "", text }).collect();
        let index = index("lamps of 2024.md", &passages);
        let found = entries_of(&index, "lamp");
        let places: Vec<usize> = found.iter().map(|(_, place, _)| *place).collect();
        assert_eq!((places, index.passages, index.language.as_str()), (vec![0, 1, 2], 4, "en"));
        assert!(found[1].2 > found[0].2 && found[2].2 > 0);
        assert_eq!(index.title, [term("lamp"), term("2024")]);
    }

    #[test]
    fn a_row_stays_below_what_a_b_tree_takes_and_blocks_follow_each_other() {
        let passages = vec![Passage { heading: "", text: "Lamps burn." }; 1030];
        let index = index("a", &passages);
        let found = entries_of(&index, "lamp");
        assert_eq!((found.len(), found[1029].0, found[1029].1), (1030, 2, 5));
        assert!(index.postings.iter().all(|(_, _, entries)| entries.len() <= BLOCK * 3));
    }
}
