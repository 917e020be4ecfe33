//! Reciprocal rank fusion: merges two rankings without comparing their scores.

use domain::ChunkId;

/// How much more a place near the top counts than one further down.
///
/// From Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
/// methods", SIGIR 2009, who found 60 to do well across collections.
const K: f64 = 60.0;

/// A chunk in the fused ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// The sum of `1 / (K + place)` over the rankings that have it.
    pub score: f64,
    /// Its place by meaning, from 1.
    pub vector_rank: Option<u32>,
    /// Its place by words, from 1.
    pub text_rank: Option<u32>,
}

/// Fuses two rankings, each best first and without repeats; the best `limit`, best first. Equal scores go to the better
/// place by meaning, then by words.
pub fn fuse(by_vector: &[ChunkId], by_text: &[ChunkId], limit: usize) -> Vec<Fused> {
    let mut fused: Vec<Fused> = (1..)
        .zip(by_vector)
        .map(|(rank, chunk)| Fused { chunk_id: *chunk, score: share(rank), vector_rank: Some(rank), text_rank: None })
        .collect();
    for (rank, chunk) in (1..).zip(by_text) {
        match fused.iter_mut().find(|hit| hit.chunk_id == *chunk) {
            Some(hit) => {
                hit.score += share(rank);
                hit.text_rank = Some(rank);
            }
            None => {
                fused.push(Fused { chunk_id: *chunk, score: share(rank), vector_rank: None, text_rank: Some(rank) })
            }
        }
    }
    // The sort is stable, so equal scores keep the order of by_vector, then of by_text.
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused.truncate(limit);
    fused
}

fn share(rank: u32) -> f64 {
    1.0 / (K + f64::from(rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ids(numbers: &[u128]) -> Vec<ChunkId> {
        numbers.iter().map(|n| ChunkId(Uuid::from_u128(*n))).collect()
    }

    #[test]
    fn a_chunk_in_both_rankings_beats_the_top_of_either() {
        let fused = fuse(&ids(&[1, 2, 3]), &ids(&[4, 2, 5]), 10);
        assert_eq!(fused[0].chunk_id, ids(&[2])[0]);
        assert_eq!((fused[0].vector_rank, fused[0].text_rank), (Some(2), Some(2)));
        assert!((fused[0].score - 2.0 / 62.0).abs() < 1e-12);
        assert_eq!(fused.len(), 5);
    }

    #[test]
    fn equal_scores_keep_meaning_before_words_and_the_limit_holds() {
        let fused = fuse(&ids(&[1]), &ids(&[2]), 1);
        assert_eq!(fused.iter().map(|hit| hit.chunk_id).collect::<Vec<_>>(), ids(&[1]));
    }

    #[test]
    fn one_ranking_alone_keeps_its_order() {
        let order = ids(&[9, 3, 7, 1]);
        let text: Vec<_> = fuse(&[], &order, 10).iter().map(|hit| hit.chunk_id).collect();
        let vector: Vec<_> = fuse(&order, &[], 10).iter().map(|hit| hit.chunk_id).collect();
        assert_eq!((text, vector), (order.clone(), order));
        assert!(fuse(&[], &[], 10).is_empty());
    }
}
