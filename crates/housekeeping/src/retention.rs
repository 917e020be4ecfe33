//! Retention: deletes what has been kept for long enough, in batches, for a bounded time at a turn.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use domain::Failure;
use pg::{Db, DbError};
use store::{
    retention::{
        Batch, EVENTS, JUDGEMENTS, RECEIPTS, Retention, WEBHOOKS, delete_aged, delete_superseded_jobs,
        get_jobs_position, save_jobs_position,
    },
    usage::delete_old_usage,
    versions::delete_old_versions,
};

/// Time for each table in one sweep: enough for a hundred thousand rows, and a small share of the minutes between two
/// sweeps.
const BUDGET: Duration = Duration::from_secs(2);
/// Rows that one statement deletes: it takes tens of milliseconds, so that it holds neither locks nor the vacuum's horizon.
const BATCH: i64 = 1000;
/// Jobs that one statement reads: each deleted job deletes its events too.
const JOBS_BATCH: i64 = 500;
/// Versions that one statement deletes: each has up to some thousand chunks.
const VERSIONS_BATCH: i64 = 10;

/// What one turn deleted, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Of `events`; those that went with their job are not counted.
    pub events: i64,
    /// Of `webhook_log`.
    pub webhooks: i64,
    /// Of `upload_jobs`.
    pub jobs: i64,
    /// Of `storage_deletions`.
    pub receipts: i64,
    /// Of `document_versions`, with their chunks.
    pub versions: i64,
    /// Of `search_judgements`.
    pub judgements: i64,
    /// Of `usage_days`: a few a day and user, in one statement.
    pub usage: u64,
}

pub(super) async fn sweep(db: &Db, keep: Retention) -> Result<(), Failure> {
    let deleted = delete_old(db, keep, BUDGET).await?;
    if deleted != Deleted::default() {
        let Deleted { events, webhooks, jobs, receipts, versions, judgements, usage } = deleted;
        tracing::info!(
            events,
            webhooks,
            jobs,
            receipts,
            versions,
            judgements,
            usage,
            "deleted what was kept for long enough"
        );
    }
    Ok(())
}

/// Deletes what `keep` says is old enough, for about `budget` for each table; the rest waits for the next turn.
pub async fn delete_old(db: &Db, keep: Retention, budget: Duration) -> Result<Deleted, DbError> {
    let mut deleted = Deleted::default();
    for (aged, days, count) in [
        (EVENTS, keep.events_days, &mut deleted.events),
        (WEBHOOKS, keep.webhooks_days, &mut deleted.webhooks),
        (RECEIPTS, keep.receipts_days, &mut deleted.receipts),
        (JUDGEMENTS, keep.judgements_days, &mut deleted.judgements),
    ] {
        if days > 0 {
            let batch = |from| async move { delete_aged(db, aged, days, from, BATCH).await };
            (*count, _) = in_batches(None, budget, batch).await?;
        }
    }
    if keep.jobs_days > 0 {
        deleted.jobs = delete_jobs(db, keep.jobs_days, budget).await?;
    }
    if keep.versions_days > 0 {
        deleted.versions = delete_versions(db, keep.versions_days, budget).await?;
    }
    deleted.usage = delete_old_usage(db, keep.usage_days).await?;
    Ok(deleted)
}

/// Versions go with their chunks, a few at a time.
async fn delete_versions(db: &Db, keep_days: u32, budget: Duration) -> Result<i64, DbError> {
    let (began, mut deleted) = (Instant::now(), 0);
    loop {
        let versions = delete_old_versions(db, keep_days, VERSIONS_BATCH).await?;
        deleted += versions;
        if versions < VERSIONS_BATCH || began.elapsed() >= budget {
            return Ok(deleted);
        }
    }
}

/// The sweep over ended jobs takes as many turns as it needs, and then pauses for a day.
async fn delete_jobs(db: &Db, keep_days: u32, budget: Duration) -> Result<i64, DbError> {
    let Some(start) = get_jobs_position(db).await? else { return Ok(0) };
    let batch = |behind| async move { delete_superseded_jobs(db, keep_days, behind, JOBS_BATCH).await };
    let (deleted, next) = in_batches(start, budget, batch).await?;
    save_jobs_position(db, next).await?;
    Ok(deleted)
}

/// Runs batches until `budget` is used up. Returns how many rows were deleted, and where to continue.
async fn in_batches<T, F, Fut>(start: Option<T>, budget: Duration, mut batch: F) -> Result<(i64, Option<T>), DbError>
where
    T: Copy,
    F: FnMut(Option<T>) -> Fut,
    Fut: Future<Output = Result<Batch<T>, DbError>>,
{
    let (began, mut at, mut deleted) = (Instant::now(), start, 0);
    loop {
        let (rows, next) = batch(at).await?;
        deleted += rows;
        at = next;
        if at.is_none() || began.elapsed() >= budget {
            return Ok((deleted, at));
        }
    }
}
