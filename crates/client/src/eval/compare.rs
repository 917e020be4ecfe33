//! Against a baseline that was kept.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::{Measure, Outcome, mean};
use messages::SearchMode;

/// How often the questions are drawn again.
const DRAWS: usize = 2000;
/// With fewer questions that differ nothing is told: six that all differ one way do so by chance once in 32 times.
const LEAST_DIFFERENT: usize = 6;

/// What became of each question, for each way of searching.
pub type Kept = BTreeMap<SearchMode, BTreeMap<String, Outcome>>;

/// The change of a measure over the questions that both runs have.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The mean before.
    pub before: f64,
    /// The mean now, less that.
    pub difference: f64,
    /// Questions that both runs have.
    pub questions: usize,
    /// What that tells.
    pub verdict: Verdict,
}

/// What a change tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is better.
    Better,
    /// It is worse.
    Worse,
    /// As great a difference comes about by the choice of the questions alone.
    NotDistinguishable,
}

/// `None` if the runs have no question in common.
pub fn compare(
    now: &BTreeMap<String, Outcome>,
    before: &BTreeMap<String, Outcome>,
    measure: &Measure,
) -> Option<Change> {
    let of = measure.of;
    let pairs: Vec<(f64, f64)> =
        now.iter().filter_map(|(question, now)| Some((of(before.get(question)?)?, of(now)?))).collect();
    if pairs.is_empty() {
        return None;
    }
    let differences: Vec<f64> = pairs.iter().map(|(before, now)| now - before).collect();
    let different = differences.iter().filter(|difference| **difference != 0.0).count();
    let (low, high) = interval(&differences);
    let verdict = match (low > 0.0, high < 0.0) {
        _ if different < LEAST_DIFFERENT => Verdict::NotDistinguishable,
        (false, false) => Verdict::NotDistinguishable,
        (is_more, _) if is_more != measure.less_is_better => Verdict::Better,
        _ => Verdict::Worse,
    };
    let before: Vec<f64> = pairs.iter().map(|(before, _)| *before).collect();
    Some(Change { before: mean(&before), difference: mean(&differences), questions: pairs.len(), verdict })
}

/// Where the mean of the differences lies with a probability of 95 %, by the percentiles of means of questions drawn with
/// replacement. The draws are the same in each run.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| (0..values.len()).map(|_| values[random.usize(..values.len())]).sum::<f64>() / values.len() as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    (means[DRAWS / 40], means[DRAWS - DRAWS / 40 - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::measure::MEASURES;

    #[test]
    fn five_questions_of_twenty_are_not_distinguishable_and_ten_are() {
        let run = |found: usize| -> BTreeMap<String, Outcome> {
            (0..20)
                .map(|at| {
                    (
                        format!("{at:02}"),
                        Outcome {
                            places: (at < found).then_some(1).into_iter().collect(),
                            answers: 1,
                            wrong: (at >= found).then_some(1).into_iter().collect(),
                            wrong_known: 1,
                            hits: 1,
                        },
                    )
                })
                .collect()
        };
        let verdict = |before, now| compare(&run(now), &run(before), &MEASURES[0]).unwrap().verdict;
        assert_eq!(verdict(10, 11), Verdict::NotDistinguishable);
        assert_eq!(verdict(0, 5), Verdict::NotDistinguishable);
        assert_eq!(verdict(10, 20), Verdict::Better);
        let wrong = MEASURES.iter().find(|measure| measure.less_is_better).unwrap();
        assert_eq!(compare(&run(20), &run(10), wrong).unwrap().verdict, Verdict::Better);
        assert_eq!(compare(&run(10), &run(20), wrong).unwrap().verdict, Verdict::Worse);
        assert_eq!(verdict(20, 10), Verdict::Worse);
        assert!(compare(&run(1), &BTreeMap::new(), &MEASURES[0]).is_none());
    }
}
