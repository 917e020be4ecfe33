//! Taking jobs, keeping them, and freeing those of workers that died.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    db::{
        DbError, Session,
        session::{column, parsed},
    },
    domain::{DocumentId, Fence, JobId, Lease, Status, UserId, WorkerId},
};

/// A job taken over in the middle of a step this often has no neighbours at its next run: alone, it can hurt nobody.
pub(super) const ALONE_AFTER_CRASHES: i32 = 2;
/// At this many it is given up.
const GIVEN_UP_AFTER_CRASHES: i32 = 3;

/// How to claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Running jobs a user may have; 0 = no bound.
    pub max_running_per_user: u32,
    /// A test's clock; `None`: the database's.
    pub now: Option<OffsetDateTime>,
}

const RETURNING: &str = "
RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.progress, j.upload_expires_at,
  j.enqueued_by, j.correlation_id";

/// Claims up to `slots` jobs: writes owner, lease and epoch and returns what was taken, in no particular order. Fair across
/// users, going on behind the user `after`. A job that has brought workers down comes alone, and only when `idle`.
pub async fn claim_jobs(
    db: &impl Session,
    worker: WorkerId,
    slots: u32,
    after: Option<UserId>,
    options: ClaimOptions,
) -> Result<Vec<Lease>, DbError> {
    let sql = format!(
        "-- claim_jobs
WITH picked AS (
  SELECT p.job_id
  FROM upload_pipeline.pick_jobs($1, $2, $3, $4, $5, coalesce($6, now())) AS p (job_id)
)
UPDATE upload_pipeline.upload_jobs AS j
SET state = 'working',
    claimed_by = $7,
    claimed_at = coalesce($6, now()),
    lease_expires_at = coalesce($6, now()) + $8 * interval '1 second',
    lease_epoch = j.lease_epoch + 1,
    step_started_at = NULL,
    started_at = coalesce(j.started_at, $6, now()),
    updated_at = coalesce($6, now())
FROM picked
WHERE j.job_id = picked.job_id{RETURNING}"
    );
    let rows = db
        .rows(
            &sql,
            &[
                (&i32::try_from(slots).unwrap_or(i32::MAX), Type::INT4),
                (&i32::try_from(options.max_running_per_user).unwrap_or(i32::MAX), Type::INT4),
                (&after.map(|user| user.0), Type::UUID),
                (&Status::claimable(), Type::TEXT_ARRAY),
                (&ALONE_AFTER_CRASHES, Type::INT4),
                (&options.now, Type::TIMESTAMPTZ),
                (&worker.0, Type::UUID),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    rows.iter().map(|row| lease(row, worker)).collect()
}

/// Claims one job that was taken over in a step too often to run beside others. Ask only when nothing else runs here,
/// and claim nothing more until it has ended.
pub async fn claim_suspect(
    db: &impl Session,
    worker: WorkerId,
    options: ClaimOptions,
) -> Result<Option<Lease>, DbError> {
    let sql = format!(
        "-- claim_suspect
WITH picked AS (
  SELECT s.job_id
  FROM upload_pipeline.upload_jobs AS s
  WHERE s.crash_count > 1 AND s.state IN ('queued', 'retryable') AND s.run_at <= coalesce($1, now())
    AND s.status = ANY ($2)
  ORDER BY s.run_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
)
UPDATE upload_pipeline.upload_jobs AS j
SET state = 'working',
    claimed_by = $3,
    claimed_at = coalesce($1, now()),
    lease_expires_at = coalesce($1, now()) + $4 * interval '1 second',
    lease_epoch = j.lease_epoch + 1,
    step_started_at = NULL,
    updated_at = coalesce($1, now())
FROM picked
WHERE j.job_id = picked.job_id{RETURNING}"
    );
    let row = db
        .row(
            &sql,
            &[
                (&options.now, Type::TIMESTAMPTZ),
                (&Status::claimable(), Type::TEXT_ARRAY),
                (&worker.0, Type::UUID),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    row.as_ref().map(|row| lease(row, worker)).transpose()
}

/// Whether a job that must run alone has waited for at least `patience`.
pub async fn suspect_waits(db: &impl Session, patience: Duration) -> Result<bool, DbError> {
    let row = db
        .row(
            "-- suspect_waits
SELECT EXISTS (
  SELECT FROM upload_pipeline.upload_jobs AS s
  WHERE s.crash_count > 1 AND s.state IN ('queued', 'retryable') AND s.run_at <= now() - $1 * interval '1 second'
    AND s.status = ANY ($2)
) AS waits",
            &[(&patience.as_secs_f64(), Type::FLOAT8), (&Status::claimable(), Type::TEXT_ARRAY)],
        )
        .await?;
    row.map_or(Ok(false), |row| column(&row, "waits"))
}

fn lease(row: &Row, worker: WorkerId) -> Result<Lease, DbError> {
    let fence = Fence { job_id: JobId(column(row, "job_id")?), worker, epoch: column(row, "lease_epoch")? };
    Ok(Lease {
        fence,
        document_id: DocumentId(column(row, "document_id")?),
        user_id: UserId(column(row, "user_id")?),
        status: parsed(row, "status")?,
        retry_count: column(row, "retry_count")?,
        progress: column(row, "progress")?,
        upload_expires_at: column(row, "upload_expires_at")?,
        enqueued_by: column(row, "enqueued_by")?,
        correlation_id: column(row, "correlation_id")?,
    })
}

/// Renews the leases of all jobs in hand, in one statement. Gives back those still held: the others are lost, and
/// their steps must stop.
pub async fn beat_heart(
    db: &impl Session,
    fences: &[Fence],
    worker: WorkerId,
    options: ClaimOptions,
) -> Result<Vec<JobId>, DbError> {
    let jobs: Vec<Uuid> = fences.iter().map(|fence| fence.job_id.0).collect();
    let epochs: Vec<i64> = fences.iter().map(|fence| fence.epoch).collect();
    let rows = db
        .rows(
            "-- beat_heart
UPDATE upload_pipeline.upload_jobs AS j
SET lease_expires_at = coalesce($4, now()) + $5 * interval '1 second'
FROM unnest($1::uuid[], $2::bigint[]) AS held (job_id, lease_epoch)
WHERE j.job_id = held.job_id AND j.lease_epoch = held.lease_epoch AND j.claimed_by = $3 AND j.state = 'working'
RETURNING j.job_id",
            &[
                (&jobs, Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&worker.0, Type::UUID),
                (&options.now, Type::TIMESTAMPTZ),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    rows.iter().map(|row| Ok(JobId(column(row, "job_id")?))).collect()
}

/// Frees jobs whose lease has expired, so that the next claim takes them over; at most `limit`. Only a job that had
/// begun a step pays a try, and one that has paid too often is given up: a document that kills workers cannot loop.
/// How many were freed.
pub async fn release_expired_jobs(db: &impl Session, limit: i64, now: Option<OffsetDateTime>) -> Result<u64, DbError> {
    db.run(
        "-- release_expired_jobs
WITH expired AS (
  SELECT e.job_id, e.claimed_by, e.step_started_at IS NOT NULL AS begun,
    e.step_started_at IS NOT NULL AND e.crash_count + 1 >= $3 AS given_up
  FROM upload_pipeline.upload_jobs AS e
  WHERE e.state = 'working' AND coalesce(e.lease_expires_at, '-infinity') < coalesce($1, now())
  LIMIT $2
  FOR UPDATE SKIP LOCKED
),
released AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = CASE WHEN x.given_up THEN 'deadletter' WHEN x.begun THEN 'retryable' ELSE 'queued' END,
      status = CASE
        WHEN NOT x.given_up THEN j.status
        WHEN j.status IN ('uploaded', 'parse_queued', 'parsed') THEN 'failed_parse'
        WHEN j.status IN ('parse_validated', 'chunking') THEN 'failed_chunking'
        ELSE 'failed_embedding' END,
      retry_count = j.retry_count + x.begun::int,
      crash_count = j.crash_count + x.begun::int,
      last_error = CASE WHEN NOT x.begun THEN j.last_error ELSE jsonb_build_object(
          'code', 'worker_died',
          'class', 'transient',
          'message', CASE WHEN x.given_up
            THEN 'The worker died in the middle of this document for the third time, the last time with no other job beside it, so it is given up. Look at the file and the worker''s memory limit, then retry the job.'
            ELSE 'The worker that had this job died or lost its connection in the middle of a step; another goes on from the last checkpoint.' END,
          'status', j.status,
          'checkpoint', j.status,
          'worker', x.claimed_by,
          'at', coalesce($1, now()))
        || CASE WHEN j.last_error IS NULL THEN '{}'
             ELSE jsonb_build_object('first', coalesce(j.last_error -> 'first', j.last_error)) END END,
      claimed_by = NULL,
      lease_expires_at = NULL,
      step_started_at = NULL,
      run_at = coalesce($1, now()),
      finished_at = CASE WHEN x.given_up THEN coalesce($1, now()) END,
      updated_at = coalesce($1, now())
  FROM expired AS x
  WHERE j.job_id = x.job_id
  RETURNING j.job_id, j.document_id, j.status, j.correlation_id, x.begun, x.given_up, x.claimed_by
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = r.status, updated_at = coalesce($1, now())
  FROM released AS r
  WHERE d.document_id = r.document_id AND r.given_up
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT r.job_id, r.document_id, CASE WHEN r.given_up THEN 'error' ELSE 'taken_over' END,
  CASE WHEN r.given_up THEN 'error' WHEN r.begun THEN 'warn' ELSE 'info' END,
  CASE WHEN r.begun THEN 'worker_died' ELSE r.status END,
  jsonb_build_object('worker', r.claimed_by, 'in_a_step', r.begun), r.correlation_id
FROM released AS r",
        &[(&now, Type::TIMESTAMPTZ), (&limit, Type::INT8), (&GIVEN_UP_AFTER_CRASHES, Type::INT4)],
    )
    .await
}
