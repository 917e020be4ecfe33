//! Finding chunks by meaning and by words: complete documents of one user only.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Db, DbError, Session, session::column};
use crate::{
    domain::{ChunkId, DocumentId, UserId},
    ports::EmbedModel,
};

/// A user with fewer vectors than this has all of them compared; from here on the model's index is asked.
///
/// Source: ours; comparing 20,000 vectors of 384 components takes some 20 ms, and misses nothing.
pub const EXACT_BELOW: i64 = 20_000;

/// How far the index looks at the least. Source: pgvector's default is 40, less than the candidates that are fused.
const EF_SEARCH: &str = "200";

/// In what to search.
#[derive(Debug, Clone, Copy)]
pub struct SearchIn {
    /// Whose documents.
    pub user: UserId,
    /// Only in this one.
    pub document: Option<DocumentId>,
    /// Hits wanted.
    pub limit: i64,
}

/// The tsquery of a question in `$1`: any of its words, in their base form, ranked by how many there are, long passages less.
///
/// Source: measured over ten questions on a 232-page plan: this form finds a right page among the first five for all ten;
/// requiring every word finds five, weighting headings eight.
/// The one place that says how text is searched; each statement below names it.
const TSQUERY: &str = r"coalesce((
    SELECT string_agg('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''', ' | ')
    FROM unnest(to_tsvector('english', $1)) AS w
  ), '')::tsquery";

/// The best chunks by words.
pub async fn search_text(db: &impl Session, query: &str, within: SearchIn) -> Result<Vec<ChunkId>, DbError> {
    let sql = format!(
        "-- search_text
WITH asked AS (SELECT {TSQUERY} AS q)
SELECT c.chunk_id
FROM asked
JOIN upload_pipeline.document_chunks AS c ON c.tsv @@ asked.q
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid IS NULL OR d.document_id = $3)
ORDER BY ts_rank(c.tsv, asked.q, 1) DESC, c.chunk_id
LIMIT $4"
    );
    let rows = db
        .rows(
            &sql,
            &[
                (&query, Type::TEXT),
                (&within.user.0, Type::UUID),
                (&within.document.map(|id| id.0), Type::UUID),
                (&within.limit, Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(|row| column(row, "chunk_id").map(ChunkId)).collect()
}

/// The best chunks by meaning: exactly for a user with few vectors, else through the model's index.
pub async fn search_vectors(
    db: &Db,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn,
) -> Result<Vec<ChunkId>, DbError> {
    let conn = db.get().await?;
    if count_vectors(&conn, model, within).await? < EXACT_BELOW {
        return search_vectors_exact(&conn, model, vector, within).await;
    }
    drop(conn);
    db.run_tx("search_vectors", move |tx| {
        Box::pin(async move {
            set_index_options(&tx).await?;
            search_vectors_indexed(&tx, model, vector, within).await
        })
    })
    .await
}

fn dim(model: &EmbedModel) -> i32 {
    i32::try_from(model.dim).unwrap_or(i32::MAX)
}

/// How many vectors there are to compare, up to [`EXACT_BELOW`].
async fn count_vectors(db: &impl Session, model: &EmbedModel, within: SearchIn) -> Result<i64, DbError> {
    let row = db
        .row(
            "-- count_vectors
SELECT count(*) AS n
FROM (
  SELECT
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.user_id = $1 AND d.processing_status = 'complete' AND ($2::uuid IS NULL OR d.document_id = $2)
    AND c.embed_model = $3 AND c.embed_version = $4 AND c.vector_dim = $5
  LIMIT $6
) AS counted",
            &[
                (&within.user.0, Type::UUID),
                (&within.document.map(|id| id.0), Type::UUID),
                (&model.name, Type::TEXT),
                (&model.version, Type::TEXT),
                (&dim(model), Type::INT4),
                (&EXACT_BELOW, Type::INT8),
            ],
        )
        .await?;
    row.map_or(Ok(0), |row| column(&row, "n"))
}

/// Compares every vector of the user. The candidates are a step of their own, so that the planner cannot reach for the
/// index, which would look at other users' vectors first and could miss some of these.
async fn search_vectors_exact(
    db: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn,
) -> Result<Vec<ChunkId>, DbError> {
    let dim = dim(model);
    let sql = format!(
        "-- search_vectors_exact
WITH candidates AS MATERIALIZED (
  SELECT c.chunk_id, c.embedding::vector({dim}) <=> $1::real[]::vector({dim}) AS distance
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid IS NULL OR d.document_id = $3)
    AND c.embed_model = $5 AND c.embed_version = $6 AND c.vector_dim = {dim} AND c.embedding IS NOT NULL
)
SELECT k.chunk_id
FROM candidates AS k
ORDER BY k.distance, k.chunk_id
LIMIT $4"
    );
    let rows = db
        .rows(
            &sql,
            &[
                (&vector, Type::FLOAT4_ARRAY),
                (&within.user.0, Type::UUID),
                (&within.document.map(|id| id.0), Type::UUID),
                (&within.limit, Type::INT8),
                (&model.name, Type::TEXT),
                (&model.version, Type::TEXT),
            ],
        )
        .await?;
    rows.iter().map(|row| column(row, "chunk_id").map(ChunkId)).collect()
}

/// Lets the index look further, and go on looking while the filter leaves too few: pgvector 0.8 and later can.
async fn set_index_options(tx: &impl Session) -> Result<(), DbError> {
    tx.run(
        "-- set_index_options
SELECT set_config('hnsw.ef_search', $1, true),
  CASE WHEN string_to_array(e.extversion, '.')::int[] >= '{0,8}'::int[]
    THEN set_config('hnsw.iterative_scan', 'relaxed_order', true) END
FROM pg_extension AS e
WHERE e.extname = 'vector'",
        &[(&EF_SEARCH, Type::TEXT)],
    )
    .await
    .map(drop)
}

/// Asks the model's index, whose expression and condition this repeats to the letter (`migrations::ensure_vector_indexes`);
/// hence the model's name as a literal. What comes in relaxed order is put in order outside; `+ 0` keeps the planner from
/// believing that it is in order already.
async fn search_vectors_indexed(
    tx: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn,
) -> Result<Vec<ChunkId>, DbError> {
    let dim = dim(model);
    let name = quote_literal(&model.name);
    let sql = format!(
        "-- search_vectors_indexed
WITH nearest AS MATERIALIZED (
  SELECT c.chunk_id, c.embedding::vector({dim}) <=> $1::real[]::vector({dim}) AS distance
  FROM upload_pipeline.document_chunks AS c
  WHERE c.embed_model = {name} AND c.vector_dim = {dim} AND c.embedding IS NOT NULL AND c.embed_version = $5
    AND EXISTS (
      SELECT
      FROM upload_pipeline.documents AS d
      WHERE d.document_id = c.document_id AND d.user_id = $2 AND d.processing_status = 'complete'
        AND ($3::uuid IS NULL OR d.document_id = $3))
  ORDER BY c.embedding::vector({dim}) <=> $1::real[]::vector({dim})
  LIMIT $4
)
SELECT k.chunk_id
FROM nearest AS k
ORDER BY k.distance + 0, k.chunk_id"
    );
    let rows = tx
        .rows(
            &sql,
            &[
                (&vector, Type::FLOAT4_ARRAY),
                (&within.user.0, Type::UUID),
                (&within.document.map(|id| id.0), Type::UUID),
                (&within.limit, Type::INT8),
                (&model.version, Type::TEXT),
            ],
        )
        .await?;
    rows.iter().map(|row| column(row, "chunk_id").map(ChunkId)).collect()
}

/// A string as an SQL literal that means the same whatever `standard_conforming_strings` says.
fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\\', r"\\").replace('\'', "''");
    if text.contains('\\') { format!("E'{quoted}'") } else { format!("'{quoted}'") }
}

