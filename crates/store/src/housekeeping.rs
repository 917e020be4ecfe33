//! Housekeeping's statements. The process that moves `next_run_at` has the turn; that works through a pooler, unlike an
//! advisory lock.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use domain::{Code, DocumentId, MISMATCHED};
use pg::{DbError, FromRow, Session};

/// Takes the turn for the sweep, if it is due; the next is due after `every`.
pub async fn take_sweep_turn(db: &impl Session, every: Duration) -> Result<bool, DbError> {
    db.run_any(
        "-- take_sweep_turn
UPDATE upload_pipeline.housekeeping AS h
SET next_run_at = now() + $1 * interval '1 second', last_run_at = now()
WHERE h.task = 'sweep' AND h.next_run_at <= now()",
        &[&every.as_secs_f64()],
    )
    .await
}

/// Deletes the rows of workers without a heartbeat for `after`.
pub async fn delete_stale_workers(db: &impl Session, after: Duration) -> Result<u64, DbError> {
    db.run(
        "-- delete_stale_workers
DELETE FROM upload_pipeline.workers AS w
WHERE w.last_seen_at < now() - $1 * interval '1 second'",
        &[&after.as_secs_f64()],
    )
    .await
}

/// Expired uploads whose object nothing refers to, and that no live job waits for; at most `limit`. Each with its key.
pub async fn list_abandoned_uploads(db: &impl Session, limit: i64) -> Result<Vec<(Uuid, String)>, DbError> {
    db.list(
        "-- list_abandoned_uploads
SELECT u.upload_id, u.storage_key
FROM upload_pipeline.uploads AS u
WHERE u.expires_at < now() - interval '1 minute'
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.documents AS d
    WHERE d.document_id = u.document_id AND d.raw_path = u.storage_key)
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = u.document_id AND v.raw_path = u.storage_key)
ORDER BY u.expires_at
LIMIT $1",
        &[&limit],
    )
    .await
}

/// Deletes an upload whose object is gone. One of the last 24 hours still counts towards its user's limit, so it
/// expires after that.
pub async fn forget_upload(db: &impl Session, upload_id: Uuid) -> Result<(), DbError> {
    db.exec(
        "-- forget_upload
WITH recent AS (
  UPDATE upload_pipeline.uploads AS u
  SET expires_at = u.created_at + interval '1 day'
  WHERE u.upload_id = $1 AND u.created_at > now() - interval '1 day'
)
DELETE FROM upload_pipeline.uploads AS u
WHERE u.upload_id = $1 AND u.created_at <= now() - interval '1 day'",
        &[&upload_id],
    )
    .await
}

/// An object whose deletion is due.
#[derive(Debug, Clone, FromRow)]
pub struct DueDeletion {
    /// The receipt.
    pub deletion_id: Uuid,
    /// The object's key.
    pub storage_key: String,
    /// Whose object it was.
    pub document_id: DocumentId,
    /// When it was deleted.
    pub requested_at: OffsetDateTime,
    /// Whether this is the first pass for a document that is gone, and not for one that only got another object.
    pub is_first_of_document: bool,
}

/// Objects whose deletion is due; at most `limit`.
pub async fn list_due_deletions(db: &impl Session, limit: i64) -> Result<Vec<DueDeletion>, DbError> {
    db.list(
        "-- list_due_deletions
SELECT s.deletion_id, s.storage_key, s.document_id, s.requested_at,
  s.passes_left > 1 AND NOT EXISTS (
    SELECT FROM upload_pipeline.documents AS d
    WHERE d.document_id = s.document_id AND d.created_at <= s.requested_at) AS is_first_of_document
FROM upload_pipeline.storage_deletions AS s
WHERE s.deleted_at IS NULL AND s.delete_at <= now()
ORDER BY s.delete_at
LIMIT $1",
        &[&limit],
    )
    .await
}

