//! Searches a user's complete documents: by meaning, by words, or by both, fused into one ranking.
//!
//! *Must not know:* HTTP and its messages, the queue, concrete models.

mod fusion;

use std::{collections::HashMap, sync::Arc};

use domain::{
    ChunkId, Code, DocumentId, Failure, UserId,
    ports::{EmbedPriority, Embedder, ModelSource},
};
use pg::{Db, DbError};
use store::search::{FoundChunk, SearchIn, get_extent, list_found_chunks, search_text, search_vectors};

pub use fusion::{Fused, fuse};

/// The most hits of a search, and of each ranking before they are fused.
pub const MAX_HITS: u32 = 50;

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Whose documents to search.
    pub user: UserId,
    /// Only this document.
    pub document: Option<DocumentId>,
    /// A question or some words.
    pub text: &'a str,
    /// Whether to search by meaning. With `by_words`, a search goes on without the model where that fails.
    pub by_meaning: bool,
    /// Whether to search by words.
    pub by_words: bool,
    /// The most hits to return, up to [`MAX_HITS`].
    pub limit: usize,
}

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    /// The chunks, each with its place in the ranking, best first.
    pub hits: Vec<(Fused, FoundChunk)>,
    /// The model of the vectors; `None`: the search was by words only.
    pub model: Option<String>,
}

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The database failed; a retry may help.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The query has no vector, and a search by words was not wanted. The class says whether a retry may help.
    #[error(transparent)]
    Embedding(Failure),
}

/// Runs `query`. No connection is held while the model works.
pub async fn search(db: &Db, model: &dyn ModelSource, query: Query<'_>) -> Result<Found, SearchError> {
    let Query { user, document, text, .. } = query;
    let within = SearchIn { user, document, limit: i64::from(MAX_HITS) };
    let vector = query_vector(model, query).await?;
    let extent = get_extent(db, within).await?;
    let by_vector = match &vector {
        Some((embedder, vector)) => search_vectors(db, embedder.model(), vector, within, extent).await?,
        None => Vec::new(),
    };
    let by_text = if query.by_words { search_text(db, text, within, extent).await? } else { Vec::new() };
    let fused = fuse(&by_vector, &by_text, query.limit);
    let ids: Vec<ChunkId> = fused.iter().map(|place| place.chunk_id).collect();
    let chunks = list_found_chunks(db, user, text, &ids).await?;
    let mut chunks: HashMap<ChunkId, FoundChunk> = chunks.into_iter().map(|chunk| (chunk.chunk_id, chunk)).collect();
    // A chunk that was deleted since it was found is left out.
    let hits = fused.into_iter().filter_map(|place| Some((place, chunks.remove(&place.chunk_id)?))).collect();
    Ok(Found { hits, model: vector.map(|(embedder, _)| embedder.model().name.clone()) })
}

type QueryVector = Option<(Arc<dyn Embedder>, Vec<f32>)>;

async fn query_vector(model: &dyn ModelSource, query: Query<'_>) -> Result<QueryVector, SearchError> {
    if !query.by_meaning {
        return Ok(None);
    }
    match embed(model, query.text).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if query.by_words => {
            tracing::warn!(
                error.code = failure.code.as_str(),
                "the query has no vector, so words alone are searched: {failure}"
            );
            Ok(None)
        }
        Err(failure) => Err(SearchError::Embedding(failure)),
    }
}

async fn embed(model: &dyn ModelSource, text: &str) -> Result<(Arc<dyn Embedder>, Vec<f32>), Failure> {
    let embedder = model.embedder().await?;
    let mut vectors = embedder.embed(vec![text.to_owned()], EmbedPriority::Query).await?;
    let vector = vectors.pop().filter(|vector| vector.len() == embedder.model().dim);
    let vector =
        vector.ok_or_else(|| Failure::new(Code::EmbedderAnswerInvalid, "the model gave no vector of its dimension"))?;
    Ok((embedder, vector))
}
