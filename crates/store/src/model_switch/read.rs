//! What there is to do, and how far it is.

use serde_json::Value;

use crate::beside::{dim, lacks_vector};
use domain::ports::EmbedModel;
use pg::{DbError, FromRow, Session};

/// What a change to a model has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct ReembedPlan {
    /// Passages of complete documents.
    pub passages: i64,
    /// Those without a vector of the model.
    pub lacking: i64,
    /// Different texts of a user among those: each is embedded once.
    pub texts: i64,
    /// Tokens of these texts, as the chunker counts them, or a quarter of the bytes if that is more.
    pub tokens: i64,
}

/// What a change to `model` has to do.
pub async fn plan_reembedding(db: &impl Session, model: &EmbedModel) -> Result<ReembedPlan, DbError> {
    let lacks = lacks_vector("c", "$1", "$2", "$3");
    db.one(
        &format!(
            "-- plan_reembedding
WITH lacking AS (
  SELECT count(*) AS passages,
    max(greatest(coalesce(c.token_count, 0), octet_length(c.heading || c.text) / 4)) AS tokens
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
  WHERE d.processing_status = 'complete' AND {lacks}
  GROUP BY d.user_id, c.chunk_sha
)
SELECT
  (SELECT count(*)
   FROM upload_pipeline.documents AS d
   JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
   WHERE d.processing_status = 'complete') AS passages,
  coalesce(sum(l.passages), 0)::bigint AS lacking, count(*) AS texts, coalesce(sum(l.tokens), 0)::bigint AS tokens
FROM lacking AS l"
        ),
        &[&model.name, &model.version, &dim(model)],
    )
    .await
}

/// Some texts of complete documents, as they are embedded: heading and passage.
pub async fn sample_texts(db: &impl Session, limit: i64) -> Result<Vec<(String, String)>, DbError> {
    db.list(
        "-- sample_texts
SELECT c.heading, c.text
FROM upload_pipeline.documents AS d
JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
WHERE d.processing_status = 'complete'
LIMIT $1",
        &[&limit],
    )
    .await
}

/// How far a change to a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct ReembedCounts {
    /// Passages of complete documents.
    pub passages: i64,
    /// Those without a vector of the model, the refused ones left out.
    pub missing: i64,
    /// Those whose text the service refused.
    pub refused: i64,
}

/// How far a change to `model` is.
pub async fn count_reembedded(db: &impl Session, model: &EmbedModel) -> Result<ReembedCounts, DbError> {
    db.one(
        "-- count_reembedded
SELECT count(*) AS passages,
  count(*) FILTER (WHERE NOT h.has_vector AND r.document_id IS NULL) AS missing,
  count(*) FILTER (WHERE NOT h.has_vector AND r.document_id IS NOT NULL) AS refused
FROM upload_pipeline.documents AS d
JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
LEFT JOIN upload_pipeline.chunk_vectors AS b
  ON b.document_id = c.document_id AND b.chunk_sha = c.chunk_sha AND b.embed_model = $1 AND b.embed_version = $2
    AND b.vector_dim = $3
LEFT JOIN upload_pipeline.refused_texts AS r ON r.document_id = c.document_id AND r.chunk_sha = c.chunk_sha
CROSS JOIN LATERAL (
  SELECT b.document_id IS NOT NULL
    OR (c.embedding IS NOT NULL AND c.embed_model = $1 AND c.embed_version = $2 AND c.vector_dim = $3) IS TRUE AS has_vector
) AS h
WHERE d.processing_status = 'complete'",
        &[&model.name, &model.version, &dim(model)],
    )
    .await
}

/// The vectors by `model` that were written beside in the last `seconds`.
pub async fn count_recent_vectors(db: &impl Session, model: &EmbedModel, seconds: i32) -> Result<i64, DbError> {
    db.one(
        "-- count_recent_vectors
SELECT count(*)
FROM upload_pipeline.chunk_vectors AS b
WHERE b.embed_model = $1 AND b.embed_version = $2 AND b.created_at > now() - $3 * interval '1 second'",
        &[&model.name, &model.version, &f64::from(seconds)],
    )
    .await
}

/// Why the service refused texts: code and number of texts.
pub async fn list_refused_codes(db: &impl Session) -> Result<Vec<(String, i64)>, DbError> {
    db.list(
        "-- list_refused_codes
SELECT r.code, count(*) AS texts
FROM upload_pipeline.refused_texts AS r
GROUP BY r.code
ORDER BY r.code",
        &[],
    )
    .await
}

/// A job of a run.
#[derive(Debug, Clone, FromRow)]
pub struct ReembedJob {
    /// As in `upload_jobs.state`.
    pub state: String,
    /// Why it was given up or is tried again.
    pub last_error: Option<Value>,
    /// What it waits for: code and message; null if for nothing.
    pub waits_for: Option<Value>,
    /// Seconds since its row last changed.
    pub unchanged_for_seconds: f64,
}

/// The jobs of the run that have not ended well.
pub async fn list_reembed_jobs(db: &impl Session) -> Result<Vec<ReembedJob>, DbError> {
    db.list(
        "-- list_reembed_jobs
SELECT j.state, j.last_error, nullif(j.progress -> 'waits_for', 'null'::jsonb) AS waits_for,
  extract(epoch FROM now() - j.updated_at)::float8 AS unchanged_for_seconds
FROM upload_pipeline.upload_jobs AS j
WHERE j.document_id IS NULL AND j.state NOT IN ('done', 'cancelled')
ORDER BY j.job_id",
        &[],
    )
    .await
}

/// Passages of complete documents that have a vector of another model, and none of the active one.
pub async fn count_left_behind(db: &impl Session) -> Result<i64, DbError> {
    db.one(
        "-- count_left_behind
SELECT count(*)
FROM upload_pipeline.active_model AS a
CROSS JOIN upload_pipeline.documents AS d
JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
WHERE d.processing_status = 'complete' AND c.embedding IS NOT NULL
  AND (c.embed_model, c.embed_version) IS DISTINCT FROM (a.model, a.version)",
        &[],
    )
    .await
}

/// Live workers of builds before `schema`.
pub async fn count_old_workers(db: &impl Session, schema: i32) -> Result<i64, DbError> {
    db.one(
        "-- count_old_workers
SELECT count(*)
FROM upload_pipeline.workers AS w
WHERE w.last_seen_at > now() - interval '1 minute' AND coalesce(w.schema_version, 0) < $1",
        &[&schema],
    )
    .await
}
