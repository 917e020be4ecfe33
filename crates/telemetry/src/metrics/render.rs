//! This process's part of `/metrics`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{METRICS, Page, STARTED_AT};
use domain::build_info::BuildInfo;

/// The pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections at the most.
    pub size: usize,
    /// Connections that are open, or being opened.
    pub open: usize,
    /// Of those, those that are idle.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// What the process knows of itself beside its counts.
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    /// Its build.
    pub build: &'a BuildInfo,
    /// Whether the database can be used just now.
    pub database_up: bool,
    /// Its connections.
    pub pool: PoolStatus,
}

/// Writes what this process has counted. Touches no database.
pub fn render_process(page: &mut Page, process: &Process<'_>) {
    let build = process.build;
    page.gauge("app_build_info", "Always 1; the build of this process.")
        .sample(&[("version", build.version), ("commit", &build.commit), ("branch", &build.branch)], 1);
    page.gauge("process_start_time_seconds", "When this process began, since 1970.").measure(&[], started_at());
    page.single(
        "app_database_up",
        "1 while this process can use the database: it answers, and has a schema that this build knows; else 0.",
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
    let mut open = page.gauge("app_database_pool_connections", "Connections of this process's pool that are open.");
    open.sample(&[("state", "idle")], whole(pool.idle));
    open.sample(&[("state", "in_use")], whole(pool.open.saturating_sub(pool.idle)));
    page.single("app_database_pool_size", "Connections that the pool may open: DATABASE_POOL_SIZE.", whole(pool.size));
    page.single("app_database_pool_waiting", "Callers that wait for a connection just now.", whole(pool.waiting));
}
