//! What is measured, and how sure it is.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::questions::{Answer, Question};
use messages::Hit;

/// The hits that are looked at.
pub const DEPTH: u32 = 10;
/// The share of an answer's words that a passage must have in a row: half of an answer that was cut in two is found by it.
const LEAST_SHARE: f64 = 0.5;

/// What became of a question: places of the ranking, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The places that held an answer that no better place held, in order.
    pub places: Vec<u32>,
    /// How many answers there are.
    pub answers: u32,
    /// The places that held what was judged wrong, and no answer.
    pub wrong: Vec<u32>,
    /// How many places of documents were judged wrong.
    pub wrong_known: u32,
    /// How many hits there were.
    pub hits: u32,
}

/// A measure of one question, from 0 to 1.
pub struct Measure {
    /// As it is printed.
    pub name: &'static str,
    /// Its value; `None`: what is known of the question does not tell it.
    pub of: fn(&Outcome) -> Option<f64>,
    /// Whether less of it is better.
    pub less_is_better: bool,
}

const fn measure(name: &'static str, of: fn(&Outcome) -> Option<f64>) -> Measure {
    Measure { name, of, less_is_better: false }
}

/// All that are printed. The last four are told by questions of which something was judged wrong.
///
/// In `nDCG'@10` hits without a judgement are taken out before places are counted, since a ranking that shows what was not shown
/// before would look worse than it is: Sakai, "Alternatives to Bpref", SIGIR 2007.
pub const MEASURES: [Measure; 9] = [
    measure("hit@1", |outcome| hit_within(outcome, 1)),
    measure("hit@5", |outcome| hit_within(outcome, 5)),
    measure("hit@10", |outcome| hit_within(outcome, DEPTH)),
    measure("MRR", |outcome| of_answered(outcome, outcome.places.first().map_or(0.0, |&place| 1.0 / f64::from(place)))),
    measure("nDCG@10", |outcome| of_answered(outcome, ndcg(&outcome.places, outcome.answers))),
    Measure {
        name: "wrong@5",
        of: |outcome| of_judged(outcome, f64::from(u8::from(outcome.wrong.iter().any(|&place| place <= 5)))),
        less_is_better: true,
    },
    measure("judged@10", |outcome| {
        of_judged(outcome, share(outcome.places.len() + outcome.wrong.len(), outcome.hits as usize)?)
    }),
    measure("precision'@10", |outcome| {
        of_judged(outcome, share(outcome.places.len(), outcome.places.len() + outcome.wrong.len())?)
    }),
    measure("nDCG'@10", |outcome| {
        of_answered(outcome, 0.0).and_then(|_| of_judged(outcome, ndcg(&judged_places(outcome), outcome.answers)))
    }),
];

fn of_answered(outcome: &Outcome, value: f64) -> Option<f64> {
    (outcome.answers > 0).then_some(value)
}

fn of_judged(outcome: &Outcome, value: f64) -> Option<f64> {
    (outcome.wrong_known > 0).then_some(value)
}

