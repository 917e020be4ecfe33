//! Scores passages by words: BM25 over the postings of one user, with exact document frequencies.

use std::collections::{HashMap, HashSet};

use store::search::Postings;
use words::{BLOCK, Question, decode_entry};

/// [`BLOCK`], as the rows count.
#[expect(clippy::cast_possible_truncation, reason = "it is 512")]
const PASSAGES: i32 = BLOCK as i32;
/// `k1 + 1` over the greatest weight: a posting holds `tf / (tf + norm)` as a number up to 255.
pub const SCALE: f64 = 2.2 / 255.0;
/// How much a word in the document's name counts. Measured: docs/performance.md.
pub const TITLE: f64 = 2.0;

/// A passage that has words of the question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The number of its document.
    pub document_no: i32,
    /// Its place in the document.
    pub ord: i32,
    /// BM25, with the bonus of the document's name.
    pub score: f64,
    /// The share of the weight of the question's words that it has, 0 to 1.
    pub covered: f64,
}

/// What is known of the words of a question.
#[derive(Debug, Default)]
pub struct ByWords {
    /// The best passages, best first.
    pub best: Vec<Scored>,
    /// The bonus of documents whose name has words of the question.
    pub names: HashMap<i32, f64>,
}

/// What is searched.
pub struct Searched<'a> {
    /// Passages of the user, or of the documents that are searched.
    pub passages: i64,
    /// The documents.
    pub documents: i64,
    /// Postings of the question's terms.
    pub postings: &'a [Postings],
    /// The question's terms in names of documents: term, document.
    pub titles: &'a [(i32, i32)],
    /// Only these documents count.
    pub only: Option<&'a HashSet<i32>>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    score: f64,
    words: u64,
    weight: u8,
}

struct Block {
    document_no: i32,
    first_ord: i32,
    slots: Vec<Slot>,
}

/// All blocks that have words of the question.
#[derive(Default)]
struct Blocks {
    all: Vec<Block>,
    numbers: HashMap<(i32, i32), usize>,
}

impl Blocks {
    /// The number of a block, with slots for these entries, which are in the order of their places.
    fn number(&mut self, document_no: i32, block: i32, entries: &[[u8; 3]]) -> usize {
        let number = *self.numbers.entry((document_no, block)).or_insert_with(|| {
            self.all.push(Block { document_no, first_ord: block * PASSAGES, slots: Vec::new() });
            self.all.len() - 1
        });
        let slots = &mut self.all[number].slots;
        let needed = entries.iter().map(|entry| decode_entry(*entry).0 + 1).next_back().unwrap_or(0);
        if slots.len() < needed {
            slots.resize(needed, Slot::default());
        }
        number
    }

    /// Adds a word that `bit` stands for, and returns its weight. A form counts as the word; a passage that has two forms has
    /// the heavier.
    fn add(&mut self, bit: u64, forms: &[&Postings], searched: &Searched<'_>) -> f64 {
        if let [postings] = forms {
            return self.add_form(bit, postings, searched);
        }
        let mut touched: Vec<(usize, usize)> = Vec::new();
        for postings in forms {
            each_row(postings, searched.only, |document_no, block, entries| {
                let number = self.number(document_no, block, entries);
                for entry in entries {
                    let (place, weight) = decode_entry(*entry);
                    let Some(slot) = self.all[number].slots.get_mut(place) else { continue };
                    if slot.words & bit == 0 {
                        slot.words |= bit;
                        touched.push((number, place));
                    }
                    slot.weight = slot.weight.max(weight);
                }
            });
        }
        let weight = idf(searched.passages, touched.len());
        for (number, place) in touched {
            let slot = &mut self.all[number].slots[place];
            slot.score += weight * SCALE * f64::from(std::mem::take(&mut slot.weight));
        }
        weight
    }

    /// The same for a word of one form, which each passage has once.
    fn add_form(&mut self, bit: u64, postings: &Postings, searched: &Searched<'_>) -> f64 {
        let mut passages = 0;
        each_row(postings, searched.only, |_, _, entries| passages += entries.len());
        let weight = idf(searched.passages, passages);
        each_row(postings, searched.only, |document_no, block, entries| {
            let number = self.number(document_no, block, entries);
            let slots = &mut self.all[number].slots;
            for entry in entries {
                let (place, in_passage) = decode_entry(*entry);
                if let Some(slot) = slots.get_mut(place) {
                    slot.words |= bit;
                    slot.score += weight * SCALE * f64::from(in_passage);
                }
            }
        });
        weight
    }
}

