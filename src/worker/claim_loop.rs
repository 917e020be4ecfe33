//! Looks for work, as often as there may be some, and runs what it claims.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Steps, Worker, job::Left};
use crate::{
    db::{
        Conn, DbError, Wakeup,
        jobs::{ClaimCursor, claim_jobs, claim_suspect, get_outlook, hand_back_unheld, suspect_waits},
        workers::delete_worker,
    },
    domain::Lease,
    telemetry::{
        metrics::{ClaimOutcome, METRICS},
        readiness::Phase,
    },
};

/// Between two probes of a worker that is set up wrongly.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a repeat victim waits for an idle worker before busy ones make room for it. Source: ours; it should be rare.
const SUSPECT_PATIENCE: Duration = Duration::from_secs(30);
/// Kept of the grace for handing back what did not finish.
const HAND_BACK_TIME: Duration = Duration::from_secs(3);
/// How long a claim that is under way at shutdown may take. Source: ours; it takes milliseconds where the server answers.
const CLAIM_TIME: Duration = Duration::from_secs(3);
/// Kept of the grace for telling the others and taking the worker's row away.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// Jobs in one claim. Source: ours, the highest WORKER_CONCURRENCY; other values were not measured.
const MAX_CLAIM: u32 = 1000;
/// Behind the moment at which a job becomes due, so that looking then does not come a hair too early.
const DUE_MARGIN: Duration = Duration::from_millis(10);

/// What the claim loop remembers from one turn to the next.
#[derive(Default)]
struct Turn {
    /// Where the claims have come to.
    cursor: ClaimCursor,
    /// A repeat victim runs: nothing else may.
    alone: bool,
    /// A repeat victim has waited for long: nothing more is claimed until nothing else runs.
    clearing: bool,
    /// When it was last looked whether one waits.
    looked_for_suspects: Option<Instant>,
    /// Looks for work fail.
    failing: bool,
    /// Until the next job that waits becomes due, as an idle look has found it.
    next_due: Option<Duration>,
}

impl<S: Steps> Worker<S> {
    /// Works until `stop`, then drains: nothing more is claimed, what runs may finish, the rest is handed back
    /// before the grace ends.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let ended = CancellationToken::new();
        let freed = Arc::new(Notify::new());
        let mut loops = JoinSet::new();
        let (worker, token, notify) = (Arc::clone(&self), ended.clone(), Arc::clone(&freed));
        loops.spawn(async move { worker.heartbeat_loop(token, &notify).await });

