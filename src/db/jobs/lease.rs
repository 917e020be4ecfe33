//! Keeping leases, and freeing the jobs of workers that died.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::ClaimOptions;
use crate::{
    db::{
        DbError, Session,
        session::{column, parsed},
        workers::WorkerRow,
    },
    domain::{Code, Fence, JobId, Status, WorkerId},
};

/// A job taken over in the middle of a step this often is given up.
const GIVEN_UP_AFTER_CRASHES: i32 = 3;

/// What a heartbeat found out.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The jobs whose lease was renewed; the others are lost, and their steps must stop.
    pub kept: Vec<JobId>,
    /// Until the first lease of another worker expires, if it is not renewed before; `None`: no other has any.
    pub next_expiry: Option<Duration>,
    /// When the worker's row said before that it was alive.
    pub seen_before: Option<OffsetDateTime>,
    /// What it says now.
    pub seen_at: Option<OffsetDateTime>,
}

/// Renews the leases of all jobs in hand, says that the worker is alive (making its row where it is gone) and looks when
/// another's lease would expire, in one statement. The commit is asynchronous.
pub async fn beat_heart(
    db: &impl Session,
    worker: &WorkerRow,
    fences: &[Fence],
    options: ClaimOptions,
) -> Result<Beat, DbError> {
    let jobs: Vec<Uuid> = fences.iter().map(|fence| fence.job_id.0).collect();
    let epochs: Vec<i64> = fences.iter().map(|fence| fence.epoch).collect();
    let row = db
        .row(
            "-- beat_heart
WITH renewed AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET lease_expires_at = coalesce($4, now()) + $5 * interval '1 second'
  FROM unnest($1::uuid[], $2::bigint[]) AS held (job_id, lease_epoch)
  WHERE j.job_id = held.job_id AND j.lease_epoch = held.lease_epoch AND j.claimed_by = $3 AND j.state || '' = 'working'
  RETURNING j.job_id
),
alive AS (
  INSERT INTO upload_pipeline.workers AS w (id, host, commit, branch, version, built_at, schema_version, environment,
    slots, running_jobs)
  VALUES ($3, $6, $7, $8, $9, $12, $13, $10, $11, cardinality($1::uuid[]))
  ON CONFLICT (id) DO UPDATE
  SET last_seen_at = now(), running_jobs = excluded.running_jobs
)
SELECT coalesce((SELECT array_agg(renewed.job_id) FROM renewed), '{}') AS kept,
  -- No difference to an infinity: servers before version 17 refuse it.
  (SELECT extract(epoch FROM min(least(greatest(o.lease_expires_at, now()), now() + interval '1 day')) - now())::float8
   FROM upload_pipeline.upload_jobs AS o
   WHERE o.state = 'working' AND o.claimed_by IS DISTINCT FROM $3) AS next_expiry,
  (SELECT w.last_seen_at FROM upload_pipeline.workers AS w WHERE w.id = $3) AS seen_before, now() AS seen_at,
  set_config('synchronous_commit', 'off', true) AS commits",
            &[
                (&jobs, Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&worker.id.0, Type::UUID),
                (&options.now, Type::TIMESTAMPTZ),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
                (&worker.host, Type::TEXT),
                (&worker.build.commit, Type::TEXT),
                (&worker.build.branch, Type::TEXT),
                (&worker.build.version, Type::TEXT),
                (&worker.environment, Type::TEXT),
                (&worker.slots, Type::INT4),
                (&worker.build.built_at, Type::TIMESTAMPTZ),
                (&worker.build.schema_version, Type::INT4),
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(Beat { kept: Vec::new(), next_expiry: None, seen_before: None, seen_at: None });
    };
    let seconds: Option<f64> = column(&row, "next_expiry")?;
    Ok(Beat {
        kept: column::<Vec<Uuid>>(&row, "kept")?.into_iter().map(JobId).collect(),
        next_expiry: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        seen_before: column(&row, "seen_before")?,
        seen_at: column(&row, "seen_at")?,
    })
}