/// The weight of a word that `df` of `n` have.
fn idf(n: i64, df: usize) -> f64 {
    let (n, df) = (n.max(df as i64) as f64, df as f64);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

/// The best `limit` passages for `question`. A passage that lacks a required word is left out.
pub fn score(question: &Question, searched: &Searched<'_>, limit: usize) -> ByWords {
    let by_term: HashMap<i32, &Postings> = searched.postings.iter().map(|postings| (postings.term, postings)).collect();
    let mut blocks = Blocks::default();
    let mut weights = Vec::with_capacity(question.words.len());
    for (i, word) in question.words.iter().enumerate() {
        let terms: HashSet<i32> = word.terms().collect();
        let forms: Vec<&Postings> = terms.iter().filter_map(|term| by_term.get(term).copied()).collect();
        weights.push(blocks.add(1 << i, &forms, searched));
    }
    let blocks = blocks.all;
    let (names, named) = names(question, searched);
    let required = (1_u64 << question.required.min(63)) - 1;
    let all: f64 = weights.iter().sum();
    let share = |words: u64| -> f64 {
        let has = weights.iter().enumerate().filter(|(i, _)| words >> i & 1 == 1);
        if all > 0.0 { has.map(|(_, weight)| weight).sum::<f64>() / all } else { 0.0 }
    };
    let order = |a: &(Scored, u64), b: &(Scored, u64)| {
        let (a, b) = (&a.0, &b.0);
        b.score.total_cmp(&a.score).then((a.document_no, a.ord).cmp(&(b.document_no, b.ord)))
    };
    let mut best: Vec<(Scored, u64)> = Vec::new();
    // Below this, nothing can be among the best any more.
    let mut least = f64::NEG_INFINITY;
    let cut = |best: &mut Vec<(Scored, u64)>| {
        if best.len() > limit && limit > 0 {
            let (_, last, _) = best.select_nth_unstable_by(limit - 1, order);
            let least = last.0.score;
            best.truncate(limit);
            return least;
        }
        f64::NEG_INFINITY
    };
    for block in &blocks {
        let bonus = TITLE * names.get(&block.document_no).copied().unwrap_or(0.0);
        let named = named.get(&block.document_no).copied().unwrap_or(0);
        for (ord, slot) in (block.first_ord..).zip(&block.slots) {
            let score = slot.score + bonus;
            if slot.words != 0 && slot.words & required == required && score >= least {
                let scored = Scored { document_no: block.document_no, ord, score, covered: 0.0 };
                best.push((scored, slot.words | named));
                if best.len() >= 8 * limit.max(1) {
                    least = cut(&mut best);
                }
            }
        }
    }
    cut(&mut best);
    best.sort_unstable_by(order);
    let best = best.into_iter().map(|(scored, words)| Scored { covered: share(words), ..scored }).collect();
    ByWords { best, names }
}

/// Goes through the rows of a term, of the documents that count.
fn each_row(postings: &Postings, only: Option<&HashSet<i32>>, mut each: impl FnMut(i32, i32, &[[u8; 3]])) {
    let mut rest = postings.entries.as_slice();
    for ((document_no, block), length) in postings.documents.iter().zip(&postings.blocks).zip(&postings.lengths) {
        let Some((entries, after)) = rest.split_at_checked(usize::try_from(*length).unwrap_or(0)) else { return };
        rest = after;
        if only.is_none_or(|only| only.contains(document_no)) {
            each(*document_no, *block, entries.as_chunks::<3>().0);
        }
    }
}

/// For each document whose name has words of the question: the sum of their weights among names, and which.
fn names(question: &Question, searched: &Searched<'_>) -> (HashMap<i32, f64>, HashMap<i32, u64>) {
    let (mut names, mut named) = (HashMap::new(), HashMap::new());
    for (i, word) in question.words.iter().enumerate() {
        let terms: HashSet<i32> = word.terms().collect();
        let documents: HashSet<i32> = searched
            .titles
            .iter()
            .filter(|(term, _)| terms.contains(term))
            .map(|(_, document)| *document)
            .filter(|document| searched.only.is_none_or(|only| only.contains(document)))
            .collect();
        let weight = idf(searched.documents, documents.len());
        for document in documents {
            *names.entry(document).or_insert(0.0) += weight;
            *named.entry(document).or_insert(0) |= 1 << i;
        }
    }
    (names, named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use words::{Language, Passage, index, term};

    const DOCUMENT: i32 = 7;

    fn postings(filename: &str, texts: &[&str]) -> (Vec<Postings>, Vec<(i32, i32)>) {
        let passages: Vec<Passage<'_>> = texts.iter().map(|text| Passage { heading: "", text }).collect();
        let index = index(filename, &passages);
        let all = index.postings.into_iter().map(|(term, block, entries)| Postings {
            term,
            documents: vec![DOCUMENT],
            blocks: vec![block],
            lengths: vec![entries.len().try_into().unwrap()],
            entries,
        });
        (all.collect(), index.title.into_iter().map(|term| (term, DOCUMENT)).collect())
    }

    fn found(question: &str, filename: &str, texts: &[&str]) -> Vec<Scored> {
        let (postings, titles) = postings(filename, texts);
        let question = Question::parse(question, &Language::parse("en").into_iter().collect::<Vec<_>>());
        let searched =
            Searched { passages: texts.len() as i64, documents: 3, postings: &postings, titles: &titles, only: None };
        score(&question, &searched, 10).best
    }

    #[test]
    fn rare_words_weigh_more_and_the_share_of_the_question_is_told() {
        let texts = ["The lamp burns.", "The sea burns.", "The sea burns again.", "A heron."];
        let hits = found("burning lamps", "a.md", &texts);
        assert_eq!(hits.iter().map(|hit| hit.ord).collect::<Vec<_>>(), [0, 1, 2]);
        assert!((hits[0].covered - 1.0).abs() < 1e-9 && hits[1].covered < 0.5);
        // One word alone: idf · weight, near the formula's own value.
        let alone = found("lamp", "a.md", &texts);
        let (tf, norm) = (1.0, 1.2 * (0.25 + 0.75 * 3.0 / 90.0));
        let expected = (1.0_f64 + (4.0 - 1.0 + 0.5) / 1.5).ln() * 2.2 * tf / (tf + norm);
        assert!((alone[0].score - expected).abs() < 0.01, "{} {expected}", alone[0].score);
    }

    #[test]
    fn the_document_s_name_counts_for_its_passages() {
        let texts = ["The lamp burns.", "A sea."];
        let (named, other) = (found("lamp policy", "policy.md", &texts), found("lamp policy", "a.md", &texts));
        assert!(named[0].score > other[0].score + 1.0 && named[0].covered > other[0].covered);
        assert_eq!(named.len(), 1, "a passage without words of the question is no hit");
    }

    #[test]
    fn the_best_of_many_are_the_first_of_all() {
        let texts: Vec<String> = (0..300).map(|i| format!("lamp {}", "sea ".repeat(1 + i * 37 % 100))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (postings, titles) = postings("a.md", &texts);
        let question = Question::parse("lamp sea", &Language::parse("en").into_iter().collect::<Vec<_>>());
        let searched = Searched { passages: 300, documents: 1, postings: &postings, titles: &titles, only: None };
        let all = score(&question, &searched, 1000).best;
        assert_eq!(all.len(), 300);
        assert_eq!(score(&question, &searched, 5).best, all[..5]);
        let only = HashSet::from([DOCUMENT + 1]);
        assert!(score(&question, &Searched { only: Some(&only), ..searched }, 5).best.is_empty());
    }

    #[test]
    fn a_required_word_leaves_out_passages_without_it() {
        let texts = ["The lamp burns.", "The sea burns."];
        let ords: Vec<i32> = found("\"sea\" lamp", "a.md", &texts).iter().map(|hit| hit.ord).collect();
        assert_eq!(ords, [1]);
        assert_ne!(term("sea"), term("lamp"));
    }
}
