//! Writes the outcome of a leased job. Every statement carries the fence and expects one row; no row means the lease is
//! lost.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::sql::{ENDED, FENCED, LET_GO, OF_ACTIVE};
use crate::spending::get_job_bill;
use domain::{Code, Failure, Fence, Lease, State, Status, Step};
use pg::{DbError, Params, Session};

async fn expect_one(db: &impl Session, fence: Fence, sql: &str, params: Params<'_>) -> Result<(), DbError> {
    match db.run(sql, params).await? {
        0 => Err(DbError::LeaseLost { job_id: fence.job_id }),
        _ => Ok(()),
    }
}

/// Locks the job's row until the transaction ends, so that its other writes happen under a live lease.
pub async fn lock_lease(tx: &impl Session, fence: Fence) -> Result<(), DbError> {
    expect_one(
        tx,
        fence,
        &format!(
            "-- lock_lease
SELECT FROM upload_pipeline.upload_jobs AS j
WHERE {FENCED}
FOR UPDATE"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await
}

/// Writes the next checkpoint and begins the step after it. Tries and crashes are counted from zero again. A checkpoint
/// only moves forward: a delayed statement of a run that the worker has given up does not undo a later one. `progress`
/// is merged into the job's counts; `took` is how long the step ran.
pub async fn advance_job(
    db: &impl Session,
    lease: &Lease,
    done: Step,
    to: Status,
    progress: &Value,
    took: Duration,
) -> Result<(), DbError> {
    write_checkpoint(db, lease, done, to, progress, json!({ "step": done.as_str(), "duration_ms": millis(took) })).await
}

/// The same after a step that has bought something; the event tells what the job has cost so far.
pub async fn advance_paid_job(
    db: &impl Session,
    lease: &Lease,
    done: Step,
    to: Status,
    progress: &Value,
    took: Duration,
) -> Result<(), DbError> {
    let bill = get_job_bill(db, lease.fence.job_id).await?;
    let payload = json!({
        "step": done.as_str(), "duration_ms": millis(took), "cost_cents": bill.cost, "uncertain_cents": bill.uncertain,
    });
    write_checkpoint(db, lease, done, to, progress, payload).await
}

async fn write_checkpoint(
    db: &impl Session,
    lease: &Lease,
    done: Step,
    to: Status,
    progress: &Value,
    payload: Value,
) -> Result<(), DbError> {
    if !done.checkpoints().contains(&to) {
        return Err(DbError::row("advance_job", &format!("the step {} does not end at {to}", done.as_str())));
    }
    let next = Step::after(to).map(Step::as_str);
    let written = db
        .one(
            "-- advance_job
SELECT upload_pipeline.checkpoint_job(
  p_job => $1, p_worker => $2, p_epoch => $3, p_from => $4, p_to => $5, p_progress => $6, p_done => $7, p_next => $8) AS written",
            &[
                &lease.fence.job_id.0,
                &lease.fence.worker.0,
                &lease.fence.epoch,
                &done.statuses(),
                &to.as_str(),
                &progress,
                &payload,
                &next,
            ],
        )
        .await?;
    if written { Ok(()) } else { Err(DbError::LeaseLost { job_id: lease.fence.job_id }) }
}

/// Merges counts into `progress` during `step`, in which the job must be. Work was committed, so tries are counted from
/// zero, and of the deaths of workers one is left: a job that goes on between them is not given up for them, and one that
/// kills workers again soon runs alone.
pub async fn save_progress(
    db: &impl Session,
    fence: Fence,
    step: Step,
    status: Status,
    progress: &Value,
) -> Result<(), DbError> {
    let forgiven = "retry_count = 0, crash_count = least(j.crash_count, 1),";
    write_progress(db, fence, step, status, progress, forgiven).await
}

/// Merges counts of work that is not committed: what was tried counts on.
pub async fn show_progress(
    db: &impl Session,
    fence: Fence,
    step: Step,
    status: Status,
    progress: &Value,
) -> Result<(), DbError> {
    write_progress(db, fence, step, status, progress, "").await
}

async fn write_progress(
    db: &impl Session,
    fence: Fence,
    step: Step,
    status: Status,
    progress: &Value,
    forgiven: &str,
) -> Result<(), DbError> {
    expect_one(
        db,
        fence,
        &format!(
            "-- write_progress
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET status = $4, progress = j.progress || $5, {forgiven} updated_at = now()
  WHERE {FENCED} AND j.status = ANY ($6)
  RETURNING j.document_id, j.version_no, j.status
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = job.status, updated_at = now()
  FROM job
  WHERE d.document_id = job.document_id AND {OF_ACTIVE}
)
SELECT FROM job"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch, &status.as_str(), &progress, &step.statuses()],
    )
    .await
}

/// Ends the job as `duplicate` if another job has completed its document already; whether it did.
pub async fn finish_duplicate(db: &impl Session, fence: Fence) -> Result<bool, DbError> {
    db.run_any(
        &format!(
            "-- finish_duplicate
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, status = 'duplicate', state = 'done', retry_count = 0, finished_at = now()
  WHERE {FENCED} AND NOT j.progress ? 'read_again'
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.document_versions AS v
      WHERE v.document_id = j.document_id AND v.version_no = j.version_no)
    AND EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS other
      WHERE other.document_id = j.document_id AND other.status = 'complete' AND other.job_id <> j.job_id)
    AND EXISTS (SELECT FROM upload_pipeline.document_chunks AS c WHERE c.document_id = j.document_id)
  RETURNING j.job_id, j.document_id, j.correlation_id
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = 'complete', updated_at = now()
  FROM job
  WHERE d.document_id = job.document_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
SELECT job.job_id, job.document_id, 'finalized', 'info', 'duplicate', job.correlation_id
FROM job"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await
}

/// A failure as the columns `last_error` and `events.payload` hold it.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// What went wrong.
    pub failure: &'a Failure,
    /// In which step.
    pub step: Step,
}

impl Failed<'_> {
    fn last_error(&self, lease: &Lease) -> Value {
        json!({
            "code": self.failure.code.as_str(),
            "class": self.failure.class.as_str(),
            "message": self.failure.message,
            "step": self.step.as_str(),
            "status": lease.status.as_str(),
            "checkpoint": lease.status.as_str(),
            "at": OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).ok(),
        })
    }
}