/// Gives back what this worker claimed without hearing of it: the connection was cut between the claim's commit and its
/// answer. `held`: the jobs it does know of. No step was begun, so no try is charged. How many were given back.
pub async fn hand_back_unheld(db: &impl Session, worker: WorkerId, held: &[Fence]) -> Result<u64, DbError> {
    let held: Vec<Uuid> = held.iter().map(|fence| fence.job_id.0).collect();
    db.run(
        "-- hand_back_unheld
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'queued', claimed_by = NULL, lease_expires_at = NULL, step_started_at = NULL, updated_at = now()
  WHERE j.state = 'working' AND j.claimed_by = $1 AND j.job_id <> ALL ($2)
  RETURNING j.job_id, j.document_id, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'handed_back', 'info', $3, job.correlation_id
FROM job",
        &[(&worker.0, Type::UUID), (&held, Type::UUID_ARRAY), (&Code::ClaimUnheard.as_str(), Type::TEXT)],
    )
    .await
}

/// Gives a claim the next epoch, so that no statement sent under the one it has can write any more; the new fence, with the
/// checkpoint that it goes on from; renews the lease. For a claim that carries the fence of an earlier one of the same process: a
/// crash of the server had lost that. Asked again where the answer was lost, it says the same.
pub async fn raise_epoch(db: &impl Session, fence: Fence, lease: Duration) -> Result<(Fence, Status, i32), DbError> {
    let row = db
        .row(
            "-- raise_epoch
UPDATE upload_pipeline.upload_jobs AS j
SET lease_epoch = $3 + 1, lease_expires_at = now() + $4 * interval '1 second', updated_at = now()
WHERE j.job_id = $1 AND j.claimed_by = $2 AND j.lease_epoch IN ($3, $3 + 1) AND j.state || '' = 'working'
RETURNING j.lease_epoch, j.status, j.retry_count",
            &[
                (&fence.job_id.0, Type::UUID),
                (&fence.worker.0, Type::UUID),
                (&fence.epoch, Type::INT8),
                (&lease.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?
        .ok_or(DbError::LeaseLost { job_id: fence.job_id })?;
    let raised = Fence { epoch: column(&row, "lease_epoch")?, ..fence };
    Ok((raised, parsed(&row, "status")?, column(&row, "retry_count")?))
}

/// The checkpoint of a job in hand and the tries since; `None`: the lease is lost.
pub async fn get_checkpoint(db: &impl Session, fence: Fence) -> Result<Option<(Status, i32)>, DbError> {
    let row = db
        .row(
            "-- get_checkpoint
SELECT j.status, j.retry_count
FROM upload_pipeline.upload_jobs AS j
WHERE j.job_id = $1 AND j.claimed_by = $2 AND j.lease_epoch = $3 AND j.state || '' = 'working'",
            &[(&fence.job_id.0, Type::UUID), (&fence.worker.0, Type::UUID), (&fence.epoch, Type::INT8)],
        )
        .await?;
    row.map(|row| Ok((parsed(&row, "status")?, column(&row, "retry_count")?))).transpose()
}

/// Frees jobs whose lease has expired, so that the next claim takes them over; at most `limit`. Only a job that had
/// begun a step pays a try, and one that has paid too often is given up: a document that kills workers cannot loop.
/// How many were freed.
pub async fn release_expired_jobs(db: &impl Session, limit: i64, now: Option<OffsetDateTime>) -> Result<u64, DbError> {
    db.run(
        "-- release_expired_jobs
WITH expired AS (
  SELECT e.job_id, e.claimed_by, e.step_started_at IS NOT NULL AS begun,
    e.step_started_at IS NOT NULL AND e.crash_count >= $3 - 1 AS given_up
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
      retry_count = least(j.retry_count, 2147483646) + x.begun::int,
      crash_count = least(j.crash_count, 2147483646) + x.begun::int,
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
