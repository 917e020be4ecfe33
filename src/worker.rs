//! The worker: claims jobs, takes each through the pipeline, keeps its leases, and frees those of workers that died.
//!
//! It knows the queue and nothing of documents; the [`pipeline`](crate::pipeline) knows documents and nothing of the
//! queue. Stopping is a token: it stops claiming, lets what runs finish, and hands back the rest before the grace ends.

mod claim_loop;
mod heartbeat;
mod held;
mod housekeeping;
mod job;

use std::{sync::Arc, time::Duration};

use crate::{
    db::{Wakeup, jobs::ClaimOptions, workers::WorkerRow},
    domain::RetryPolicy,
    pipeline::Pipeline,
};
use held::Held;

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
    /// When failures are tried again.
    pub retry: RetryPolicy,
    /// Between two sweeps of the housekeeping, across all workers.
    pub sweep_interval: Duration,
}

impl WorkerSettings {
    fn claim_options(&self) -> ClaimOptions {
        ClaimOptions { lease: self.lease, max_running_per_user: self.max_running_per_user, now: None }
    }
}

/// One worker process's work.
pub struct Worker {
    pipeline: Arc<Pipeline>,
    row: WorkerRow,
    settings: WorkerSettings,
    wakeup: Option<Wakeup>,
    held: Arc<Held>,
}

impl Worker {
    /// A worker that has not begun. `wakeup`: from a listener, where there is one.
    pub fn new(pipeline: Arc<Pipeline>, row: WorkerRow, settings: WorkerSettings, wakeup: Option<Wakeup>) -> Self {
        Self { pipeline, row, settings, wakeup, held: Arc::new(Held::default()) }
    }
}
