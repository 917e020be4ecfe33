//! Keeps the leases of all jobs in hand by one statement, says that the worker is alive, and frees jobs whose lease has expired.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::db::{
    DbError,
    jobs::{beat_heart, release_expired_jobs},
    workers::upsert_worker,
};

/// Expired jobs freed at one look. Source: ours; more than a fleet has slots is more than one look needs.
const RELEASE_LIMIT: i64 = 100;
/// Between two looks for expired leases: with it, a lease of 30 s is taken over within 35 s of a death.
const RELEASE_INTERVAL: Duration = Duration::from_secs(5);

impl Worker {
    /// Beats until `stop`, which comes after the last job has ended.
    pub(super) async fn heartbeat_loop(&self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(self.settings.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let beaten = tokio::time::timeout(self.settings.heartbeat, self.beat_once()).await;
            let error = match beaten {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", self.settings.heartbeat.as_secs())),
            };
            match error {
                Some(error) => {
                    self.held.drop_expired(self.settings.lease);
                    if !failing {
                        tracing::warn!(error = %error, "the heartbeat fails; jobs in hand stop when their lease has expired");
                    }
                    failing = true;
                }
                None => {
                    if failing {
                        tracing::info!("the heartbeat works again");
                    }
                    failing = false;
                }
            }
        }
    }

    /// One heartbeat.
    pub async fn beat_once(&self) -> Result<(), DbError> {
        let began = Instant::now();
        let fences = self.held.fences();
        let conn = self.pipeline.db.get().await?;
        if !fences.is_empty() {
            let kept = beat_heart(&conn, &fences, self.row.id, self.settings.claim_options()).await?;
            self.held.renew(&fences, &kept, began);
        }
        upsert_worker(&conn, &self.row, i32::try_from(self.held.len()).unwrap_or(i32::MAX)).await
    }

    /// Looks for expired leases until `stop`; whatever is freed is claimed by the next look of any worker.
    pub(super) async fn release_loop(&self, stop: CancellationToken, freed: &tokio::sync::Notify) {
        let every = RELEASE_INTERVAL.min(self.settings.lease / 2);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.release_once().await {
                Ok(0) => {}
                Ok(jobs) => {
                    tracing::warn!(jobs, "took over jobs whose worker died");
                    freed.notify_one();
                }
                Err(error) => tracing::debug!(error = %error, "couldn't look for expired leases"),
            }
        }
    }

    /// One look for expired leases; how many jobs were freed.
    pub async fn release_once(&self) -> Result<u64, DbError> {
        let conn = self.pipeline.db.get().await?;
        release_expired_jobs(&conn, RELEASE_LIMIT, None).await
    }
}
