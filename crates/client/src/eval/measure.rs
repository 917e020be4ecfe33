//! What is measured, and how sure it is.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::questions::Answer;
use messages::Hit;

/// The hits that are looked at.
pub const DEPTH: u32 = 10;
/// The share of an answer's words that a passage must have in a row: half of an answer that was cut in two is found by it.
const LEAST_SHARE: f64 = 0.5;

/// Which places of the ranking, from 1, held an answer that no better place held; and how many answers there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The places, in order.
    pub places: Vec<u32>,
    /// How many answers there are.
    pub answers: u32,
}

/// A measure of one question, from 0 to 1.
pub struct Measure {
    /// As it is printed.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&Outcome) -> f64,
}

/// All that are printed.
pub const MEASURES: [Measure; 5] = [
    Measure { name: "hit@1", of: |outcome| hit_within(outcome, 1) },
    Measure { name: "hit@5", of: |outcome| hit_within(outcome, 5) },
    Measure { name: "hit@10", of: |outcome| hit_within(outcome, DEPTH) },
    Measure { name: "MRR", of: |outcome| outcome.places.first().map_or(0.0, |&place| 1.0 / f64::from(place)) },
    Measure { name: "nDCG@10", of: ndcg },
];

fn hit_within(outcome: &Outcome, depth: u32) -> f64 {
    f64::from(u8::from(outcome.places.first().is_some_and(|&place| place <= depth)))
}

fn ndcg(outcome: &Outcome) -> f64 {
    let gain = |place: u32| 1.0 / f64::from(place + 1).log2();
    let ideal: f64 = (1..=outcome.answers.min(DEPTH)).map(gain).sum();
    outcome.places.iter().copied().map(gain).sum::<f64>() / ideal
}

/// What became of a question.
pub fn outcome(answers: &[Answer], hits: &[Hit]) -> Outcome {
    let mut found = HashSet::new();
    let mut places = Vec::new();
    for (place, hit) in (1..).zip(hits) {
        let is_new = answers.iter().enumerate().filter(|(_, answer)| holds(hit, answer)).fold(false, |new, (at, _)| {
            // A second hit with the same answer is no second answer.
            found.insert(at) || new
        });
        if is_new {
            places.push(place);
        }
    }
    Outcome { places, answers: u32::try_from(answers.len()).unwrap_or(u32::MAX) }
}

fn holds(hit: &Hit, answer: &Answer) -> bool {
    let on_page = |page: i32| {
        let first = hit.page_first.or(hit.page_last);
        first.is_some_and(|first| first <= page && page <= hit.page_last.unwrap_or(first))
    };
    answer.document.is_none_or(|document| document == hit.document_id)
        && answer.file.as_ref().is_none_or(|file| *file == hit.filename)
        && answer.page.is_none_or(on_page)
        && answer.text.as_ref().is_none_or(|text| share_of(text, &hit.text) >= LEAST_SHARE)
}

/// The share of the words of `answer` that stand in a row in `passage`, whatever their case and marks.
fn share_of(answer: &str, passage: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let (answer, passage) = (words(answer), words(passage));
    // Row by row: how many words in a row end at each place of the passage.
    let mut before = vec![0_usize; passage.len() + 1];
    let mut longest = 0;
    for word in &answer {
        let mut now = vec![0; passage.len() + 1];
        for (at, other) in passage.iter().enumerate() {
            if word == other {
                now[at + 1] = before[at] + 1;
                longest = longest.max(now[at + 1]);
            }
        }
        before = now;
    }
    if answer.is_empty() { 1.0 } else { longest as f64 / answer.len() as f64 }
}

/// The mean of values; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Where the mean of values from 0 to 1 lies with a probability of 95 %: Wilson's interval, which also holds for few questions
/// that are all alike. It is that of hits; values in between vary less, so it is wide enough for them too.
pub fn interval(values: &[f64]) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (count, mean) = (values.len() as f64, mean(values));
    let spread = Z * (mean * (1.0 - mean) / count + Z * Z / (4.0 * count * count)).sqrt();
    let (middle, whole) = (mean + Z * Z / (2.0 * count), 1.0 + Z * Z / count);
    (((middle - spread) / whole).max(0.0), ((middle + spread) / whole).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(filename: &str, pages: (i32, i32), text: &str) -> Hit {
        serde_json::from_value(serde_json::json!({
            "document_id": uuid::Uuid::nil(), "filename": filename, "chunk_id": uuid::Uuid::nil(), "ord": 0,
            "heading": "", "page_first": pages.0, "page_last": pages.1, "page_label": null, "boxes": null,
            "text": text, "highlight": "", "score": 0.5
        }))
        .unwrap()
    }

    fn answer(file: &str, page: Option<i32>, text: Option<&str>) -> Answer {
        Answer { file: Some(file.into()), page, text: text.map(Into::into), document: None }
    }

    #[test]
    fn an_answer_is_found_by_file_page_and_half_of_its_words_in_a_row() {
        let hits =
            [hit("b.pdf", (1, 1), "The tower is 41 metres high."), hit("a.pdf", (2, 3), "**The tower** is 41 metres")];
        let found = |page, text| outcome(&[answer("a.pdf", page, text)], &hits).places;
        assert_eq!(found(Some(3), None), [2]);
        assert_eq!(found(Some(4), None), [] as [u32; 0]);
        assert_eq!(found(None, Some("the tower is 41 metres high, and white")), [2]);
        assert_eq!(found(None, Some("white is the tower, high, and old")), [] as [u32; 0]);
    }

    #[test]
    fn each_answer_counts_once_where_it_stands_first() {
        let hits = [hit("a", (1, 1), ""), hit("a", (1, 1), ""), hit("b", (1, 1), "")];
        let outcome = outcome(&[answer("a", None, None), answer("b", None, None)], &hits);
        assert_eq!(outcome, Outcome { places: vec![1, 3], answers: 2 });
        let value = |name: &str| (MEASURES.iter().find(|measure| measure.name == name).unwrap().of)(&outcome);
        assert_eq!((value("hit@1"), value("MRR")), (1.0, 1.0));
        // 1/log2(2) + 1/log2(4), of 1/log2(2) + 1/log2(3).
        assert!((value("nDCG@10") - 1.5 / (1.0 + 1.0 / 3_f64.log2())).abs() < 1e-9);
    }

    #[test]
    fn the_interval_holds_the_mean_is_narrower_with_more_questions_and_sure_of_nothing_by_two() {
        let half = |count: i32| interval(&(0..count).map(|at| f64::from(at % 2)).collect::<Vec<_>>());
        let (few, many) = (half(20), half(2000));
        assert!(few.0 < 0.5 && 0.5 < few.1, "{few:?}");
        assert!(many.1 - many.0 < (few.1 - few.0) / 5.0, "{few:?} {many:?}");
        // 2 / (2 + 1.96²).
        let (low, high) = interval(&[1.0, 1.0]);
        assert!((low - 0.342).abs() < 0.001 && high > 0.999, "{low} {high}");
    }
}
