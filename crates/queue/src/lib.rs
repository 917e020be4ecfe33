//! Claims jobs, keeps their leases, takes over those of dead workers, and stops in time.
//!
//! *Must not know:* what a job does. A step is a trait that the program fills in with the pipeline. Stopping is a token: the
//! worker stops claiming, lets what runs finish, and hands back the rest before the grace period ends.

mod claim_loop;
mod heartbeat;
mod held;
mod housekeeping;
mod job;
pub mod retention;
mod watch;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use time::OffsetDateTime;

use domain::{Failure, Lease, RetryPolicy, Step, Timeline, ports::ObjectStore};
use held::Held;
use pg::Db;
use pipeline::{JobMemory, Outcome, Pipeline, StepError};
use store::{Wakeup, jobs::ClaimOptions, retention::Retention, workers::WorkerRow};
use telemetry::readiness::Readiness;

/// Bounds and intervals, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Jobs at once.
    pub concurrency: u32,
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Between two heartbeats; well under the lease.
    pub heartbeat: Duration,
    /// Between two looks for work where notifications are not proven.
    pub poll_interval: Duration,
    /// Between two looks for work where notifications are proven to arrive.
    pub listen_poll_interval: Duration,
    /// From the stop signal to the end.
    pub grace: Duration,
    /// Running jobs a user may have; 0 = no bound.
    pub max_running_per_user: u32,
    /// What is written of the jobs' way.
    pub timeline: Timeline,
    /// When failures are tried again.
    pub retry: RetryPolicy,
    /// Between two sweeps of the housekeeping, across all workers.
    pub sweep_interval: Duration,
    /// How long what is kept.
    pub retention: Retention,
}

impl WorkerSettings {
    fn claim_options(&self) -> ClaimOptions {
        ClaimOptions {
            lease: self.lease,
            max_running_per_user: self.max_running_per_user,
            timeline: self.timeline,
            now: None,
        }
    }
}

/// What a job is taken through: a document's [`Pipeline`], or, in a benchmark of the queue, steps that do nothing.
#[async_trait]
pub trait Steps: Send + Sync {
    /// Does `step` for the job and writes the next checkpoint under its lease.
    async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError>;
    /// Whether what a configuration failure complained of is mended.
    async fn probe(&self) -> Result<(), Failure>;
}

#[async_trait]
impl Steps for Pipeline {
    async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        Self::run_step(self, lease, step, memory).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        Self::probe(self).await
    }
}

/// One worker process's work.
pub struct Worker {
    db: Db,
    store: Arc<dyn ObjectStore>,
    steps: Arc<dyn Steps>,
    row: WorkerRow,
    settings: WorkerSettings,
    wakeup: Option<Wakeup>,
    held: Arc<Held>,
    readiness: Arc<Readiness>,
    /// When the worker's row says that it was last alive, where its last heartbeat was answered: nobody else writes that.
    last_beat: Mutex<Option<OffsetDateTime>>,
}

impl Worker {
    /// A worker that has not begun. `store`: where housekeeping removes objects; `wakeup`: from a listener, where there is one.
    pub fn new(
        db: Db,
        store: Arc<dyn ObjectStore>,
        steps: Arc<dyn Steps>,
        row: WorkerRow,
        settings: WorkerSettings,
        wakeup: Option<Wakeup>,
    ) -> Self {
        let (held, readiness) = (Arc::new(Held::default()), Arc::new(Readiness::default()));
        Self { db, store, steps, row, settings, wakeup, held, readiness, last_beat: Mutex::default() }
    }

    /// The same worker, which says in `readiness` whether it claims.
    pub fn with_readiness(self, readiness: Arc<Readiness>) -> Self {
        Self { readiness, ..self }
    }
}
