//! The end of a change of model: the vectors of the active model move into the rows of their chunks, and the others are deleted.

use crate::{
    beside::{is_refused, lacks_vector},
    jobs::LET_GO,
};
use pg::{Db, DbError, Session};

/// Ends the jobs of a run, from where there is no way back; whether it did. Not while passages lack a vector of a model that this run
/// has made the active one, the refused ones left out: they would be found by words alone for good.
pub async fn finish_model_switch(db: &Db) -> Result<bool, DbError> {
    db.run_tx("finish_model_switch", |tx| {
        Box::pin(async move {
            let may = mark_finishing(&tx).await?;
            if may {
                end_reembed_jobs(&tx).await?;
            }
            Ok(may)
        })
    })
    .await
}

async fn mark_finishing(tx: &impl Session) -> Result<bool, DbError> {
    let lacks = lacks_vector("c", "a.model", "a.version", "a.vector_dim");
    let refused = is_refused("c");
    tx.run_any(
        &format!(
            "-- mark_finishing
UPDATE upload_pipeline.model_switch AS s
SET state = 'finishing'
FROM upload_pipeline.active_model AS a
WHERE s.state = 'finishing' OR s.state = 'running' AND (a.since <= s.started_at OR NOT EXISTS (
    SELECT
    FROM upload_pipeline.documents AS d
    JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
    WHERE d.processing_status = 'complete' AND {lacks}
      AND NOT {refused}))"
        ),
        &[],
    )
    .await
}

/// A worker that has one of them loses its lease; what it has asked a service for and not stored is recorded as uncertain.
async fn end_reembed_jobs(tx: &impl Session) -> Result<(), DbError> {
    tx.run(
        &format!(
            "-- end_reembed_jobs
WITH ended AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, lease_epoch = j.lease_epoch + 1, state = 'done', status = 'complete', finished_at = now()
  WHERE j.document_id IS NULL AND j.state NOT IN ('done', 'cancelled')
  RETURNING j.job_id
)
UPDATE upload_pipeline.embed_calls AS c
SET state = 'uncertain', ended_at = now()
FROM ended
WHERE c.job_id = ended.job_id AND c.state = 'intended'"
        ),
        &[],
    )
    .await
    .map(drop)
}

/// Of up to `limit` documents, moves the vectors of the active model into the rows of their chunks and deletes the others. How many
/// documents; 0: none is left.
pub async fn delete_other_vectors(db: &Db, limit: i64) -> Result<usize, DbError> {
    db.run_tx("delete_other_vectors", |tx| {
        Box::pin(async move {
            let documents: Vec<uuid::Uuid> = tx
                .list(
                    "-- lock_for_finish
SELECT d.document_id
FROM upload_pipeline.documents AS d
WHERE d.document_id IN (
    SELECT DISTINCT b.document_id FROM upload_pipeline.chunk_vectors AS b ORDER BY b.document_id LIMIT $1)
  AND EXISTS (SELECT FROM upload_pipeline.model_switch AS s WHERE s.state = 'finishing')
ORDER BY d.document_id
FOR UPDATE",
                    &[&limit],
                )
                .await?;
            if !documents.is_empty() {
                keep_active_vectors(&tx, &documents).await?;
                keep_active_packed(&tx, &documents).await?;
            }
            Ok(documents.len())
        })
    })
    .await
}

async fn keep_active_vectors(tx: &impl Session, documents: &[uuid::Uuid]) -> Result<(), DbError> {
    tx.run(
        "-- keep_active_vectors
UPDATE upload_pipeline.document_chunks AS c
SET embedding = b.embedding, embed_model = b.embed_model, embed_version = b.embed_version, vector_dim = b.vector_dim,
    embed_updated_at = b.created_at, updated_at = now()
FROM upload_pipeline.chunk_vectors AS b
JOIN upload_pipeline.active_model AS a
  ON a.model = b.embed_model AND a.version = b.embed_version AND a.vector_dim = b.vector_dim
WHERE b.document_id = ANY ($1) AND c.document_id = b.document_id AND c.chunk_sha = b.chunk_sha
  AND (c.embedding IS NULL OR (c.embed_model, c.embed_version, c.vector_dim) IS DISTINCT FROM (a.model, a.version, a.vector_dim))",
        &[&documents],
    )
    .await?;
    tx.run(
        "-- delete_vectors_beside
DELETE FROM upload_pipeline.chunk_vectors AS b
WHERE b.document_id = ANY ($1)",
        &[&documents],
    )
    .await
    .map(drop)
}

async fn keep_active_packed(tx: &impl Session, documents: &[uuid::Uuid]) -> Result<(), DbError> {
    tx.run(
        "-- keep_active_packed
INSERT INTO upload_pipeline.search_vectors (document_no, embed_model, embed_version, version, packed)
SELECT p.document_no, p.embed_model, p.embed_version, p.version, p.packed
FROM upload_pipeline.search_documents AS s
JOIN upload_pipeline.packed_vectors AS p ON p.document_no = s.document_no
JOIN upload_pipeline.active_model AS a ON a.model = p.embed_model AND a.version = p.embed_version
WHERE s.document_id = ANY ($1)
ON CONFLICT (document_no) DO UPDATE
SET embed_model = excluded.embed_model, embed_version = excluded.embed_version, version = excluded.version,
    packed = excluded.packed",
        &[&documents],
    )
    .await?;
    tx.run(
        "-- delete_packed_beside
DELETE FROM upload_pipeline.packed_vectors AS p
USING upload_pipeline.search_documents AS s
WHERE s.document_id = ANY ($1) AND p.document_no = s.document_no",
        &[&documents],
    )
    .await
    .map(drop)
}

/// Writes that the vectors of the other model are gone; whether a change of model ended by that.
pub async fn end_model_switch(db: &impl Session) -> Result<bool, DbError> {
    db.run_any(
        "-- end_model_switch
WITH ended AS (
  UPDATE upload_pipeline.model_switch AS s
  SET state = 'finished', finished_at = now()
  WHERE s.state = 'finishing' AND NOT EXISTS (SELECT FROM upload_pipeline.chunk_vectors AS b)
  RETURNING s.only_one
),
forgotten AS (
  DELETE FROM upload_pipeline.refused_texts AS r
  USING ended
)
SELECT ended.only_one
FROM ended",
        &[],
    )
    .await
}
