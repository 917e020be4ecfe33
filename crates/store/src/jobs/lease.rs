//! Renews leases, and takes over the jobs of workers that died.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    ClaimOptions,
    outcome::KEEP_FIRST,
    sql::{ENDED, FENCED, LET_GO, OF_ACTIVE},
};
use crate::workers::WorkerRow;
use domain::{Code, Failure, Fence, JobId, Status, Takeover, WorkerId};
use pg::{Db, DbError, FromRow, Session};

/// The result of a heartbeat.
#[derive(Debug, Clone, FromRow)]
pub struct Beat {
    /// The jobs whose lease was renewed; the others are lost, and their steps must stop.
    pub kept: Vec<JobId>,
    /// Until the first lease of another worker expires, if it is not renewed before; `None`: no other has any.
    pub next_expiry: Option<Duration>,
    /// The last heartbeat in the worker's row before this one.
    pub seen_before: Option<OffsetDateTime>,
    /// This heartbeat, as the row says.
    pub seen_at: Option<OffsetDateTime>,
}

/// Renews the leases of all running jobs, updates the worker's row (or inserts it) and reads when the next lease of
/// another worker expires, in one statement. The commit is asynchronous.
pub async fn beat_heart(
    db: &impl Session,
    worker: &WorkerRow,
    fences: &[Fence],
    options: ClaimOptions,
) -> Result<Beat, DbError> {
    let jobs: Vec<Uuid> = fences.iter().map(|fence| fence.job_id.0).collect();
    let epochs: Vec<i64> = fences.iter().map(|fence| fence.epoch).collect();
    db.one(
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
            &jobs,
            &epochs,
            &worker.id.0,
            &options.now,
            &options.lease.as_secs_f64(),
            &worker.host,
            &worker.build.commit,
            &worker.build.branch,
            &worker.build.version,
            &worker.environment,
            &worker.slots,
            &worker.build.built_at,
            &worker.build.schema_version,
        ],
    )
    .await
}

/// Hands back jobs that this worker claimed without knowing: the connection was cut between the claim's commit and its
/// answer. `held`: the jobs that it knows. No step has begun, so no try is counted. Returns how many were handed back.
pub async fn hand_back_unheld(db: &impl Session, worker: WorkerId, held: &[Fence]) -> Result<u64, DbError> {
    let held: Vec<Uuid> = held.iter().map(|fence| fence.job_id.0).collect();
    db.run(
        &format!(
            "-- hand_back_unheld
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'queued'
  WHERE j.state = 'working' AND j.claimed_by = $1 AND j.job_id <> ALL ($2)
  RETURNING j.job_id, j.document_id, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'handed_back', 'info', $3, job.correlation_id
FROM job"
        ),
        &[&worker.0, &held, &Code::ClaimUnheard.as_str()],
    )
    .await
}

