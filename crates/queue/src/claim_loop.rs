//! Claims jobs whenever some may be due, and runs them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Steps, Worker, job::Left};
use domain::{Failure, Lease, UserId};
use pg::{Conn, DbError};
use store::{
    Wakeup,
    jobs::{claim_jobs, claim_suspect, get_outlook, hand_back_unheld, served_last, suspect_waits},
};
use telemetry::{
    metrics::{ClaimOutcome, METRICS},
    readiness::Phase,
};

/// Between two probes of a misconfigured worker.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a job that must run alone waits for an idle worker before busy ones make room for it.
const SUSPECT_PATIENCE: Duration = Duration::from_secs(30);
/// How long a claim that has begun before shutdown may take: milliseconds, if the server answers.
const CLAIM_TIME: Duration = Duration::from_secs(3);
/// Jobs in one claim: the highest WORKER_CONCURRENCY.
const MAX_CLAIM: u32 = 1000;
/// Added to the moment at which a job becomes due, so that the look is not a moment too early.
const DUE_MARGIN: Duration = Duration::from_millis(10);

/// What the claim loop may do.
#[derive(Debug, Default)]
enum Mode {
    /// Claim what fits.
    #[default]
    Normal,
    /// A job that must run alone has waited too long: nothing is claimed until nothing runs here; then that job is.
    Clearing,
    /// A job runs alone: nothing is claimed until it has ended.
    Alone,
    /// This worker is misconfigured: nothing is claimed until a probe succeeds.
    Misconfigured(Failure),
}

/// What the claim loop remembers from one round to the next.
#[derive(Default)]
struct Round {
    mode: Mode,
    /// The user served last; the next claim starts after this user.
    after: Option<UserId>,
    /// When it last checked for a waiting job that must run alone.
    looked_for_suspects: Option<Instant>,
    /// The last claim failed.
    failing: bool,
    /// Time until the next waiting job becomes due, if known.
    next_due: Option<Duration>,
}

impl Round {
    fn record_end(&mut self, left: Left) {
        match left {
            Left::Misconfigured(failure) => self.mode = Mode::Misconfigured(failure),
            // The next claim begins with this user.
            Left::GaveWay(Some(user)) => self.after = user.0.as_u128().checked_sub(1).map(Uuid::from_u128).map(UserId),
            Left::GaveWay(None) | Left::Settled | Left::Lost => {}
        }
    }
}

