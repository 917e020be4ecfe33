//! Stopping: what runs may finish, and what does not is handed back before the grace ends.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Steps, Worker, job::Left};
use store::workers::delete_worker;

/// Kept of the grace for handing back what did not finish.
const HAND_BACK_TIME: Duration = Duration::from_secs(3);
/// Kept of the grace for telling the others and taking the worker's row away.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

impl<S: Steps> Worker<S> {
    /// `told_at`: when the stop signal came, from which the grace counts.
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

    /// Takes the worker's row away. Where that fails, housekeeping does it later.
    pub(super) async fn say_goodbye(&self) {
        let goodbye = async { delete_worker(&self.db.get().await?, self.row.id).await };
        if !matches!(tokio::time::timeout(GOODBYE_TIME / 2, goodbye).await, Ok(Ok(()))) {
            tracing::debug!("couldn't take the worker's row away");
        }
    }
}
