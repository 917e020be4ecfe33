//! How a worker claims, keeps and retries jobs.

use std::time::Duration;

use super::reader::Reader;

/// How a worker claims, keeps and retries jobs.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Jobs that one worker runs at a time.
    pub concurrency: usize,
    /// Time that a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Time between heartbeats; less than half the lease.
    pub heartbeat: Duration,
    /// Time between looks for work where no notification arrives.
    pub poll_interval: Duration,
    /// Time between looks for work where notifications are proven to arrive.
    pub listen_poll_interval: Duration,
    /// Tries after the first before a job is given up.
    pub max_retries: u32,
    /// Wait before the first retry; doubles with each.
    pub retry_base_delay: Duration,
    /// Longest wait before a retry, unless a provider asks for more.
    pub retry_max_delay: Duration,
    /// Time that running jobs get at shutdown.
    pub grace: Duration,
    /// Jobs of one user that run at a time; `0`: no limit.
    pub max_running_jobs_per_user: u32,
    /// Port for probes and metrics of a worker process; `0`: none.
    pub http_port: u16,
    /// Address for that port.
    pub http_host: String,
}

impl Worker {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            concurrency: r.whole("WORKER_CONCURRENCY", 1..=1000),
            lease: r.seconds("WORKER_LEASE", 0.5..=3600.0),
            heartbeat: r.seconds("WORKER_HEARTBEAT", 0.1..=1800.0),
            poll_interval: r.seconds("WORKER_POLL_INTERVAL", 0.05..=3600.0),
            listen_poll_interval: r.seconds("WORKER_LISTEN_POLL_INTERVAL", 0.05..=3600.0),
            max_retries: r.whole("WORKER_MAX_RETRIES", 0..=100),
            retry_base_delay: r.seconds("WORKER_RETRY_BASE_DELAY", 0.0..=3600.0),
            retry_max_delay: r.seconds("WORKER_RETRY_MAX_DELAY", 0.0..=86_400.0),
            grace: r.seconds("WORKER_GRACE", 0.0..=3600.0),
            max_running_jobs_per_user: r.whole("MAX_RUNNING_JOBS_PER_USER", 0..=100_000),
            http_port: r.whole("WORKER_HTTP_PORT", 0..=u16::MAX),
            http_host: r.name("WORKER_HTTP_HOST"),
        }
    }
}
