//! Runs one job from its claim until it leaves this worker.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Steps, Worker, held::HeldGuard, turns::Turn};
use domain::{Code, Failure, Lease, Outcome, Step, StepError, UserId, Verdict};
use pg::DbError;
use store::jobs::{Failed, fail_job, get_checkpoint, hand_back_job, hold_job, pause_job, retry_job, snooze_job};
use telemetry::metrics::{METRICS, StepOutcome};

/// For this long a job is handed back after a configuration failure, so that a worker that is configured correctly can
/// take it.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two tries to write a job's outcome.
const SETTLE_RETRY: Duration = Duration::from_millis(500);

/// How a job left this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// It ended, was snoozed or waits for another try.
    Settled,
    /// Another worker has it, or it was cancelled.
    Lost,
    /// Its turn was over; it was handed back, for this user if one waited.
    GaveWay(Option<UserId>),
    /// This worker is misconfigured and must not claim more until a probe succeeds.
    Misconfigured(Failure),
}

/// The outcome to write.
enum Settle {
    Snooze(Code, Duration),
    Hold(Step, Failure, Duration),
    HandBack(Code),
    Failed(Step, Failure, Verdict),
}

impl<S: Steps> Worker<S> {
    /// Runs the job until it ends, is snoozed, fails, loses its lease, or `drain` asks to hand it back.
    pub(super) async fn run_job(&self, lease: Lease, guard: HeldGuard, drain: &CancellationToken) -> Left {
        let span = tracing::info_span!(
            "job",
            job.id = %lease.fence.job_id,
            document.id = %lease.document_id,
            correlation_id = lease.correlation_id.map(tracing::field::display),
        );
        self.run_steps(lease, &guard, drain).instrument(span).await
    }

    async fn run_steps(&self, mut lease: Lease, guard: &HeldGuard, drain: &CancellationToken) -> Left {
        let mut memory = S::Memory::default();
        let (mut turn, mut began) = (Turn::begin(), Instant::now());
        loop {
            let Some(step) = Step::after(lease.status) else {
                // The claim takes no such status; a row changed by hand between the two is left to its lease.
                tracing::warn!(job.status = %lease.status, "a job without a next step was claimed; leaving it");
                return Left::Lost;
            };
            let result = tokio::select! {
                biased;
                () = guard.lost.cancelled() => Err(StepError::LeaseLost),
                () = drain.cancelled() => {
                    METRICS.record_step(step, StepOutcome::HandedBack, began.elapsed());
                    return self.settle(&lease, Settle::HandBack(Code::Shutdown), &guard.lost).await;
                }
                result = self.run_within_slot(self.run_step(&lease, step, &mut memory)) => result,
            };
            // A step of many parts writes a checkpoint after each and is begun again behind it.
            let goes_on = matches!(result, Ok(Outcome::Advanced(status)) if Step::after(status) == Some(step));
            if !goes_on {
                METRICS.record_step(step, outcome_of(&result), began.elapsed());
                began = Instant::now();
            }
            match result {
                Ok(Outcome::Advanced(status)) => {
                    tracing::debug!(job.step = step.as_str(), job.status = %status, "checkpoint written");
                    lease.status = status;
                    lease.retry_count = 0;
                    if let Some(user) = self.gives_way(&lease, &mut turn).await {
                        if goes_on {
                            METRICS.record_step(step, StepOutcome::HandedBack, began.elapsed());
                        }
                        let left = self.settle(&lease, Settle::HandBack(Code::TurnOver), &guard.lost).await;
                        if left != Left::Settled {
                            return left;
                        }
                        if user.is_none() {
                            // This worker has no free slot for it.
                            self.tell_others().await;
                        }
                        return Left::GaveWay(user);
                    }
                }
                Ok(Outcome::Finished(status)) => {
                    tracing::info!(job.status = %status, "job {} is {status}", lease.fence.job_id);
                    return Left::Settled;
                }
                Ok(Outcome::Snooze { code, delay }) => {
                    return self.settle(&lease, Settle::Snooze(code, delay), &guard.lost).await;
                }
                Ok(Outcome::Hold { failure, delay }) => {
                    self.refresh(&mut lease).await;
                    return self.settle(&lease, Settle::Hold(step, failure, delay), &guard.lost).await;
                }
                Err(StepError::LeaseLost) => {
                    tracing::info!("the lease on job {} is lost; stopped working on it", lease.fence.job_id);
                    return Left::Lost;
                }
                Err(StepError::Failed(failure)) => {
                    return self.fail(lease, step, failure, guard).await;
                }
            }
        }
    }