        let told_at = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                Instant::now()
            }
        });

        let drain = CancellationToken::new();
        let mut running = JoinSet::new();
        self.claim_loop(&stop, &drain, &freed, &mut running).await;
        self.readiness.enter(Phase::Draining);
        let told_at = told_at.await.unwrap_or_else(|_| Instant::now());
        let deadline = told_at + self.settings.grace.saturating_sub(GOODBYE_TIME);
        self.drain(&drain, &mut running, deadline).await;
        ended.cancel();
        // Heartbeats have nothing left to keep.
        loops.shutdown().await;
        let goodbye = async { delete_worker(&self.db.get().await?, self.row.id).await };
        if !matches!(tokio::time::timeout(GOODBYE_TIME / 2, goodbye).await, Ok(Ok(()))) {
            tracing::debug!("couldn't take the worker's row away");
        }
        tracing::info!("the worker has stopped");
    }

    async fn claim_loop(
        self: &Arc<Self>,
        stop: &CancellationToken,
        drain: &CancellationToken,
        freed: &Notify,
        running: &mut JoinSet<Left>,
    ) {
        let mut turn = Turn::default();
        while !stop.is_cancelled() {
            while let Some(left) = running.try_join_next() {
                self.note(left.unwrap_or(Left::Lost), running, stop).await;
            }
            turn.alone &= !running.is_empty();
            let claimed = tokio::select! {
                claimed = self.claim(&mut turn, running.len()) => claimed,
                () = stopped_for(stop, CLAIM_TIME) => {
                    tracing::warn!("a claim was not answered; what it may have taken waits for its lease to expire");
                    return;
                }
            };
            if !claimed.is_empty() {
                for lease in claimed {
                    let (worker, drain, guard) = (Arc::clone(self), drain.clone(), self.held.hold(lease.fence));
                    running.spawn(async move { worker.run_job(lease, guard, &drain).await });
                }
                continue;
            }
            let wait = self.wait_time(&turn, running.len());
            tokio::select! {
                () = stop.cancelled() => {}
                Some(left) = running.join_next() => self.note(left.unwrap_or(Left::Lost), running, stop).await,
                () = self.news() => {}
                () = freed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Claims what fits; nothing when the database does not answer, which is logged once.
    async fn claim(&self, turn: &mut Turn, running: usize) -> Vec<Lease> {
        let free = self.settings.concurrency.saturating_sub(u32::try_from(running).unwrap_or(u32::MAX));
        if free == 0 || turn.alone {
            return Vec::new();
        }
        let began = Instant::now();
        let claimed = self.try_claim(turn, free, running == 0).await;
        record(&claimed, began.elapsed());
        match claimed {
            Ok(leases) => {
                self.readiness.enter(Phase::Claiming);
                if turn.failing {
                    tracing::info!("looking for work again");
                }
                turn.failing = false;
                leases
            }
            Err(error) => {
                if !turn.failing {
                    tracing::warn!(error = %error, "couldn't look for work; trying again every {} s", self.settings.poll_interval.as_secs_f64());
                }
                turn.failing = true;
                self.readiness.enter(Phase::Failing);
                Vec::new()
            }
        }
    }

    /// One statement where there is work, since that is what a new job waits for, and where nothing waits at all.
    async fn try_claim(&self, turn: &mut Turn, free: u32, idle: bool) -> Result<Vec<Lease>, DbError> {
        let conn = self.db.get().await?;
        turn.next_due = None;
        if turn.failing {
            // The failed claim may have been committed all the same.
            hand_back_unheld(&conn, self.row.id, &self.held.fences()).await?;
        }
        if idle && std::mem::take(&mut turn.clearing) {
            let suspect = self.claim_suspect(&conn, turn).await?;
            if !suspect.is_empty() {
                return Ok(suspect);
            }
        } else if !idle && turn.looked_for_suspects.is_none_or(|at| at.elapsed() >= SUSPECT_PATIENCE) {
            turn.looked_for_suspects = Some(Instant::now());
            turn.clearing = suspect_waits(&conn, SUSPECT_PATIENCE).await?;
        }
        if turn.clearing {
            return Ok(Vec::new());
        }
        let claimed =
            claim_jobs(&conn, self.row.id, free.min(MAX_CLAIM), &mut turn.cursor, self.settings.claim_options())
                .await?;
        if !claimed.others_wait {
            return Ok(claimed.leases);
        }
        let outlook = get_outlook(&conn).await?;
        turn.next_due = outlook.next_due;
        if idle && outlook.suspect { self.claim_suspect(&conn, turn).await } else { Ok(Vec::new()) }
    }

    /// Takes a repeat victim; nothing else may run beside it.
    async fn claim_suspect(&self, conn: &Conn, turn: &mut Turn) -> Result<Vec<Lease>, DbError> {
        let suspect = claim_suspect(conn, self.row.id, self.settings.claim_options()).await?;
        if let Some(suspect) = &suspect {
            tracing::warn!(
                job.id = %suspect.fence.job_id,
                document.id = %suspect.document_id,
                correlation_id = suspect.correlation_id.map(tracing::field::display),
                "job {} has brought workers down; running it alone", suspect.fence.job_id
            );
            turn.alone = true;
        }
        Ok(suspect.into_iter().collect())
    }

    /// How long until the next look, if no news comes before: a little random, so that a fleet does not look in step.
    fn wait_time(&self, turn: &Turn, running: usize) -> Duration {
        let full = running >= usize::try_from(self.settings.concurrency).unwrap_or(usize::MAX);
        if full || turn.alone {
            return self.settings.listen_poll_interval;
        }
        let proven = self.wakeup.as_ref().is_some_and(Wakeup::is_proven);
        let longest =
            if proven && !turn.failing { self.settings.listen_poll_interval } else { self.settings.poll_interval };
        let jittered = longest.mul_f64(0.8 + 0.2 * fastrand::f64());
        turn.next_due.map_or(jittered, |due| jittered.min(due + DUE_MARGIN))
    }

    async fn news(&self) {
        match &self.wakeup {
            Some(wakeup) => wakeup.news().await,
            None => std::future::pending().await,
        }
    }

    /// A worker that is set up wrongly claims nothing until a probe says that it is mended. What ended meanwhile for the same
    /// reason needs no probe of its own: should it not be mended, the next job says so.
    async fn note(&self, left: Left, running: &mut JoinSet<Left>, stop: &CancellationToken) {
        let Left::Misconfigured(failure) = left else { return };
        self.readiness.enter(Phase::Misconfigured);
        tracing::error!(error.code = failure.code, "not claiming until this is mended: {failure}");
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PROBE_INTERVAL) => {}
            }
            let probed = tokio::select! {
                () = stop.cancelled() => return,
                probed = self.steps.probe() => probed,
            };
            match probed {
                Ok(()) => break,
                Err(still) => tracing::debug!(error.code = still.code, "still set up wrongly: {still}"),
            }
        }
        while running.try_join_next().is_some() {}
        tracing::info!("mended; claiming again");
    }

    /// Lets what runs end until shortly before `deadline`, and hands the rest back, for which there is a moment in any case.
    async fn drain(&self, drain: &CancellationToken, running: &mut JoinSet<Left>, deadline: Instant) {
        if !running.is_empty() {
            tracing::info!(jobs = running.len(), "stopping: finishing what runs, claiming nothing more");
        }
        let patience = deadline.saturating_duration_since(Instant::now()).saturating_sub(HAND_BACK_TIME);
        if self.join_until(running, Instant::now() + patience).await {
            return;
        }
        tracing::info!(jobs = running.len(), "the grace period ends; handing back what runs");
        drain.cancel();
        let all_back = self.join_until(running, deadline.max(Instant::now() + HAND_BACK_TIME)).await;
        let _they_poll = tokio::time::timeout(GOODBYE_TIME / 2, self.tell_others()).await;
        if !all_back {
            tracing::warn!(jobs = running.len(), "couldn't hand everything back; the leases will expire");
        }
    }

    /// Whether everything ended before the deadline.
    async fn join_until(&self, running: &mut JoinSet<Left>, deadline: Instant) -> bool {
        while !running.is_empty() {
            if tokio::time::timeout_at(deadline, running.join_next()).await.is_err() {
                return false;
            }
        }
        true
    }

    /// One turn, for tests: claims what there is and works on it to its end; how many jobs were claimed.
    pub async fn run_once(self: &Arc<Self>) -> Result<usize, DbError> {
        let leases = self.try_claim(&mut Turn::default(), self.settings.concurrency, true).await?;
        let count = leases.len();
        let never = CancellationToken::new();
        let jobs = leases.into_iter().map(|lease| {
            let guard = self.held.hold(lease.fence);
            self.run_job(lease, guard, &never)
        });
        futures_util::future::join_all(jobs).await;
        Ok(count)
    }
}

/// Once `stop` was cancelled that long ago.
async fn stopped_for(stop: &CancellationToken, patience: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(patience).await;
}

fn record(claimed: &Result<Vec<Lease>, DbError>, took: Duration) {
    let (outcome, jobs) = match claimed {
        Ok(leases) if leases.is_empty() => (ClaimOutcome::Empty, 0),
        Ok(leases) => (ClaimOutcome::Claimed, leases.len()),
        Err(_) => (ClaimOutcome::Failed, 0),
    };
    METRICS.record_claim(outcome, jobs, took);
}