/// Records a try to delete an object. After the last pass the object is gone for good; otherwise the next try is due after
/// `again_in`. A try that failed is no pass.
pub async fn record_deletion_try(
    db: &impl Session,
    due: &DueDeletion,
    removed: bool,
    again_in: Duration,
) -> Result<(), DbError> {
    db.exec(
        "-- record_deletion_try
UPDATE upload_pipeline.storage_deletions AS s
SET passes_left = s.passes_left - $4,
    delete_at = now() + $3 * interval '1 second',
    deleted_at = CASE WHEN $4 = 1 AND s.passes_left <= 1 THEN now() END
WHERE s.deletion_id = $1 AND s.storage_key = $2 AND s.deleted_at IS NULL",
        &[&due.deletion_id, &due.storage_key, &again_in.as_secs_f64(), &i32::from(removed)],
    )
    .await
}

/// Deletes up to `limit` expired idempotency keys; returns how many.
pub async fn delete_expired_idempotency_keys(db: &impl Session, limit: i64) -> Result<u64, DbError> {
    db.run(
        "-- delete_expired_idempotency_keys
WITH due AS (
  SELECT k.user_id, k.route, k.key
  FROM upload_pipeline.idempotency_keys AS k
  WHERE k.expires_at < now()
  ORDER BY k.expires_at
  LIMIT $1
)
DELETE FROM upload_pipeline.idempotency_keys AS k
USING due
WHERE k.user_id = due.user_id AND k.route = due.route AND k.key = due.key",
        &[&limit],
    )
    .await
}

/// Removes the expiry of up to `limit` uploads whose object a document or one of its versions needs, since each sweep would read them
/// again. Deleting the document, or uploading it again, sets a new one. Returns how many.
pub async fn keep_uploads_in_use(db: &impl Session, limit: i64) -> Result<u64, DbError> {
    db.run(
        "-- keep_uploads_in_use
WITH used AS (
  SELECT u.upload_id
  FROM upload_pipeline.uploads AS u
  WHERE u.expires_at < now() - interval '1 minute'
    AND (
      EXISTS (
        SELECT FROM upload_pipeline.documents AS d
        WHERE d.document_id = u.document_id AND d.raw_path = u.storage_key)
      OR EXISTS (
        SELECT FROM upload_pipeline.document_versions AS v
        WHERE v.document_id = u.document_id AND v.raw_path = u.storage_key))
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS j
      WHERE j.job_id = u.job_id AND j.state = 'deadletter' AND j.last_error ->> 'code' = ANY ($2))
  ORDER BY u.expires_at
  LIMIT $1
)
UPDATE upload_pipeline.uploads AS u
SET expires_at = 'infinity'
FROM used
WHERE u.upload_id = used.upload_id",
        &[&limit, &MISMATCHED.map(Code::as_str).as_slice()],
    )
    .await
}

/// Takes up to `limit` expired objects from documents that failed because these are not what was declared: no document
/// refers to them any more, and the jobs say so.
pub async fn give_up_mismatched(db: &impl Session, limit: i64) -> Result<u64, DbError> {
    db.run(
        "-- give_up_mismatched
WITH due AS (
  SELECT j.job_id, d.document_id, u.storage_key
  FROM upload_pipeline.uploads AS u
  JOIN upload_pipeline.documents AS d ON d.document_id = u.document_id
  JOIN upload_pipeline.upload_jobs AS j ON j.job_id = u.job_id
  WHERE u.expires_at < now() - interval '1 minute' AND j.state = 'deadletter' AND j.last_error ->> 'code' = ANY ($2)
    AND (d.raw_path = u.storage_key OR EXISTS (
      SELECT FROM upload_pipeline.document_versions AS v
      WHERE v.document_id = d.document_id AND v.raw_path = u.storage_key))
  ORDER BY u.expires_at
  LIMIT $1
  FOR UPDATE OF j, d, u SKIP LOCKED
),
version AS (
  UPDATE upload_pipeline.document_versions AS v
  SET raw_path = ''
  FROM due
  WHERE v.document_id = due.document_id AND v.raw_path = due.storage_key
),
job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET last_error = j.last_error || jsonb_build_object('bytes_removed_at', now()), updated_at = now()
  FROM due
  WHERE j.job_id = due.job_id
)
UPDATE upload_pipeline.documents AS d
SET raw_path = '', updated_at = now()
FROM due
WHERE d.document_id = due.document_id AND d.raw_path = due.storage_key",
        &[&limit, &MISMATCHED.map(Code::as_str).as_slice()],
    )
    .await
}
