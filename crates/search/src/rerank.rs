//! Has a reranker judge the best passages once more.

use std::collections::HashMap;

use domain::{
    ChunkId,
    ports::{Chunk, Reranker},
};
use pg::{Db, DbError};
use store::search::{FoundChunk, list_found_chunks};

use super::{Query, fusion::Fused};

/// How many passages are judged, if no more hits are wanted.
const JUDGED: usize = 40;

/// A place in the ranking, and its score.
pub(super) type Scored = (Fused, f64);

/// Puts the best of `ranked` in the order of the reranker's judgement of `question`, with that as their score, before the others. Leaves
/// all as it is, and returns false, where the reranker fails.
pub(super) async fn rerank(
    db: &Db,
    reranker: &dyn Reranker,
    query: Query<'_>,
    question: &str,
    ranked: &mut Vec<Scored>,
) -> Result<bool, DbError> {
    let best: Vec<ChunkId> =
        ranked.iter().take(JUDGED.max(query.limit)).map(|(place, _)| place.candidate.chunk_id).collect();
    if best.is_empty() {
        return Ok(false);
    }
    let chunks: HashMap<ChunkId, FoundChunk> =
        list_found_chunks(db, query.user, &best).await?.into_iter().map(|chunk| (chunk.chunk_id, chunk)).collect();
    // A chunk that was deleted since it was found is left out of the hits later.
    let text =
        |id: &ChunkId| chunks.get(id).map_or_else(String::new, |chunk| Chunk::embed_text(&chunk.heading, &chunk.text));
    let passages: Vec<String> = best.iter().map(text).collect();
    match reranker.rerank(question, &passages).await {
        Ok(judged) => {
            *ranked = in_order(std::mem::take(ranked), &judged);
            Ok(true)
        }
        Err(failure) => {
            tracing::warn!(error.code = failure.code.as_str(), "the hits keep the order of the search: {failure}");
            Ok(false)
        }
    }
}

/// The first by their judgement, the others behind them with no greater score.
fn in_order(ranked: Vec<Scored>, judged: &[f64]) -> Vec<Scored> {
    let mut rest = ranked.into_iter();
    let mut best: Vec<Scored> =
        rest.by_ref().take(judged.len()).zip(judged).map(|((place, _), score)| (place, *score)).collect();
    best.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let least = best.last().map_or(1.0, |(_, score)| *score);
    best.extend(rest.map(|(place, score)| (place, score.min(least))));
    best
}
