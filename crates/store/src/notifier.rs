//! Sends one NOTIFY for all jobs that were just committed, since NOTIFY takes a lock that all committing sessions share.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::listener::notify_workers;
use pg::Db;

/// Least time between two notifications.
///
/// Short against the milliseconds in which a job starts, and still one notification for a burst of commits.
const GAP: Duration = Duration::from_millis(1);

/// Requests notifications.
#[derive(Clone, Default)]
pub struct Notifier(Arc<Notify>);

impl Notifier {
    /// Requests a notification after the commit of a job. Returns at once.
    pub fn poke(&self) {
        self.0.notify_one();
    }

    /// Sends the notifications until `stop`. A failure is only logged, since workers also poll.
    pub async fn run(self, db: Db, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.notified() => {}
            }
            if let Err(error) = notify_workers(&db).await {
                tracing::warn!(error = %error, "couldn't wake the workers; they find the job when they poll");
            }
            tokio::time::sleep(GAP).await;
        }
    }
}
