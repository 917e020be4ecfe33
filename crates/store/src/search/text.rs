//! By words, for users whose documents are not all in the index on words yet: `ts_rank` over the generated column `tsv`,
//! which `app migrate` drops when they are.

use super::{Candidate, CandidateRow, Extent, SearchIn, candidates};
use pg::{DbError, Session};

/// The tsquery of a question in `$1`: any of its words, in their base form, ranked by how many there are, long passages
/// less.
///
/// Measured with ten questions on a 232-page plan: this form finds a right page among the first five for all ten;
/// requiring every word finds five, weighting headings eight.
const TSQUERY: &str = r"coalesce((
    SELECT string_agg('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''', ' | ')
    FROM unnest(to_tsvector('english', $1)) AS w
  ), '')::tsquery";

/// Whether the column is there.
pub async fn has_old_index(db: &impl Session) -> Result<bool, DbError> {
    db.one(
        "-- has_old_index
SELECT EXISTS (
  SELECT
  FROM pg_attribute AS a
  WHERE a.attrelid = 'upload_pipeline.document_chunks'::regclass AND a.attname = 'tsv' AND NOT a.attisdropped) AS is_there",
        &[],
    )
    .await
}

/// The best chunks by words.
pub async fn search_text(
    db: &impl Session,
    query: &str,
    within: SearchIn<'_>,
    extent: Extent,
) -> Result<Vec<Candidate>, DbError> {
    let sql = match extent {
        Extent::Few => few(),
        Extent::Many => indexed(),
    };
    let rows: Vec<CandidateRow> = db.list(&sql, &[&query, &within.user.0, &within.ids(), &within.limit]).await?;
    Ok(candidates(rows))
}

/// Reads every passage of the user. `IS TRUE` keeps the planner from the index on words: it takes that for far more
/// selective than a common word is, and would read it whole for each document. Measured among 100,000 passages: a user
/// with 1,000 waits 12 ms, with the planner's choice 2,200 ms.
fn few() -> String {
    format!(
        "-- search_text_of_few
WITH asked AS MATERIALIZED (SELECT {TSQUERY} AS q)
SELECT c.chunk_id, c.document_id, c.chunk_ord AS ord, ts_rank(c.tsv, asked.q, 1)::float8 AS score
FROM asked
CROSS JOIN upload_pipeline.documents AS d
JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid[] IS NULL OR d.document_id = ANY ($3))
  AND (c.tsv @@ asked.q) IS TRUE
ORDER BY score DESC, c.chunk_id
LIMIT $4"
    )
}

/// Asks the index on words once, which `OFFSET 0` makes sure of, and drops what is other users'.
fn indexed() -> String {
    format!(
        "-- search_text_indexed
WITH asked AS (SELECT {TSQUERY} AS q)
SELECT m.chunk_id, m.document_id, m.ord, ts_rank(m.tsv, m.q, 1)::float8 AS score
FROM (
  SELECT c.chunk_id, c.document_id, c.chunk_ord AS ord, c.tsv, asked.q
  FROM asked
  JOIN upload_pipeline.document_chunks AS c ON c.tsv @@ asked.q
  OFFSET 0
) AS m
JOIN upload_pipeline.documents AS d ON d.document_id = m.document_id
WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid[] IS NULL OR d.document_id = ANY ($3))
ORDER BY score DESC, m.chunk_id
LIMIT $4"
    )
}
