use super::*;

settings! {
    /// How a worker claims, keeps and retries jobs.
    Worker in "worker", titled "Worker";

    /// Jobs that one worker runs at a time.
    WORKER_CONCURRENCY[WORKER] concurrency: usize = whole(1..=1000), default "4";
    /// Seconds that a claim lasts without a heartbeat; then another worker takes the job over.
    WORKER_LEASE[WORKER] lease: Duration = seconds(0.5..=3600.0), default "30";
    /// Seconds between heartbeats; less than half the lease, so that one may be missed.
    WORKER_HEARTBEAT[WORKER] heartbeat: Duration = seconds(0.1..=1800.0), default "10";
    /// Seconds between polls for jobs if no notifications arrive.
    WORKER_POLL_INTERVAL[WORKER] poll_interval: Duration = seconds(0.05..=3600.0), default "5";
    /// Seconds between polls for jobs if notifications are known to arrive.
    WORKER_LISTEN_POLL_INTERVAL[WORKER] listen_poll_interval: Duration = seconds(0.05..=3600.0), default "30";
    /// Tries after the first before a job is given up.
    WORKER_MAX_RETRIES[WORKER] max_retries: u32 = whole(0..=100), default "3";
    /// Seconds before the first retry; doubles with each.
    WORKER_RETRY_BASE_DELAY[WORKER] retry_base_delay: Duration = seconds(0.0..=3600.0), default "3";
    /// Seconds that a retry waits at most, unless a provider asks for more.
    WORKER_RETRY_MAX_DELAY[WORKER] retry_max_delay: Duration = seconds(0.0..=86_400.0), default "300";
    /// Seconds that running jobs get at shutdown before they are handed back.
    WORKER_GRACE[WORKER] grace: Duration = seconds(0.0..=3600.0), default "25";
    /// Jobs of one user that run at a time; more wait; `0`: no limit.
    MAX_RUNNING_JOBS_PER_USER[WORKER] max_running_jobs_per_user: u32 = whole(0..=100_000), default "2";
    /// Seconds that a job may run while others wait; then it goes back at its checkpoint, at no cost, or, where its step has
    /// none, another job is claimed beside it; `0`: no limit.
    WORKER_TURN[WORKER] turn: Duration = seconds(0.0..=3600.0), default "5";
    /// Port on which `app worker` answers `/livez`, `/readyz` and `/metrics`; `0`: none. `app dev` answers them on the
    /// API's.
    WORKER_HTTP_PORT[WORKER] http_port: u16 = whole(0..=u16::MAX), default "0", example "9100";
    /// Address for that port.
    WORKER_HTTP_HOST[WORKER] http_host: String = name, default "0.0.0.0";
}