/// A chunk as a hit shows it.
#[derive(Debug, Clone)]
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
SELECT c.chunk_id, c.document_id, d.filename, c.chunk_ord, c.heading, c.text, c.page_first, c.page_last,
  CASE WHEN to_tsvector('english', c.text) @@ asked.q
    THEN ts_headline('english', translate(c.text, '*`', ''), asked.q, 'StartSel=**, StopSel=**, MaxFragments=2, MinWords=8, MaxWords=30')
    ELSE left(translate(c.text, '*`', ''), 240) END AS highlight
FROM asked
CROSS JOIN upload_pipeline.document_chunks AS c
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE c.chunk_id = ANY ($2) AND d.user_id = $3 AND d.processing_status = 'complete'"
    );
    let rows = db.rows(&sql, &[(&query, Type::TEXT), (&ids, Type::UUID_ARRAY), (&user.0, Type::UUID)]).await?;
    rows.iter()
        .map(|row| {
            Ok(FoundChunk {
                chunk_id: ChunkId(column(row, "chunk_id")?),
                document_id: DocumentId(column(row, "document_id")?),
                filename: column(row, "filename")?,
                ord: column(row, "chunk_ord")?,
                heading: column(row, "heading")?,
                text: column(row, "text")?,
                page_first: column(row, "page_first")?,
                page_last: column(row, "page_last")?,
                highlight: column(row, "highlight")?,
            })
        })
        .collect()
}
