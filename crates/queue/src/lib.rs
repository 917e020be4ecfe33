//! Claims jobs, keeps their leases, takes over those of dead workers, and stops in time.
//!
//! *Must not know:* what a job does. A step is behind the trait [`Steps`], which the program implements with the
//! pipeline. Stopping is a token: the worker stops claiming, lets what runs finish, and hands back the rest before the
//! grace period ends.

mod claim_loop;
mod drain;
mod heartbeat;
mod held;
mod job;
mod turns;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use domain::{Failure, Lease, Outcome, RetryPolicy, Step, StepError};
use held::Held;
use pg::Db;
use store::{Wakeup, jobs::ClaimOptions, workers::WorkerRow};
use telemetry::readiness::{Phase, Readiness};
use turns::Turns;

/// Bounds and intervals, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Jobs at once.
    pub concurrency: u32,
    /// How long a claim lasts, and how many jobs of one user run.
    pub claims: ClaimOptions,
    /// Between two heartbeats; well under the lease.
    pub heartbeat: Duration,
    /// Between two looks for work where notifications are not proven.
    pub poll_interval: Duration,
    /// Between two looks for work where notifications are proven to arrive.
    pub listen_poll_interval: Duration,
    /// From the stop signal to the end.
    pub grace: Duration,
    /// How long a job may run while others wait; zero: as long as it needs.
    pub turn: Duration,
    /// Jobs that may run beside the slots, since their step has outlasted a turn.
    pub long_jobs: u32,
    /// When failures are tried again.
    pub retry: RetryPolicy,
}

/// What runs the steps of a job. It is given the lease, and writes the next checkpoint under it.
#[async_trait]
pub trait Steps: Send + Sync + 'static {
    /// What one claim of a job keeps in memory between its steps; it may be lost at any time.
    type Memory: Default + Send;

    /// Does `step` for the job and writes the next checkpoint under its lease.
    async fn run_step(&self, lease: &Lease, step: Step, memory: &mut Self::Memory) -> Result<Outcome, StepError>;

    /// Runs after the failure of a step was written.
    async fn after_failure(&self, memory: Self::Memory);

    /// Whether the cause of a configuration failure is gone.
    async fn probe(&self) -> Result<(), Failure>;
}

/// The queue of one worker process.
pub struct Worker<S> {
    db: Db,
    steps: S,
    row: WorkerRow,
    settings: WorkerSettings,
    wakeup: Option<Wakeup>,
    held: Arc<Held>,
    turns: Turns,
    /// A slot has become free, or a job of a dead worker.
    freed: Notify,
    readiness: Arc<Readiness>,
    /// The time of the last heartbeat in the worker's row, if that heartbeat was answered: only this process writes it.
    last_beat: Mutex<Option<OffsetDateTime>>,
}

impl<S: Steps> Worker<S> {
    /// A worker that has not begun. `wakeup`: from a listener, where there is one.
    pub fn new(db: Db, steps: S, row: WorkerRow, settings: WorkerSettings, wakeup: Option<Wakeup>) -> Self {
        let (held, readiness) = (Arc::default(), Arc::default());
        let (turns, freed) = (Turns::new(settings.long_jobs), Notify::new());
        Self { db, steps, row, settings, wakeup, held, turns, freed, readiness, last_beat: Mutex::default() }
    }

    /// The same worker, which reports in `readiness` whether it claims.
    pub fn with_readiness(self, readiness: Arc<Readiness>) -> Self {
        Self { readiness, ..self }
    }

    /// Runs until `stop`, then drains: claims nothing more, lets running jobs finish, and hands the rest back before
    /// the grace period ends.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let ended = CancellationToken::new();
        let heartbeats = tokio::spawn({
            let (worker, ended) = (Arc::clone(&self), ended.clone());
            async move { worker.heartbeat_loop(ended).await }
        });
        let told_at = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                Instant::now()
            }
        });

        let (drain, mut running) = (CancellationToken::new(), JoinSet::new());
        self.claim_loop(&stop, &drain, &mut running).await;
        self.readiness.enter(Phase::Draining);
        let told_at = told_at.await.unwrap_or_else(|_| Instant::now());
        self.drain(&drain, &mut running, told_at).await;
        // There is no lease left to renew.
        ended.cancel();
        heartbeats.abort();
        self.delete_row().await;
        tracing::info!("the worker has stopped");
    }
}
