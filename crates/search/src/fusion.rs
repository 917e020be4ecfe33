//! Merges the ranking by meaning and the ranking by words: docs/decisions/0025.

use std::collections::HashMap;

use domain::ChunkId;
use store::search::Candidate;

use super::languages::Lift;

/// Best passages of each ranking that are compared.
pub const DEPTH: usize = 100;
/// A ranking whose best stands out by less has no signal.
pub const NO_PEAK: f64 = 2.0;
/// What a ranking without signal still weighs, so that it orders what the other does not know.
pub const LEAST: f64 = 0.05;
/// How much words count beside meaning, where they cover the question and stand out alike. Measured: docs/performance.md.
pub const WORDS: f64 = 1.5;
/// Where words cover so much of the question, and their best passages are in a language that the model does not know, the
/// model has no say. Across languages words cover .14 to .27 on average, within one .42 to .72.
pub const COVERED: f64 = 0.35;
/// How much a word in the document's name counts by meaning, in deviations of the ranking.
pub const TITLE: f64 = 0.8;
/// The constant of reciprocal ranks: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
/// individual rank learning methods", SIGIR 2009.
const K: f64 = 60.0;

/// A chunk in a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// The chunk, with the score of its ranking.
    pub candidate: Candidate,
    /// By words: the share of the question's words that it has. By meaning: not used.
    pub covered: f64,
    /// The bonus of its document's name.
    pub name: f64,
    /// By meaning: what the score was lifted by.
    pub lift: Lift,
}

/// A chunk in the fused ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// The chunk.
    pub candidate: Candidate,
    /// What it is sorted by; 0 is what an average passage of the rankings has.
    pub fused: f64,
    /// Its cosine, where the ranking by meaning has it.
    pub cosine: Option<f64>,
    /// What the cosine is lifted by, to be comparable to those of passages in the question's language.
    pub lift: Lift,
    /// The share of the question's words that it has, where the ranking by words has it.
    pub covered: Option<f64>,
    /// Its place by meaning, from 1.
    pub vector_rank: Option<u32>,
    /// Its place by words, from 1.
    pub text_rank: Option<u32>,
}

/// One ranking as deviations from its mean.
struct Standard {
    mean: f64,
    deviation: f64,
    /// The greatest.
    peak: f64,
    /// The least, which a passage outside has.
    least: f64,
}

impl Standard {
    /// Of `scores`, filled up with zeros to `to`.
    fn of(scores: &[f64], to: usize) -> Self {
        let count = scores.len().max(to).max(1);
        let n = count as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let zeros = (n - scores.len() as f64) * mean.powi(2);
        let deviation = ((squares + zeros) / n).sqrt();
        let mut standard = Self { mean, deviation, peak: 0.0, least: 0.0 };
        standard.peak = scores.iter().map(|score| standard.z(*score)).fold(0.0, f64::max);
        let worst = if count > scores.len() { 0.0 } else { scores.iter().copied().fold(f64::INFINITY, f64::min) };
        standard.least = if scores.is_empty() { 0.0 } else { standard.z(worst) };
        standard
    }

    fn z(&self, score: f64) -> f64 {
        if self.deviation > 1e-9 { (score - self.mean) / self.deviation } else { 0.0 }
    }

    fn signal(&self) -> f64 {
        (self.peak - NO_PEAK).max(LEAST)
    }
}

/// Fuses two rankings of `passages` passages, each best first and without repeats; best first. Equal scores go to the
/// better place by meaning, then by words.
///
/// Each ranking's scores become deviations from its mean. A ranking weighs by how far its best stands out, and words
/// also by the greatest share of the question's words that one passage has. `knows`: whether the model knows the language
/// of the best passages by words.
pub fn fuse(by_vector: &[Placed], by_text: &[Placed], passages: usize, knows: bool) -> Vec<Fused> {
    let scores = |ranking: &[Placed]| ranking.iter().map(|placed| placed.candidate.score).collect::<Vec<_>>();
    let meaning = Standard::of(&scores(by_vector), 0);
    let words = Standard::of(&scores(by_text), DEPTH.min(passages));
    let gate = by_text.iter().map(|placed| placed.covered).fold(0.0, f64::max);
    let (of_meaning, of_words) = match (by_vector.is_empty(), by_text.is_empty()) {
        (false, false) if !knows && gate >= COVERED => (LEAST, words.signal()),
        (false, false) => (meaning.signal(), WORDS * gate * words.signal()),
        _ => (1.0, 1.0),
    };
    let mut fused = merge(by_vector, by_text);
    let names: HashMap<ChunkId, f64> =
        by_vector.iter().chain(by_text).map(|placed| (placed.candidate.chunk_id, placed.name)).collect();
    let text_scores: HashMap<ChunkId, f64> =
        by_text.iter().map(|placed| (placed.candidate.chunk_id, placed.candidate.score)).collect();
    for hit in &mut fused {
        let z_meaning = hit.cosine.map_or(meaning.least, |cosine| meaning.z(cosine + hit.lift.by));
        let z_words = match text_scores.get(&hit.candidate.chunk_id) {
            Some(score) => words.z(*score),
            // Words cannot find it: they are taken to say what its meaning says.
            None if hit.lift.is_foreign => z_meaning.min(words.peak),
            None => words.least,
        };
        let name =
            if by_vector.is_empty() { 0.0 } else { TITLE * names.get(&hit.candidate.chunk_id).copied().unwrap_or(0.0) };
        hit.fused = of_meaning * (z_meaning + name) + of_words * z_words;
    }
    // The sort is stable, so equal scores keep the order of by_vector, then of by_text.
    fused.sort_by(|a, b| b.fused.total_cmp(&a.fused));
    fused
}

