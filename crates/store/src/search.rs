//! Finds chunks by meaning and by words, in complete documents of one user.

mod text;
mod vectors;
mod words;

use serde_json::Value;
use uuid::Uuid;

use domain::{ChunkId, DocumentId, UserId};
use pg::{DbError, FromRow, Session};

pub use text::{has_old_index, search_text};
pub use vectors::{
    SearchedDocument, SpokenDocument, list_cosines, list_means, list_packed, list_searched_documents,
    list_spoken_documents, search_vectors,
};
pub use words::{
    Numbered, Postings, WordUser, get_word_user, list_chosen, list_ids, list_numbers, list_postings,
    list_title_documents, list_word_chunks,
};

/// The function of the database that takes the terms of a question, in the form that this build gives them.
pub const SEARCH_FUNCTION: &str = "upload_pipeline.search";

/// Below this many passages of a user, the old search by words reads all of them; from here on it uses its index.
const FEW_BELOW: i64 = 20_000;

/// Where to search.
#[derive(Debug, Clone, Copy)]
pub struct SearchIn<'a> {
    /// Whose documents.
    pub user: UserId,
    /// Only in these documents.
    pub documents: Option<&'a [DocumentId]>,
    /// Hits wanted.
    pub limit: i64,
}

impl SearchIn<'_> {
    fn ids(&self) -> Option<Vec<Uuid>> {
        self.documents.map(|documents| documents.iter().map(|id| id.0).collect())
    }
}

/// How the old search by words goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All passages are read, found by their documents.
    Few,
    /// The index is used. It does not know users, so passages of other users that it finds are dropped.
    Many,
}

/// How much there is within `within`, for a user whose passages the index on words does not count.
pub async fn get_extent(db: &impl Session, within: SearchIn<'_>) -> Result<Extent, DbError> {
    let passages: i64 = db
        .one(
            "-- get_extent
SELECT count(*) AS n
FROM (
  SELECT
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.user_id = $1 AND d.processing_status = 'complete' AND ($2::uuid[] IS NULL OR d.document_id = ANY ($2))
  LIMIT $3
) AS counted",
            &[&within.user.0, &within.ids(), &FEW_BELOW],
        )
        .await?;
    Ok(if passages < FEW_BELOW { Extent::Few } else { Extent::Many })
}

/// A chunk that a ranking has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Its document.
    pub document_id: DocumentId,
    /// Its place in the document.
    pub ord: i32,
    /// What the ranking says; more is better.
    pub score: f64,
}

#[derive(FromRow)]
struct CandidateRow {
    chunk_id: ChunkId,
    document_id: DocumentId,
    ord: i32,
    score: f64,
}

fn candidates(rows: Vec<CandidateRow>) -> Vec<Candidate> {
    rows.into_iter()
        .map(|CandidateRow { chunk_id, document_id, ord, score }| Candidate { chunk_id, document_id, ord, score })
        .collect()
}

/// A chunk as a hit shows it.
#[derive(Debug, Clone, FromRow)]
pub struct FoundChunk {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// The document.
    pub document_id: DocumentId,
    /// Its file name.
    pub filename: String,
    /// Its place in the document.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// First page, where there are pages.
    pub page_first: Option<i32>,
    /// Last page.
    pub page_last: Option<i32>,
    /// What is printed on the first page as its number, where that is not the number.
    pub page_label: Option<String>,
    /// Where it stands, as JSON.
    pub boxes: Option<Value>,
    /// ISO 639-1 code of the document's language; empty: not known.
    pub language: String,
}

/// The chunks with these ids, in no particular order. One that was deleted since it was found is left out.
pub async fn list_found_chunks(
    db: &impl Session,
    user: UserId,
    chunks: &[ChunkId],
) -> Result<Vec<FoundChunk>, DbError> {
    let ids: Vec<Uuid> = chunks.iter().map(|chunk| chunk.0).collect();
    db.list(
        "-- list_found_chunks
SELECT h.chunk_id, h.document_id, h.filename, h.ord, h.heading, h.text, h.page_first, h.page_last, h.page_label, h.boxes, h.language
FROM upload_pipeline.search_hits(p_user => $1, p_chunks => $2) AS h",
        &[&user.0, &ids],
    )
    .await
}

/// A passage beside a hit.
#[derive(Debug, Clone, FromRow)]
pub struct Neighbour {
    /// The chunk of the hit.
    pub of: ChunkId,
    /// Its place in the document.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// First page, where there are pages.
    pub page_first: Option<i32>,
    /// Last page.
    pub page_last: Option<i32>,
}

/// Passages of the same documents up to `distance` places before and after each chunk, itself left out, in order.
pub async fn list_neighbours(db: &impl Session, chunks: &[ChunkId], distance: i32) -> Result<Vec<Neighbour>, DbError> {
    let ids: Vec<Uuid> = chunks.iter().map(|chunk| chunk.0).collect();
    db.list(
        "-- list_neighbours
SELECT c.chunk_id AS of, n.chunk_ord AS ord, n.heading, n.text, n.page_first, n.page_last
FROM upload_pipeline.document_chunks AS c
JOIN upload_pipeline.document_chunks AS n
  ON n.document_id = c.document_id AND n.chunker_name = c.chunker_name AND n.chunker_version = c.chunker_version
    AND n.chunk_ord BETWEEN c.chunk_ord - $2 AND c.chunk_ord + $2 AND n.chunk_ord <> c.chunk_ord
WHERE c.chunk_id = ANY ($1)
ORDER BY c.chunk_id, n.chunk_ord",
        &[&ids, &distance],
    )
    .await
}
