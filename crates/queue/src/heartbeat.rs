//! Renews the leases of all running jobs with one statement, which also updates the worker's row, and takes over jobs
//! whose lease has expired. Each heartbeat reads when the first lease could expire, so that no worker looks before.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Steps, Worker};
use pg::DbError;
use store::{
    jobs::{beat_heart, release_expired_jobs},
    notify_workers,
};
use telemetry::metrics::METRICS;

/// Expired jobs taken over in one transaction.
const RELEASE_LIMIT: i64 = 100;
/// Added to the end of a lease, so that the look is not a moment too early.
const EXPIRY_MARGIN: Duration = Duration::from_millis(50);

impl<S: Steps> Worker<S> {
    /// Sends heartbeats until `stop`, which comes after the last job has ended.
    pub(super) async fn heartbeat_loop(&self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(self.settings.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut failing, mut not_looking, mut was_away) = (false, false, false);
        let mut next_expiry = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {
                    // For the looks until the next heartbeat: leases that nobody could renew have expired meanwhile.
                    was_away = failing;
                    next_expiry = self.beat(&mut failing).await;
                }
                () = sleep_or_never(next_expiry) => {
                    self.release(&mut not_looking, was_away).await;
                    next_expiry = None;
                }
            }
        }
    }

    /// One heartbeat, and what a failed one requires. Returns when the first lease of another worker may expire.
    async fn beat(&self, failing: &mut bool) -> Option<tokio::time::Instant> {
        let was_failing = *failing;
        let say = "the heartbeat fails; jobs in hand stop when their lease has expired";
        let beaten = self.in_time(self.beat_once(), failing, say).await;
        self.readiness.note_heartbeat(beaten.is_some());
        let Some(next_expiry) = beaten else {
            self.held.drop_expired(self.settings.claims.lease);
            return None;
        };
        if was_failing {
            tracing::info!("the heartbeat works again");
        }
        next_expiry.map(|expiry| tokio::time::Instant::now() + expiry + EXPIRY_MARGIN)
    }

    /// Runs `work` for a heartbeat interval at the most, so that the next heartbeat is in time. Of failures in a row, the
    /// first is logged, as `say`.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DbError>>,
        failing: &mut bool,
        say: &str,
    ) -> Option<T> {
        let error = match tokio::time::timeout(self.settings.heartbeat, work).await {
            Ok(Ok(done)) => {
                *failing = false;
                return Some(done);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", self.settings.heartbeat.as_secs_f64()),
        };
        if !std::mem::replace(failing, true) {
            tracing::warn!(error = %error, "{say}");
        }
        None
    }

    /// One heartbeat; until the first lease of another worker expires, if it is not renewed before.
    pub async fn beat_once(&self) -> Result<Option<Duration>, DbError> {
        let began = Instant::now();
        let fences = self.held.fences();
        // Unknown until this heartbeat is answered.
        let last_beat = self.last_beat.lock().unwrap_or_else(PoisonError::into_inner).take();
        let beat = beat_heart(&self.db, &self.row, &fences, self.settings.claims).await?;
        self.held.renew(&fences, &beat.kept, began);
        if last_beat.is_some() && beat.seen_before.is_some() && beat.seen_before != last_beat {
            tracing::error!(
                worker.id = %self.row.id,
                "another process goes by this worker's id, which is new at each start: is this the copy of a running machine? \
                 Restart both; until then they may undo each other's work"
            );
        }
        *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = beat.seen_at;
        Ok(beat.next_expiry)
    }

    /// Takes over expired jobs and wakes the other workers, since this one may have no free slot.
    async fn release(&self, failing: &mut bool, database_was_away: bool) {
        let say = "couldn't take over jobs whose lease has expired; trying again with each heartbeat";
        let released = async {
            let jobs = self.release_once(database_was_away).await?;
            if jobs > 0 {
                let why = if database_was_away { "lost the database" } else { "died" };
                tracing::warn!(jobs, "took over jobs whose worker {why}");
                self.freed.notify_one();
                self.tell_others().await;
            }
            Ok(())
        };
        self.in_time(released, failing, say).await;
    }

    /// Takes over all jobs whose lease has expired; returns how many. `database_was_away`: this worker's own heartbeats
    /// failed until now.
    pub async fn release_once(&self, database_was_away: bool) -> Result<u64, DbError> {
        let mut freed = 0;
        loop {
            let jobs = release_expired_jobs(&self.db, RELEASE_LIMIT, None, database_was_away).await?;
            METRICS.record_taken_over(jobs);
            freed += jobs;
            if jobs < u64::try_from(RELEASE_LIMIT).unwrap_or(u64::MAX) {
                return Ok(freed);
            }
        }
    }
}

impl<S: Steps> Worker<S> {
    /// Wakes the workers that listen, for work that this process does not take.
    pub(super) async fn tell_others(&self) {
        if let Err(error) = notify_workers(&self.db).await {
            tracing::debug!(error = %error, "couldn't wake the other workers; they find the jobs when they poll");
        }
    }
}

async fn sleep_or_never(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