/// Fuses by places alone, where the scores of a ranking mean nothing beyond its order.
pub fn fuse_by_places(by_vector: &[Placed], by_text: &[Placed]) -> Vec<Fused> {
    let mut fused = merge(by_vector, by_text);
    let share = |rank: Option<u32>| rank.map_or(0.0, |rank| 1.0 / (K + f64::from(rank)));
    for hit in &mut fused {
        hit.fused = share(hit.vector_rank) + share(hit.text_rank);
        hit.covered = None;
    }
    fused.sort_by(|a, b| b.fused.total_cmp(&a.fused));
    fused
}

fn merge(by_vector: &[Placed], by_text: &[Placed]) -> Vec<Fused> {
    let mut fused: Vec<Fused> = (1..)
        .zip(by_vector)
        .map(|(rank, placed)| Fused {
            candidate: placed.candidate,
            fused: 0.0,
            cosine: Some(placed.candidate.score - placed.lift.by),
            lift: placed.lift,
            covered: None,
            vector_rank: Some(rank),
            text_rank: None,
        })
        .collect();
    let places: HashMap<ChunkId, usize> = fused.iter().map(|hit| hit.candidate.chunk_id).zip(0..).collect();
    for (rank, placed) in (1..).zip(by_text) {
        let (covered, text_rank) = (Some(placed.covered), Some(rank));
        match places.get(&placed.candidate.chunk_id) {
            Some(place) => {
                fused[*place].covered = covered;
                fused[*place].text_rank = text_rank;
            }
            None => fused.push(Fused {
                candidate: placed.candidate,
                fused: 0.0,
                cosine: None,
                lift: Lift::default(),
                covered,
                vector_rank: None,
                text_rank,
            }),
        }
    }
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::DocumentId;
    use uuid::Uuid;

    fn ranking(scores: &[(u128, f64)], covered: f64) -> Vec<Placed> {
        let candidate = |id: u128, score| Candidate {
            chunk_id: ChunkId(Uuid::from_u128(id)),
            document_id: DocumentId(Uuid::from_u128(0)),
            ord: 0,
            score,
        };
        scores
            .iter()
            .map(|(id, score)| Placed { candidate: candidate(*id, *score), covered, name: 0.0, lift: Lift::default() })
            .collect()
    }

    /// One passage that stands out among many that do not.
    fn peaked(best: u128, others: std::ops::Range<u128>) -> Vec<(u128, f64)> {
        std::iter::once((best, 1.0)).chain(others.map(|id| (id, 0.2 + (id % 7) as f64 / 100.0))).collect()
    }

    /// Scores without a passage that stands out.
    fn flat(ids: std::ops::Range<u128>) -> Vec<(u128, f64)> {
        let n = ids.end as f64;
        ids.map(|id| (id, 0.4 - id as f64 / n / 10.0)).collect()
    }

    fn order(fused: &[Fused]) -> Vec<u128> {
        fused.iter().map(|hit| hit.candidate.chunk_id.0.as_u128()).collect()
    }

    #[test]
    fn a_ranking_without_a_peak_does_not_pull_down_the_other() {
        let (sharp, dull) = (peaked(7, 100..150), flat(10..110));
        let by_words = fuse(&ranking(&dull, 0.0), &ranking(&sharp, 0.9), 1000, true);
        let by_meaning = fuse(&ranking(&sharp, 0.0), &ranking(&dull, 0.9), 1000, true);
        assert_eq!((order(&by_words)[0], order(&by_meaning)[0]), (7, 7));
    }

    #[test]
    fn words_count_by_the_share_of_the_question_that_they_cover() {
        let (meaning, words) = (peaked(1, 100..150), peaked(2, 100..150));
        assert_eq!(order(&fuse(&ranking(&meaning, 0.0), &ranking(&words, 0.05), 1000, true))[0], 1);
        assert_eq!(order(&fuse(&ranking(&meaning, 0.0), &ranking(&words, 1.0), 1000, true))[..2], [2, 1]);
    }

    #[test]
    fn a_model_has_no_say_about_a_language_that_it_does_not_know_unless_words_find_little() {
        let (meaning, words) = (peaked(1, 100..150), peaked(2, 3..60));
        let first = |covered, knows| order(&fuse(&ranking(&meaning, 0.0), &ranking(&words, covered), 1000, knows))[0];
        assert_eq!((first(0.4, true), first(0.4, false), first(0.1, false)), (1, 2, 1));
    }

    #[test]
    fn one_ranking_alone_keeps_its_order_and_no_score_is_not_a_number() {
        let scores = [(9, 0.9), (3, 0.5), (7, 0.4), (1, 0.4)];
        let text = fuse(&[], &ranking(&scores, 0.5), 4, true);
        let vector = fuse(&ranking(&scores, 0.0), &[], 4, true);
        assert_eq!((order(&text), order(&vector)), (vec![9, 3, 7, 1], vec![9, 3, 7, 1]));
        assert!(fuse(&[], &[], 0, true).is_empty());
        let single = fuse(&ranking(&[(1, 0.3)], 0.0), &ranking(&[(1, 2.0)], 1.0), 1, true);
        assert!(single[0].fused.is_finite() && single[0].vector_rank == Some(1) && single[0].text_rank == Some(1));
    }

    #[test]
    fn by_places_a_chunk_in_both_rankings_beats_the_top_of_either() {
        let fused = fuse_by_places(
            &ranking(&[(1, 0.9), (2, 0.8), (3, 0.7)], 0.0),
            &ranking(&[(4, 3.0), (2, 2.0), (5, 1.0)], 0.0),
        );
        assert_eq!(order(&fused)[0], 2);
        assert!((fused[0].fused - 2.0 / 62.0).abs() < 1e-12);
    }
}