    async fn fail(&self, mut lease: Lease, step: Step, failure: Failure, guard: &HeldGuard) -> Left {
        self.refresh(&mut lease).await;
        let tries = u32::try_from(lease.retry_count).unwrap_or(0);
        let verdict = self.settings.retry.decide(&failure, tries, fastrand::f64());
        METRICS.record_failure(step, failure.code, verdict);
        self.settle(&lease, Settle::Failed(step, failure, verdict), &guard.lost).await
    }

    /// A panic is this job's failure, not the worker's.
    async fn run_step(&self, lease: &Lease, step: Step, memory: &mut S::Memory) -> Result<Outcome, StepError> {
        let span = tracing::info_span!("step", job.step = step.as_str());
        let work = AssertUnwindSafe(self.steps.run_step(lease, step, memory)).catch_unwind().instrument(span);
        work.await.unwrap_or_else(|_| {
            Err(StepError::Failed(Failure::new(
                Code::StepPanicked,
                "The worker met a defect of its own in this step; its log has the place. Other jobs are not affected.",
            )))
        })
    }

    /// Reads the checkpoint and the tries again, for the record of a failure and for the decision about it: the embed
    /// step writes a checkpoint with each batch, and the answer to a written checkpoint may have been lost.
    async fn refresh(&self, lease: &mut Lease) {
        if let Ok(Some((status, retry_count))) = get_checkpoint(&self.db, lease.fence).await {
            lease.status = status;
            lease.retry_count = retry_count;
        }
    }

    /// Writes the outcome; tries again for the length of a lease, since without an outcome the job waits until its
    /// lease expires.
    async fn settle(&self, lease: &Lease, how: Settle, lost: &CancellationToken) -> Left {
        log_failure(lease, &how);
        let deadline = tokio::time::Instant::now() + self.settings.claims.lease;
        loop {
            match self.write(lease, &how).await {
                Ok(()) => break,
                Err(DbError::LeaseLost { .. }) => return Left::Lost,
                Err(error) if lost.is_cancelled() || tokio::time::Instant::now() >= deadline => {
                    tracing::warn!(error = %error, "couldn't write what became of job {}; its lease will expire", lease.fence.job_id);
                    return Left::Lost;
                }
                Err(_) => tokio::time::sleep(SETTLE_RETRY).await,
            }
        }
        match how {
            Settle::Failed(_, failure, Verdict::Pause) => Left::Misconfigured(failure),
            _ => Left::Settled,
        }
    }

    async fn write(&self, lease: &Lease, how: &Settle) -> Result<(), DbError> {
        let db = &self.db;
        match how {
            Settle::Snooze(code, delay) => snooze_job(db, lease.fence, *code, *delay).await,
            Settle::Hold(step, failure, delay) => hold_job(db, lease, Failed { failure, step: *step }, *delay).await,
            Settle::HandBack(code) => hand_back_job(db, lease.fence, *code, Duration::ZERO).await,
            Settle::Failed(step, failure, verdict) => {
                let failed = Failed { failure, step: *step };
                match verdict {
                    Verdict::Retry(delay) => retry_job(db, lease, failed, *delay).await,
                    Verdict::Deadletter => fail_job(db, lease, failed).await,
                    Verdict::Pause => pause_job(db, lease, failed, PAUSE).await,
                }
            }
        }
    }
}

fn outcome_of(result: &Result<Outcome, StepError>) -> StepOutcome {
    match result {
        Ok(Outcome::Advanced(_)) => StepOutcome::Advanced,
        Ok(Outcome::Finished(_)) => StepOutcome::Finished,
        Ok(Outcome::Snooze { .. } | Outcome::Hold { .. }) => StepOutcome::Snoozed,
        Err(StepError::LeaseLost) => StepOutcome::LeaseLost,
        Err(StepError::Failed(_)) => StepOutcome::Failed,
    }
}

/// Logs a failure once, where it is handled.
fn log_failure(lease: &Lease, how: &Settle) {
    let Settle::Failed(step, failure, verdict) = how else { return };
    tracing::warn!(
        error.code = failure.code.as_str(),
        error.class = failure.class.as_str(),
        job.step = step.as_str(),
        verdict = ?verdict,
        "job {} failed at {}: {failure}",
        lease.fence.job_id,
        step.as_str(),
    );
}