/// `last_error` with the first failure of the job kept beside the newest.
pub(super) const KEEP_FIRST: &str = "CASE WHEN j.last_error IS NULL THEN '{}'::jsonb
        ELSE jsonb_build_object('first', coalesce(j.last_error -> 'first', j.last_error)) END";

/// Gives the job up: `failed_*` and `deadletter`, with the checkpoint to resume from in `last_error`.
pub async fn fail_job(db: &impl Session, lease: &Lease, failed: Failed<'_>) -> Result<(), DbError> {
    let verdict =
        Verdict { status: Some(failed.step.failed_status()), state: State::Deadletter, tries: 0, event: "error" };
    end_try(db, lease, failed, verdict, "error", Duration::ZERO).await
}

/// Schedules another try after `delay`; counts as a try. The status stays.
pub async fn retry_job(db: &impl Session, lease: &Lease, failed: Failed<'_>, delay: Duration) -> Result<(), DbError> {
    let verdict = Verdict { status: None, state: State::Retryable, tries: 1, event: "retry" };
    end_try(db, lease, failed, verdict, "warn", delay).await
}

/// Hands the job back because this process is misconfigured: writes the reason, counts no try.
pub async fn pause_job(db: &impl Session, lease: &Lease, failed: Failed<'_>, delay: Duration) -> Result<(), DbError> {
    let verdict = Verdict { status: None, state: State::Queued, tries: 0, event: "handed_back" };
    end_try(db, lease, failed, verdict, "error", delay).await
}

/// Lets the job wait for `delay` because something outside stops it that a person should know of: writes the reason, counts no
/// try.
pub async fn hold_job(db: &impl Session, lease: &Lease, failed: Failed<'_>, delay: Duration) -> Result<(), DbError> {
    let verdict = Verdict { status: None, state: State::Queued, tries: 0, event: "snoozed" };
    end_try(db, lease, failed, verdict, "warn", delay).await
}

/// What a failed try comes to.
struct Verdict {
    /// `None`: it stays.
    status: Option<Status>,
    state: State,
    tries: i32,
    event: &'static str,
}

async fn end_try(
    db: &impl Session,
    lease: &Lease,
    failed: Failed<'_>,
    verdict: Verdict,
    severity: &str,
    delay: Duration,
) -> Result<(), DbError> {
    let sql = format!(
        "-- end_try
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, status = coalesce($4, j.status), state = $5, retry_count = least(j.retry_count, 2147483646) + $6,
      run_at = CASE WHEN $5 IN {ENDED} THEN j.run_at ELSE now() + $7 * interval '1 second' END,
      finished_at = CASE WHEN $5 IN {ENDED} THEN now() END, last_error = $8 || {KEEP_FIRST}
  WHERE {FENCED}
  RETURNING j.job_id, j.document_id, j.version_no, j.status, j.correlation_id,
    CASE WHEN $5 IN {ENDED} THEN '{{}}'::jsonb ELSE jsonb_build_object('run_at', j.run_at) END AS due
),
document AS (
  UPDATE upload_pipeline.documents AS d
  SET processing_status = job.status, updated_at = now()
  FROM job
  WHERE d.document_id = job.document_id AND $4 IS NOT NULL AND {OF_ACTIVE}
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT job.job_id, job.document_id, $9, $10, $11, $8 || job.due, job.correlation_id
FROM job"
    );
    let params: Params<'_> = &[
        &lease.fence.job_id.0,
        &lease.fence.worker.0,
        &lease.fence.epoch,
        &verdict.status.map(Status::as_str),
        &verdict.state.as_str(),
        &verdict.tries,
        &delay.as_secs_f64(),
        &failed.last_error(lease),
        &verdict.event,
        &severity,
        &failed.failure.code.as_str(),
    ];
    expect_one(db, lease.fence, &sql, params).await
}

/// Snoozes the job until something outside happens; counts no try, holds no lease. `code` says what it waits for. If a
/// webhook came since the claim, the job is due at once, since the worker may have seen an older state.
pub async fn snooze_job(db: &impl Session, fence: Fence, code: Code, delay: Duration) -> Result<(), DbError> {
    give_up_lease(db, fence, "snoozed", code, delay).await
}

/// Hands the job back unchanged, for any worker to claim after `delay`; counts no try.
pub async fn hand_back_job(db: &impl Session, fence: Fence, code: Code, delay: Duration) -> Result<(), DbError> {
    give_up_lease(db, fence, "handed_back", code, delay).await
}

async fn give_up_lease(
    db: &impl Session,
    fence: Fence,
    event: &str,
    code: Code,
    delay: Duration,
) -> Result<(), DbError> {
    expect_one(
        db,
        fence,
        &format!(
            "-- give_up_lease
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, state = 'queued',
      run_at = now() + CASE WHEN j.signalled_at > j.claimed_at THEN 0 ELSE $4 END * interval '1 second'
  WHERE {FENCED}
  RETURNING j.job_id, j.document_id, j.correlation_id, j.run_at
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT job.job_id, job.document_id, $5, 'info', $6, jsonb_build_object('run_at', job.run_at), job.correlation_id
FROM job"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch, &delay.as_secs_f64(), &event, &code.as_str()],
    )
    .await
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
