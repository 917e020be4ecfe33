//! By meaning.

use super::{Candidate, CandidateRow, Extent, SearchIn, candidates};
use domain::ports::EmbedModel;
use pg::{Db, DbError, Session};

/// `hnsw.ef_search`: pgvector's default is 40, less than the number of candidates that are fused.
const EF_SEARCH: &str = "200";

/// The best chunks by meaning, with their cosine: exactly for a user with few passages, else through the model's index.
pub async fn search_vectors(
    db: &Db,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn<'_>,
    extent: Extent,
) -> Result<Vec<Candidate>, DbError> {
    match extent {
        Extent::Few => search_vectors_exact(db, model, vector, within).await,
        Extent::Many => {
            db.run_tx("search_vectors", move |tx| {
                Box::pin(async move {
                    set_index_options(&tx).await?;
                    search_vectors_indexed(&tx, model, vector, within).await
                })
            })
            .await
        }
    }
}

fn dim(model: &EmbedModel) -> i32 {
    i32::try_from(model.dim).unwrap_or(i32::MAX)
}

/// Compares every vector of the user. The candidates are materialised, so that the planner cannot use the index, which
/// would read other users' vectors first and could miss some of these.
async fn search_vectors_exact(
    db: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn<'_>,
) -> Result<Vec<Candidate>, DbError> {
    let dim = dim(model);
    let sql = format!(
        "-- search_vectors_exact
WITH candidates AS MATERIALIZED (
  SELECT c.chunk_id, c.document_id, c.chunk_ord, c.embedding::vector({dim}) <=> $1::real[]::vector({dim}) AS distance
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid[] IS NULL OR d.document_id = ANY ($3))
    AND c.embed_model = $5 AND c.embed_version = $6 AND c.vector_dim = {dim} AND c.embedding IS NOT NULL
)
SELECT k.chunk_id, k.document_id, k.chunk_ord AS ord, 1 - k.distance AS score
FROM candidates AS k
ORDER BY k.distance, k.chunk_id
LIMIT $4"
    );
    let rows: Vec<CandidateRow> =
        db.list(&sql, &[&vector, &within.user.0, &within.ids(), &within.limit, &model.name, &model.version]).await?;
    Ok(candidates(rows))
}

/// Makes the index search further, and, with pgvector 0.8 and later, go on while the filter leaves too few.
async fn set_index_options(tx: &impl Session) -> Result<(), DbError> {
    tx.exec(
        "-- set_index_options
SELECT set_config('hnsw.ef_search', $1, true),
  CASE WHEN string_to_array(e.extversion, '.')::int[] >= '{0,8}'::int[]
    THEN set_config('hnsw.iterative_scan', 'relaxed_order', true) END
FROM pg_extension AS e
WHERE e.extname = 'vector'",
        &[&EF_SEARCH],
    )
    .await
}

/// Uses the model's index. The statement repeats the index's expression and condition exactly
/// (`migrations::ensure_vector_indexes`), hence the model's name as a literal. The index returns relaxed order, so the
/// rows are sorted outside; `+ 0` keeps the planner from taking them as sorted.
async fn search_vectors_indexed(
    tx: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn<'_>,
) -> Result<Vec<Candidate>, DbError> {
    let dim = dim(model);
    let name = quote_literal(&model.name);
    let sql = format!(
        "-- search_vectors_indexed
WITH nearest AS MATERIALIZED (
  SELECT c.chunk_id, c.document_id, c.chunk_ord, c.embedding::vector({dim}) <=> $1::real[]::vector({dim}) AS distance
  FROM upload_pipeline.document_chunks AS c
  WHERE c.embed_model = {name} AND c.vector_dim = {dim} AND c.embedding IS NOT NULL AND c.embed_version = $5
    AND EXISTS (
      SELECT
      FROM upload_pipeline.documents AS d
      WHERE d.document_id = c.document_id AND d.user_id = $2 AND d.processing_status = 'complete'
        AND ($3::uuid[] IS NULL OR d.document_id = ANY ($3)))
  ORDER BY c.embedding::vector({dim}) <=> $1::real[]::vector({dim})
  LIMIT $4
)
SELECT k.chunk_id, k.document_id, k.chunk_ord AS ord, 1 - k.distance AS score
FROM nearest AS k
ORDER BY k.distance + 0, k.chunk_id"
    );
    let rows: Vec<CandidateRow> =
        tx.list(&sql, &[&vector, &within.user.0, &within.ids(), &within.limit, &model.version]).await?;
    Ok(candidates(rows))
}

/// A string as an SQL literal that means the same whatever `standard_conforming_strings` says.
fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\\', r"\\").replace('\'', "''");
    if text.contains('\\') { format!("E'{quoted}'") } else { format!("'{quoted}'") }
}
