//! The part of `/metrics` about this process.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{METRICS, Page, STARTED_AT};
use domain::build_info::BuildInfo;

/// The state of the pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// The most connections that the pool opens.
    pub size: usize,
    /// Connections that are open or being opened.
    pub open: usize,
    /// Open connections that are idle.
    pub idle: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
}

/// Facts about the process that are not counted by [`METRICS`].
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    /// The build of the process.
    pub build: &'a BuildInfo,
    /// Whether the database can be used at present.
    pub database_up: bool,
    /// The state of its pool.
    pub pool: PoolStatus,
}

/// Adds the metrics of this process to `page`, without asking the database.
pub fn render_process(page: &mut Page, process: &Process<'_>) {
    let build = process.build;
    page.gauge("app_build_info", "Always 1; the build of this process.")
        .sample(&[("version", build.version), ("commit", &build.commit), ("branch", &build.branch)], 1);
    page.gauge("process_start_time_seconds", "When this process started, in seconds since 1970-01-01 UTC.")
        .measure(&[], started_at());
    page.single(
        "app_database_up",
        "1 if this process can use the database: it answers, and this build knows its schema. Otherwise 0.",
        i64::from(process.database_up),
    );
    render_pool(page, process.pool);
    page.extend(METRICS.gather());
}

fn started_at() -> f64 {
    let since =
        STARTED_AT.duration_since(UNIX_EPOCH).or_else(|_before_1970| SystemTime::now().duration_since(UNIX_EPOCH));
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn render_pool(page: &mut Page, pool: PoolStatus) {
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut open = page.gauge("app_database_pool_connections", "Open connections in the pool of this process.");
    open.sample(&[("state", "idle")], whole(pool.idle));
    open.sample(&[("state", "in_use")], whole(pool.open.saturating_sub(pool.idle)));
    page.single(
        "app_database_pool_size",
        "The most connections that the pool opens: DATABASE_POOL_SIZE.",
        whole(pool.size),
    );
    page.single("app_database_pool_waiting", "Callers that wait for a connection at present.", whole(pool.waiting));
}
