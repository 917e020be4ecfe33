//! Rows of `document_versions`: a new reading of the active version is begun, and what is no longer wanted goes.

use crate::jobs::LIVE;
use domain::{DocumentId, JobId, Status, Step};
use pg::{DbError, Session};

/// Makes room for a new reading of the active version of a complete document, beside it: `job` is to make it. The document can
/// be searched as it is until the reading is complete. Without effect for a document that is not complete, for a job that has a
/// version of its own, and for one that goes on with a reading. `from`: where it begins; behind the chunk step it begins with the chunks that are there.
pub(crate) async fn stage_reading(tx: &impl Session, job: JobId, from: Status) -> Result<(), DbError> {
    let active: Option<(DocumentId, i32)> = tx
        .find(
            "-- lock_for_reading
SELECT d.document_id, d.version_no
FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
WHERE j.job_id = $1 AND d.processing_status = 'complete' AND coalesce(j.version_no, d.version_no) = d.version_no
  AND (j.state = 'done' OR j.version_no IS NOT NULL AND NOT EXISTS (
    SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = d.document_id AND v.version_no = d.version_no))
FOR UPDATE OF d",
            &[&job.0],
        )
        .await?;
    let Some((document, version_no)) = active else { return Ok(()) };
    // What an earlier reading has left.
    drop_version(tx, document, version_no).await?;
    tx.exec(
        "-- insert_reading
INSERT INTO upload_pipeline.document_versions (document_id, version_no, user_id, state, filename, mime, bytes_len, file_sha256,
  raw_path, reading, parsed_path, parsed_sha256, kind, parser, page_count, record, layout, created_at)
SELECT d.document_id, d.version_no, d.user_id, 'staged', d.filename, d.mime, d.bytes_len, d.file_sha256,
  d.raw_path, gen_random_uuid(), d.parsed_path, d.parsed_sha256, d.kind, d.parser, d.page_count, d.record, d.layout,
  coalesce(d.version_at, d.created_at)
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1",
        &[&document.0],
    )
    .await?;
    if matches!(Step::after(from), Some(Step::Embed | Step::Finish)) {
        copy_chunks_to_reading(tx, document, version_no).await?;
    }
    tx.exec(
        "-- name_reading
UPDATE upload_pipeline.upload_jobs AS j
SET version_no = $2
WHERE j.job_id = $1",
        &[&job.0, &version_no],
    )
    .await
}

async fn copy_chunks_to_reading(tx: &impl Session, document: DocumentId, version_no: i32) -> Result<(), DbError> {
    tx.exec(
        "-- copy_chunks_to_reading
INSERT INTO upload_pipeline.version_chunks (chunk_id, document_id, version_no, chunker_name, chunker_version, chunk_ord, text,
  chunk_sha, embed_model, embed_version, vector_dim, embedding, embed_updated_at, created_at, heading, page_first, page_last,
  token_count, boxes, page_label)
SELECT c.chunk_id, c.document_id, $2, c.chunker_name, c.chunker_version, c.chunk_ord, c.text,
  c.chunk_sha, c.embed_model, c.embed_version, c.vector_dim, c.embedding, c.embed_updated_at, c.created_at, c.heading,
  c.page_first, c.page_last, c.token_count, c.boxes, c.page_label
FROM upload_pipeline.document_chunks AS c
WHERE c.document_id = $1",
        &[&document.0, &version_no],
    )
    .await
}

/// Keeps the version that `job` makes from housekeeping, which counts from its last change.
pub(crate) async fn touch_version(tx: &impl Session, job: JobId) -> Result<(), DbError> {
    tx.exec(
        "-- touch_version
UPDATE upload_pipeline.document_versions AS v
SET updated_at = now()
FROM upload_pipeline.upload_jobs AS j
WHERE j.job_id = $1 AND v.document_id = j.document_id AND v.version_no = j.version_no",
        &[&job.0],
    )
    .await
}

/// A statement that deletes the versions that `due` selects, by document and number, with their chunks, and hands the objects
/// that only they name to housekeeping. A new reading shares objects with the active version, and may have left markdown of its
/// own that the row does not name yet.
fn deleting(name: &str, due: &str) -> String {
    format!(
        "-- {name}
WITH due AS ({due}),
gone AS (
  DELETE FROM upload_pipeline.document_versions AS v
  USING due
  WHERE v.document_id = due.document_id AND v.version_no = due.version_no
  RETURNING v.document_id, v.user_id, v.raw_path, v.parsed_path, v.reading
),
unnamed AS (
  SELECT DISTINCT g.document_id, g.user_id, k.storage_key
  FROM gone AS g
  JOIN upload_pipeline.documents AS d ON d.document_id = g.document_id
  CROSS JOIN LATERAL unnest(ARRAY[g.raw_path, g.parsed_path, 'parsed/' || g.user_id || '/' || g.reading || '.md'])
    AS k (storage_key)
  WHERE k.storage_key <> '' AND k.storage_key <> d.raw_path AND k.storage_key IS DISTINCT FROM d.parsed_path
),
expired AS (
  UPDATE upload_pipeline.uploads AS u
  SET expires_at = least(u.expires_at, now() + interval '1 day')
  FROM unnamed AS n
  WHERE u.storage_key = n.storage_key
),
handed_over AS (
  INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
  SELECT gen_random_uuid(), n.user_id, n.document_id, n.storage_key
  FROM unnamed AS n
)
SELECT count(*) AS versions
FROM gone"
    )
}

/// Deletes one version that is not active, if it is there.
pub async fn drop_version(tx: &impl Session, document: DocumentId, version_no: i32) -> Result<(), DbError> {
    let sql = deleting("drop_version", "SELECT $1::uuid AS document_id, $2::int AS version_no");
    let _dropped: i64 = tx.one(&sql, &[&document.0, &version_no]).await?;
    Ok(())
}

/// Deletes up to `limit` versions that are not active and have not changed for `keep_days`, the oldest first; how many. One that a
/// live job makes stays.
pub async fn delete_old_versions(db: &impl Session, keep_days: u32, limit: i64) -> Result<i64, DbError> {
    let due = format!(
        "
  SELECT v.document_id, v.version_no
  FROM upload_pipeline.document_versions AS v
  WHERE v.updated_at < now() - make_interval(days => $1)
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS j
      WHERE j.document_id = v.document_id AND j.version_no = v.version_no AND j.state IN {LIVE})
  ORDER BY v.updated_at
  LIMIT $2
  FOR UPDATE OF v SKIP LOCKED
"
    );
    let days = i32::try_from(keep_days).unwrap_or(i32::MAX);
    db.one(&deleting("delete_old_versions", &due), &[&days, &limit]).await
}
