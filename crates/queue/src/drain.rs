//! Stops the worker: running jobs may finish; those that do not are handed back before the grace period ends.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Steps, Worker, job::Left};
use store::workers::delete_worker;

/// Reserved at the end of the grace period for handing jobs back.
const HAND_BACK_TIME: Duration = Duration::from_secs(3);
/// Reserved at the end of the grace period for waking other workers and deleting the worker's row.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

impl<S: Steps> Worker<S> {
    /// `told_at`: when the stop signal came, at which the grace period starts.
    pub(super) async fn drain(&self, drain: &CancellationToken, running: &mut JoinSet<Left>, told_at: Instant) {
        let deadline = told_at + self.settings.grace.saturating_sub(GOODBYE_TIME);
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

    /// Deletes the worker's row. If that fails, housekeeping does it later.
    pub(super) async fn delete_row(&self) {
        let goodbye = delete_worker(&self.db, self.row.id);
        if !matches!(tokio::time::timeout(GOODBYE_TIME / 2, goodbye).await, Ok(Ok(()))) {
            tracing::debug!("couldn't delete the worker's row");
        }
    }
}
