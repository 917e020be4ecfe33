//! The rows of the canaries' user: what `app check` stores while it runs.

use std::time::Duration;

use uuid::Uuid;

use super::jobs::WAITING;
use domain::{DocumentId, UserId};
use pg::{DbError, Session};

/// `user`'s documents that are older than `age`.
pub async fn list_canary_documents(db: &impl Session, user: UserId, age: Duration) -> Result<Vec<DocumentId>, DbError> {
    db.list(
        "-- list_canary_documents
SELECT d.document_id
FROM upload_pipeline.documents AS d
WHERE d.user_id = $1 AND d.created_at < now() - $2 * interval '1 second'
ORDER BY d.created_at
LIMIT 100",
        &[&user.0, &age.as_secs_f64()],
    )
    .await
}

/// Cancels the document's waiting jobs, so that no worker claims them.
pub async fn cancel_waiting_canary(db: &impl Session, user: UserId, document: DocumentId) -> Result<u64, DbError> {
    db.run(
        &format!(
            "-- cancel_waiting_canary
UPDATE upload_pipeline.upload_jobs AS j
SET state = 'cancelled', lease_epoch = j.lease_epoch + 1, finished_at = now(), updated_at = now()
WHERE j.document_id = $1 AND j.user_id = $2 AND j.state IN {WAITING}"
        ),
        &[&document.0, &user.0],
    )
    .await
}

/// Workers that might still write for a document: how many jobs a worker runs, and how many were taken over from a worker
/// whose heartbeat stopped, and which may resume. A lease that ran out a minute ago holds nothing.
pub async fn count_canary_holders(db: &impl Session, document: DocumentId) -> Result<(i64, i64), DbError> {
    db.one(
        "-- count_canary_holders
SELECT count(*) FILTER (WHERE j.state = 'working' AND j.lease_expires_at > now() - interval '1 minute') AS held,
  count(*) FILTER (WHERE j.crash_count > 0) AS taken_over
FROM upload_pipeline.upload_jobs AS j
WHERE j.document_id = $1",
        &[&document.0],
    )
    .await
}

/// Cancels the document's running jobs; returns how long the longest lease would still have lasted. By then its worker
/// has stopped the step.
pub async fn cancel_held_canary(db: &impl Session, user: UserId, document: DocumentId) -> Result<Duration, DbError> {
    let leases: Vec<Duration> = db
        .list(
            "-- cancel_held_canary
WITH held AS (
  SELECT j.job_id, j.lease_expires_at
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.document_id = $1 AND j.user_id = $2 AND j.state = 'working'
  FOR UPDATE
)
UPDATE upload_pipeline.upload_jobs AS j
SET state = 'cancelled', lease_epoch = j.lease_epoch + 1, claimed_by = NULL, lease_expires_at = NULL,
    step_started_at = NULL, finished_at = now(), updated_at = now()
FROM held
WHERE j.job_id = held.job_id
RETURNING coalesce(extract(epoch FROM held.lease_expires_at - now()), 0)::float8 AS seconds",
            &[&document.0, &user.0],
        )
        .await?;
    Ok(leases.into_iter().max().unwrap_or_default())
}

/// Objects of `user`'s deleted document; without a document, those of all documents deleted more than `age` ago and of
/// older uploads that belong to no document. Each with its key, and whether it is known to be gone.
pub async fn list_canary_objects(
    db: &impl Session,
    user: UserId,
    document: Option<DocumentId>,
    age: Duration,
) -> Result<Vec<(String, bool)>, DbError> {
    db.list(
        "-- list_canary_objects
SELECT s.storage_key, s.deleted_at IS NOT NULL AS gone
FROM upload_pipeline.storage_deletions AS s
WHERE s.user_id = $1
  AND CASE WHEN $2::uuid IS NULL THEN s.requested_at < now() - $3 * interval '1 second' ELSE s.document_id = $2 END
UNION ALL
SELECT u.storage_key, false AS gone
FROM upload_pipeline.uploads AS u
WHERE u.user_id = $1 AND $2::uuid IS NULL AND u.created_at < now() - $3 * interval '1 second'
  AND NOT EXISTS (SELECT FROM upload_pipeline.documents AS d WHERE d.document_id = u.document_id)
LIMIT 500",
        &[&user.0, &document.map(|document| document.0), &age.as_secs_f64()],
    )
    .await
}

/// Deletes the receipt and the upload of an object that is gone.
pub async fn forget_canary_object(db: &impl Session, user: UserId, storage_key: &str) -> Result<(), DbError> {
    db.exec(
        "-- forget_canary_object
WITH receipt AS (
  DELETE FROM upload_pipeline.storage_deletions AS s
  WHERE s.user_id = $1 AND s.storage_key = $2
)
DELETE FROM upload_pipeline.uploads AS u
WHERE u.user_id = $1 AND u.storage_key = $2",
        &[&user.0, &storage_key],
    )
    .await
}

/// Removes one of `user`'s keys, or, where none is named, all that are older than `age`.
pub async fn delete_canary_keys(
    db: &impl Session,
    user: UserId,
    key_id: Option<Uuid>,
    age: Duration,
) -> Result<u64, DbError> {
    db.run(
        "-- delete_canary_keys
DELETE FROM upload_pipeline.api_keys AS k
WHERE k.user_id = $1
  AND CASE WHEN $2::uuid IS NULL THEN k.created_at < now() - $3 * interval '1 second' ELSE k.key_id = $2 END",
        &[&user.0, &key_id, &age.as_secs_f64()],
    )
    .await
}

/// The key of a document's bytes.
pub async fn get_canary_key(db: &impl Session, user: UserId, document: DocumentId) -> Result<Option<String>, DbError> {
    db.find(
        "-- get_canary_key
SELECT d.raw_path
FROM upload_pipeline.documents AS d
WHERE d.user_id = $1 AND d.document_id = $2",
        &[&user.0, &document.0],
    )
    .await
}
