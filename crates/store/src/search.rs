//! Finds chunks by meaning and by words, in complete documents of one user.

mod text;
mod vectors;

use serde_json::Value;
use uuid::Uuid;

use domain::{ChunkId, DocumentId, UserId};
use pg::{DbError, FromRow, Session};

pub use text::search_text;
pub use vectors::search_vectors;

/// Below this many passages of a user, all of them are compared; from here on the indexes are used. Measured: comparing
/// 20,000 vectors of 384 components takes 20 ms, and misses nothing.
const FEW_BELOW: i64 = 20_000;

/// Where to search.
#[derive(Debug, Clone, Copy)]
pub struct SearchIn {
    /// Whose documents.
    pub user: UserId,
    /// Only in this document.
    pub document: Option<DocumentId>,
    /// Hits wanted.
    pub limit: i64,
}

/// How much there is to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All passages are compared, found by their documents.
    Few,
    /// The indexes are used. They do not know users, so passages of other users that they find are dropped.
    Many,
}

/// How much there is within `within`.
pub async fn get_extent(db: &impl Session, within: SearchIn) -> Result<Extent, DbError> {
    let passages: i64 = db
        .one(
            "-- get_extent
SELECT count(*) AS n
FROM (
  SELECT
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.user_id = $1 AND d.processing_status = 'complete' AND ($2::uuid IS NULL OR d.document_id = $2)
  LIMIT $3
) AS counted",
            &[&within.user.0, &within.document.map(|id| id.0), &FEW_BELOW],
        )
        .await?;
    Ok(if passages < FEW_BELOW { Extent::Few } else { Extent::Many })
}

/// The tsquery of a question in `$1`: any of its words, in their base form, ranked by how many there are, long passages
/// less.
///
/// Measured with ten questions on a 232-page plan: this form finds a right page among the first five for all ten;
/// requiring every word finds five, weighting headings eight.
const TSQUERY: &str = r"coalesce((
    SELECT string_agg('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''', ' | ')
    FROM unnest(to_tsvector('english', $1)) AS w
  ), '')::tsquery";

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
    /// Fragments with `**` around the words that match and no other emphasis; the start of the passage where none does.
    pub highlight: String,
}

/// The chunks with these ids, in no particular order, with what of the query they hold. One that was deleted since it
/// was found is left out. The passage's own emphasis is taken out of the highlight, where `**` means a match.
pub async fn list_found_chunks(
    db: &impl Session,
    user: UserId,
    query: &str,
    chunks: &[ChunkId],
) -> Result<Vec<FoundChunk>, DbError> {
    let ids: Vec<Uuid> = chunks.iter().map(|chunk| chunk.0).collect();
    let sql = format!(
        "-- list_found_chunks
WITH asked AS (SELECT {TSQUERY} AS q)
SELECT c.chunk_id, c.document_id, d.filename, c.chunk_ord AS ord, c.heading, c.text, c.page_first, c.page_last,
  c.page_label, c.boxes,
  CASE WHEN to_tsvector('english', c.text) @@ asked.q
    THEN ts_headline('english', translate(c.text, '*`', ''), asked.q, 'StartSel=**, StopSel=**, MaxFragments=2, MinWords=8, MaxWords=30')
    ELSE left(translate(c.text, '*`', ''), 240) END AS highlight
FROM asked
CROSS JOIN upload_pipeline.document_chunks AS c
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE c.chunk_id = ANY ($2) AND d.user_id = $3 AND d.processing_status = 'complete'"
    );
    db.list(&sql, &[&query, &ids, &user.0]).await
}
