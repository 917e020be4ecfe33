//! New jobs.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::sql::LET_GO;
use domain::{DocumentId, JobId, Status, UserId};
use pg::{DbError, Session};

/// A new job, before it is inserted.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id; UUIDv7, so that newer rows lie beside each other.
    pub job_id: JobId,
    /// What it is for.
    pub document_id: DocumentId,
    /// Whose document that is.
    pub user_id: UserId,
    /// The checkpoint to begin at.
    pub status: Status,
    /// Counts and options at the start; an object.
    pub progress: Value,
    /// Before a worker first looks at it.
    pub delay: Duration,
    /// Until then the bytes may still arrive; `None`: they are stored.
    pub upload_expires_at: Option<OffsetDateTime>,
    /// Follows the upload through logs.
    pub correlation_id: Option<Uuid>,
    /// The payload of its first event; `None`: it has no event.
    pub event: Option<Value>,
}

/// Inserts jobs in one statement. This does not wake the workers: see [`Notifier`](crate::Notifier).
pub async fn enqueue_jobs(db: &impl Session, jobs: &[NewJob]) -> Result<(), DbError> {
    db.exec(
        "-- enqueue_jobs
SELECT upload_pipeline.enqueue_jobs(
  p_jobs => $1, p_documents => $2, p_users => $3, p_statuses => $4, p_progress => $5, p_delays => $6, p_upload_expires => $7,
  p_correlations => $8, p_events => $9)::text AS done",
        &[
            &jobs.iter().map(|job| job.job_id.0).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.document_id.0).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.user_id.0).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.status.as_str()).collect::<Vec<_>>(),
            &jobs.iter().map(|job| &job.progress).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.delay.as_secs_f64()).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.upload_expires_at).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.correlation_id).collect::<Vec<_>>(),
            &jobs.iter().map(|job| job.event.as_ref()).collect::<Vec<_>>(),
        ],
    )
    .await
}

/// Queues a job that waits for its bytes as if it were new, with the id, progress, delay and expiry of `job`. A worker that
/// looks for the bytes just now loses its lease.
pub async fn requeue_awaiting_job(db: &impl Session, job: &NewJob) -> Result<(), DbError> {
    db.run(
        &format!(
            "-- requeue_awaiting_job
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'queued', lease_epoch = j.lease_epoch + 1, retry_count = 0, crash_count = 0, progress = $2,
      run_at = now() + $3 * interval '1 second', upload_expires_at = $4
  WHERE j.job_id = $1
  RETURNING j.job_id, j.document_id, j.status, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT job.job_id, job.document_id, 'enqueued', 'info', job.status, $5, job.correlation_id
FROM job"
        ),
        &[&job.job_id.0, &job.progress, &job.delay.as_secs_f64(), &job.upload_expires_at, &job.event],
    )
    .await
    .map(drop)
}