impl<S: Steps> Worker<S> {
    pub(super) async fn claim_loop(
        self: &Arc<Self>,
        stop: &CancellationToken,
        drain: &CancellationToken,
        running: &mut JoinSet<Left>,
    ) {
        let mut round = Round::default();
        while !stop.is_cancelled() {
            while let Some(left) = running.try_join_next() {
                round.record_end(left.unwrap_or(Left::Lost));
            }
            match &round.mode {
                Mode::Misconfigured(failure) => {
                    self.wait_until_set_up(failure, stop).await;
                    // Jobs that ended meanwhile for the same reason need no probe of their own: if the cause persists,
                    // the next job fails by it.
                    while running.try_join_next().is_some() {}
                    round.mode = Mode::Normal;
                    continue;
                }
                Mode::Alone if running.is_empty() => round.mode = Mode::Normal,
                Mode::Alone | Mode::Normal | Mode::Clearing => {}
            }
            let claimed = tokio::select! {
                claimed = self.claim(&mut round, running.len()) => claimed,
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
            let wait = self.wait_time(&round, running.len());
            tokio::select! {
                () = stop.cancelled() => {}
                Some(left) = running.join_next() => round.record_end(left.unwrap_or(Left::Lost)),
                () = self.news() => {}
                () = self.freed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Claims as many jobs as there are free slots; none when the database does not answer, which is logged once.
    async fn claim(&self, round: &mut Round, running: usize) -> Vec<Lease> {
        self.turns.clearing.store(matches!(round.mode, Mode::Clearing), Ordering::Relaxed);
        let free = self.settings.concurrency.saturating_sub(self.turns.with_slot(running));
        if free == 0 || matches!(round.mode, Mode::Alone) {
            return Vec::new();
        }
        let began = Instant::now();
        let claimed = self.try_claim(round, free, running == 0).await;
        record(&claimed, began.elapsed());
        match claimed {
            Ok(leases) => {
                self.readiness.enter(Phase::Claiming);
                if round.failing {
                    tracing::info!("looking for work again");
                }
                round.failing = false;
                leases
            }
            Err(error) => {
                if !round.failing {
                    tracing::warn!(error = %error, "couldn't look for work; trying again every {} s", self.settings.poll_interval.as_secs_f64());
                }
                round.failing = true;
                self.readiness.enter(Phase::Failing);
                Vec::new()
            }
        }
    }

    /// One statement if there is work, since a new job waits for it.
    async fn try_claim(&self, round: &mut Round, free: u32, idle: bool) -> Result<Vec<Lease>, DbError> {
        let conn = self.db.get().await?;
        round.next_due = None;
        if round.failing {
            // The failed claim may have been committed all the same.
            hand_back_unheld(&conn, self.row.id, &self.held.fences()).await?;
        }
        match round.mode {
            Mode::Clearing if idle => {
                round.mode = Mode::Normal;
                let suspect = self.claim_suspect(&conn, round).await?;
                if !suspect.is_empty() {
                    return Ok(suspect);
                }
            }
            Mode::Normal if !idle && round.looked_for_suspects.is_none_or(|at| at.elapsed() >= SUSPECT_PATIENCE) => {
                round.looked_for_suspects = Some(Instant::now());
                if suspect_waits(&conn, SUSPECT_PATIENCE).await? {
                    round.mode = Mode::Clearing;
                    return Ok(Vec::new());
                }
            }
            Mode::Normal => {}
            Mode::Clearing | Mode::Alone | Mode::Misconfigured(_) => return Ok(Vec::new()),
        }
        let claimed = claim_jobs(&conn, self.row.id, free.min(MAX_CLAIM), round.after, self.settings.claims).await?;
        round.after = served_last(round.after, &claimed);
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        let outlook = get_outlook(&conn).await?;
        round.next_due = outlook.next_due;
        if idle && outlook.suspect { self.claim_suspect(&conn, round).await } else { Ok(Vec::new()) }
    }

    /// Claims a job that must run alone.
    async fn claim_suspect(&self, conn: &Conn, round: &mut Round) -> Result<Vec<Lease>, DbError> {
        let suspect = claim_suspect(conn, self.row.id, self.settings.claims).await?;
        if let Some(suspect) = &suspect {
            tracing::warn!(
                job.id = %suspect.fence.job_id,
                document.id = %suspect.document_id,
                correlation_id = suspect.correlation_id.map(tracing::field::display),
                "job {} has brought workers down; running it alone", suspect.fence.job_id
            );
            round.mode = Mode::Alone;
        }
        Ok(suspect.into_iter().collect())
    }

    /// How long to wait for news before the next claim; partly random, so that workers do not claim at the same moment.
    fn wait_time(&self, round: &Round, running: usize) -> Duration {
        let full = self.turns.with_slot(running) >= self.settings.concurrency;
        if full || matches!(round.mode, Mode::Alone) {
            return self.settings.listen_poll_interval;
        }
        let proven = self.wakeup.as_ref().is_some_and(Wakeup::is_proven);
        let longest =
            if proven && !round.failing { self.settings.listen_poll_interval } else { self.settings.poll_interval };
        let jittered = longest.mul_f64(0.8 + 0.2 * fastrand::f64());
        round.next_due.map_or(jittered, |due| jittered.min(due + DUE_MARGIN))
    }

    async fn news(&self) {
        match &self.wakeup {
            Some(wakeup) => wakeup.news().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until a probe says that the cause of `failure` is gone, or until `stop`.
    async fn wait_until_set_up(&self, failure: &Failure, stop: &CancellationToken) {
        self.readiness.enter(Phase::Misconfigured);
        tracing::error!(error.code = failure.code.as_str(), "not claiming until this is mended: {failure}");
        let probe = async {
            loop {
                tokio::time::sleep(PROBE_INTERVAL).await;
                match self.steps.probe().await {
                    Ok(()) => return,
                    Err(still) => tracing::debug!(error.code = still.code.as_str(), "still misconfigured: {still}"),
                }
            }
        };
        if stop.run_until_cancelled(probe).await.is_some() {
            tracing::info!("mended; claiming again");
        }
    }
}

/// Returns `patience` after `stop` was cancelled.
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
