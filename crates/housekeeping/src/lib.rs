//! Deletes what is old or left over: a service of its own beside the queue, one sweep a file.
//!
//! *Must not know:* claims. Every worker process may run one; the row `sweep` of the table `housekeeping` gives the
//! turn to one of them at a time.

pub mod canaries;
pub mod model;
mod objects;
mod retention;
mod rows;
pub mod tombstones;
mod watch;
pub mod words;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

pub use retention::{Deleted, delete_old};
use watch::Watch;

use domain::{Failure, ports::ObjectStore};
use pg::Db;
use store::{housekeeping::take_sweep_turn, retention::Retention};

/// Time in one sweep for the vectors of a model that is no longer wanted, as for words.
const BUDGET: Duration = Duration::from_secs(30);

/// Intervals and bounds, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct HousekeepingSettings {
    /// Between two sweeps, across all processes.
    pub interval: Duration,
    /// How long a worker may go on writing for a document that was deleted: its lease.
    pub lease: Duration,
    /// How long rows are kept.
    pub retention: Retention,
}

/// The service.
pub struct Housekeeping {
    /// The database.
    pub db: Db,
    /// The object store.
    pub store: Arc<dyn ObjectStore>,
    /// Intervals and bounds.
    pub settings: HousekeepingSettings,
}

impl Housekeeping {
    /// Sweeps until `stop`. A sweep that is interrupted continues at the next turn, in any process.
    pub async fn run(&self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.sweep_in_turn()).await;
    }

    async fn sweep_in_turn(&self) {
        let mut watch = Watch::default();
        loop {
            tokio::time::sleep(self.settings.interval.mul_f64(0.5 + fastrand::f64())).await;
            if let Err(failure) = self.sweep_if_due(&mut watch).await {
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    "housekeeping will go on at its next turn: {failure}"
                );
            }
        }
    }

    async fn sweep_if_due(&self, watch: &mut Watch) -> Result<(), Failure> {
        if !take_sweep_turn(&self.db, self.settings.interval).await? {
            return Ok(());
        }
        watch.check(&self.db).await?;
        self.sweep().await
    }

    /// One sweep: rows of dead workers, uploads that never became documents, objects of deleted documents, and what
    /// has been kept for long enough.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let Self { db, store, settings } = self;
        rows::sweep(db).await?;
        objects::sweep(db, &**store, settings.lease).await?;
        tombstones::sweep(&**store, settings.retention.receipts_days).await?;
        canaries::sweep(db, &**store).await;
        retention::sweep(db, settings.retention).await?;
        model::finish(db, BUDGET).await?;
        words::sweep(db).await
    }
}
