//! Cancels and redrives jobs for the owner of a document.

use super::sql::{LET_GO, LIVE, OF_ACTIVE};
use domain::{JobId, Status, UserId};
use pg::{DbError, Session};

/// Cancels a job that has not ended. The new epoch refuses its worker's writes at once; the next heartbeat stops the
/// worker. `false`: `user` has no such job, or it has ended.
pub async fn cancel_job(db: &impl Session, user: UserId, job: JobId) -> Result<bool, DbError> {
    db.run_any(
        &format!(
            "-- cancel_job
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'cancelled', lease_epoch = j.lease_epoch + 1, finished_at = now()
  WHERE j.job_id = $1 AND j.user_id = $2 AND j.state IN {LIVE}
  RETURNING j.job_id, j.document_id, j.status, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'cancelled', 'info', job.status, job.correlation_id
FROM job"
        ),
        &[&job.0, &user.0],
    )
    .await
}

/// Queues an ended or waiting job again: at `from`; without `from`, at the checkpoint where it failed, or at the start if
/// that checkpoint is none to continue from. Tries and crashes are counted from zero; the first failure stays in
/// `last_error`. `false`: `user` has no such job, it is running, or it is done and `from` was not given.
pub async fn redrive_job(db: &impl Session, user: UserId, job: JobId, from: Option<Status>) -> Result<bool, DbError> {
    db.run_any(
        &format!(
            "-- redrive_job
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'queued', lease_epoch = j.lease_epoch + 1,
      status = coalesce($3, CASE
        WHEN j.state <> 'deadletter' THEN j.status
        WHEN j.last_error ->> 'checkpoint' = ANY ($4) THEN j.last_error ->> 'checkpoint'
        ELSE 'uploaded' END),
      retry_count = 0, crash_count = 0, run_at = now(), finished_at = NULL, progress = j.progress - 'read_again',
      priority = CASE WHEN j.progress ? 'read_again' THEN 0 ELSE j.priority END,
      upload_expires_at = CASE WHEN j.upload_expires_at > now() THEN j.upload_expires_at END
  WHERE j.job_id = $1 AND j.user_id = $2 AND j.state <> 'working' AND (j.state <> 'done' OR $3 IS NOT NULL)
  RETURNING j.job_id, j.document_id, j.version_no, j.status, j.correlation_id
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = job.status, updated_at = now()
  FROM job
  WHERE d.document_id = job.document_id AND {OF_ACTIVE}
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'redriven', 'info', job.status, job.correlation_id
FROM job"
        ),
        &[&job.0, &user.0, &from.map(Status::as_str), &Status::claimable()],
    )
    .await
}

/// The priority of documents that are read again: behind all others.
const READ_AGAIN_PRIORITY: i16 = 100;

/// Queues a complete job to read its document again from `from`, behind all others. `false`: `user` has no such job, or it is not complete.
pub async fn read_job_again(db: &impl Session, user: UserId, job: JobId, from: Status) -> Result<bool, DbError> {
    db.run_any(
        &format!(
            "-- read_job_again
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'queued', lease_epoch = j.lease_epoch + 1, status = $3, retry_count = 0, crash_count = 0,
      run_at = now(), finished_at = NULL, priority = greatest(j.priority, $4),
      progress = j.progress || jsonb_build_object('read_again', true)
  WHERE j.job_id = $1 AND j.user_id = $2 AND j.state = 'done' AND j.status = 'complete'
  RETURNING j.job_id, j.document_id, j.status, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'redriven', 'info', job.status, job.correlation_id
FROM job"
        ),
        &[&job.0, &user.0, &from.as_str(), &READ_AGAIN_PRIORITY],
    )
    .await
}