fn share(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn hit_within(outcome: &Outcome, depth: u32) -> Option<f64> {
    of_answered(outcome, f64::from(u8::from(outcome.places.first().is_some_and(|&place| place <= depth))))
}

/// The places of the answers among hits that were judged.
fn judged_places(outcome: &Outcome) -> Vec<u32> {
    let wrong_before = |place: u32| outcome.wrong.iter().filter(|&&wrong| wrong < place).count();
    (1..).zip(&outcome.places).map(|(nth, &place)| nth + u32::try_from(wrong_before(place)).unwrap_or(0)).collect()
}

fn ndcg(places: &[u32], answers: u32) -> f64 {
    let gain = |place: u32| 1.0 / f64::from(place + 1).log2();
    let ideal: f64 = (1..=answers.min(DEPTH)).map(gain).sum();
    places.iter().copied().map(gain).sum::<f64>() / ideal
}

/// What became of a question.
pub fn outcome(question: &Question, hits: &[Hit]) -> Outcome {
    let mut found = HashSet::new();
    let (mut places, mut wrong) = (Vec::new(), Vec::new());
    for (place, hit) in (1..).zip(hits) {
        let answers = question.answers.iter().enumerate().filter(|(_, answer)| holds(hit, answer));
        let answers: Vec<usize> = answers.map(|(at, _)| at).collect();
        // A second hit with the same answer is no second answer, and not wrong.
        if answers.iter().filter(|at| found.insert(**at)).count() > 0 {
            places.push(place);
        } else if answers.is_empty() && question.wrong.iter().any(|place| holds(hit, place)) {
            wrong.push(place);
        }
    }
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    Outcome {
        places,
        answers: count(question.answers.len()),
        wrong,
        wrong_known: count(question.wrong.len()),
        hits: count(hits.len()),
    }
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

    fn asked(answers: Vec<Answer>, wrong: Vec<Answer>) -> Question {
        Question { question: "q".into(), answers, wrong }
    }

    fn value(name: &str, outcome: &Outcome) -> Option<f64> {
        (MEASURES.iter().find(|measure| measure.name == name).unwrap().of)(outcome)
    }

    #[test]
    fn an_answer_is_found_by_file_page_and_half_of_its_words_in_a_row() {
        let hits =
            [hit("b.pdf", (1, 1), "The tower is 41 metres high."), hit("a.pdf", (2, 3), "**The tower** is 41 metres")];
        let found = |page, text| outcome(&asked(vec![answer("a.pdf", page, text)], vec![]), &hits).places;
        assert_eq!(found(Some(3), None), [2]);
        assert_eq!(found(Some(4), None), [] as [u32; 0]);
        assert_eq!(found(None, Some("the tower is 41 metres high, and white")), [2]);
        assert_eq!(found(None, Some("white is the tower, high, and old")), [] as [u32; 0]);
    }

    #[test]
    fn each_answer_counts_once_where_it_stands_first() {
        let hits = [hit("a", (1, 1), ""), hit("a", (1, 1), ""), hit("b", (1, 1), "")];
        let question = asked(vec![answer("a", None, None), answer("b", None, None)], vec![]);
        let outcome = outcome(&question, &hits);
        assert_eq!((outcome.places.as_slice(), outcome.answers), (&[1, 3][..], 2));
        assert_eq!((value("hit@1", &outcome), value("MRR", &outcome)), (Some(1.0), Some(1.0)));
        // 1/log2(2) + 1/log2(4), of 1/log2(2) + 1/log2(3).
        let ndcg = value("nDCG@10", &outcome).unwrap();
        assert!((ndcg - 1.5 / (1.0 + 1.0 / 3_f64.log2())).abs() < 1e-9);
        assert_eq!(value("wrong@5", &outcome), None, "nothing was judged wrong");
    }

    #[test]
    fn what_was_judged_wrong_counts_and_what_was_not_judged_is_taken_out() {
        let hits = ["c", "b", "a", "d"].map(|file| hit(file, (1, 1), ""));
        let outcome = outcome(&asked(vec![answer("a", None, None)], vec![answer("b", None, None)]), &hits);
        assert_eq!((outcome.places.as_slice(), outcome.wrong.as_slice()), (&[3][..], &[2][..]));
        assert_eq!((value("wrong@5", &outcome), value("judged@10", &outcome)), (Some(1.0), Some(0.5)));
        assert_eq!(value("precision'@10", &outcome), Some(0.5));
        // The third of all is the second of those that were judged.
        let (of_all, of_judged) = (value("nDCG@10", &outcome).unwrap(), value("nDCG'@10", &outcome).unwrap());
        assert!((of_all - 0.5).abs() < 1e-9 && (of_judged - 1.0 / 3_f64.log2()).abs() < 1e-9, "{of_all} {of_judged}");
        let only_wrong = super::outcome(&asked(vec![], vec![answer("b", None, None)]), &hits);
        assert_eq!((value("hit@5", &only_wrong), value("wrong@5", &only_wrong)), (None, Some(1.0)));
        assert_eq!((value("nDCG'@10", &only_wrong), value("precision'@10", &only_wrong)), (None, Some(0.0)));
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