/// The checkpoint of a leased job and the tries since; `None`: the lease is lost.
pub async fn get_checkpoint(db: &impl Session, fence: Fence) -> Result<Option<(Status, i32)>, DbError> {
    db.find(
        &format!(
            "-- get_checkpoint
SELECT j.status, j.retry_count
FROM upload_pipeline.upload_jobs AS j
WHERE {FENCED}"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await
}

#[derive(FromRow)]
struct Expired {
    job_id: Uuid,
    status: Status,
    retry_count: i32,
    crash_count: i32,
    in_a_step: bool,
}

impl Expired {
    /// What becomes of the job, as a row of [`take_over_jobs`].
    fn decide(&self, database_was_away: bool) -> Value {
        let died_in_a_step = self.in_a_step && !database_was_away;
        let takeover = Takeover::decide(died_in_a_step, self.crash_count);
        let (event, severity, status) = match takeover {
            Takeover::Requeue => ("taken_over", "info", self.status),
            Takeover::Retry | Takeover::RetryAlone => ("taken_over", "warn", self.status),
            Takeover::GiveUp => ("error", "error", self.status.failed()),
        };
        let failure = takeover.failure();
        let charge = |count: i32| count.saturating_add(i32::from(died_in_a_step));
        json!({
            "job_id": self.job_id, "state": takeover.state(), "status": status, "retry_count": charge(self.retry_count),
            "crash_count": charge(self.crash_count), "in_a_step": self.in_a_step,
            "database_was_away": database_was_away, "event": event, "severity": severity,
            "code": failure.as_ref().map_or(self.status.as_str(), |failure| failure.code.as_str()),
            "last_error": failure.map(|Failure { code, class, message, .. }| json!({
                "code": code.as_str(), "class": class.as_str(), "message": message,
                "status": self.status, "checkpoint": self.status,
            })),
        })
    }
}

/// Frees jobs whose lease has expired, at most `limit`: [`Takeover`] decides what becomes of each. How many were freed.
///
/// `database_was_away`: nobody could renew a lease, so no document is charged with the death of a worker.
pub async fn release_expired_jobs(
    db: &Db,
    limit: i64,
    now: Option<OffsetDateTime>,
    database_was_away: bool,
) -> Result<u64, DbError> {
    db.run_tx("release_expired_jobs", |tx| {
        Box::pin(async move {
            let expired = lock_expired_jobs(&tx, limit, now).await?;
            let decided: Value = expired.iter().map(|job| job.decide(database_was_away)).collect();
            if expired.is_empty() { Ok(0) } else { take_over_jobs(&tx, &decided, now).await }
        })
    })
    .await
}

/// Locks jobs whose lease has expired. A job at a status that this build does not know is left to a build that does.
async fn lock_expired_jobs(
    tx: &impl Session,
    limit: i64,
    now: Option<OffsetDateTime>,
) -> Result<Vec<Expired>, DbError> {
    tx.list(
        "-- lock_expired_jobs
SELECT j.job_id, j.status, j.retry_count, j.crash_count, j.step_started_at IS NOT NULL AS in_a_step
FROM upload_pipeline.upload_jobs AS j
WHERE j.state = 'working' AND coalesce(j.lease_expires_at, '-infinity') < coalesce($1, now()) AND j.status = ANY ($2)
LIMIT $3
FOR UPDATE SKIP LOCKED",
        &[&now, &Status::claimable(), &limit],
    )
    .await
}

/// Writes the decisions about the locked jobs.
async fn take_over_jobs(tx: &impl Session, decided: &Value, now: Option<OffsetDateTime>) -> Result<u64, DbError> {
    tx.run(
        &format!(
            "-- take_over_jobs
WITH decided AS (
  SELECT d.*, j.claimed_by AS worker
  FROM jsonb_to_recordset($1) AS d (job_id uuid, state text, status text, retry_count int, crash_count int,
    in_a_step boolean, database_was_away boolean, event text, severity text, code text, last_error jsonb)
  JOIN upload_pipeline.upload_jobs AS j ON j.job_id = d.job_id
),
job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = d.state, status = d.status, retry_count = d.retry_count, crash_count = d.crash_count,
      last_error = coalesce(
        d.last_error || jsonb_build_object('worker', d.worker, 'at', coalesce($2, now())) || {KEEP_FIRST}, j.last_error),
      run_at = coalesce($2, now()),
      finished_at = CASE WHEN d.state IN {ENDED} THEN coalesce($2, now()) END
  FROM decided AS d
  WHERE j.job_id = d.job_id
  RETURNING j.job_id, j.document_id, j.version_no, j.status, j.state, j.correlation_id, d.worker, d.in_a_step, d.database_was_away, d.event,
    d.severity, d.code
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = job.status, updated_at = now()
  FROM job
  WHERE d.document_id = job.document_id AND job.state IN {ENDED} AND {OF_ACTIVE}
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT job.job_id, job.document_id, job.event, job.severity, job.code,
  jsonb_build_object('worker', job.worker, 'in_a_step', job.in_a_step, 'database_was_away', job.database_was_away),
  job.correlation_id
FROM job"
        ),
        &[decided, &now],
    )
    .await
}
