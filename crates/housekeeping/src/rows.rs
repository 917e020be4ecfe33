//! Rows that have expired: of dead workers, and of idempotency keys.

use std::time::Duration;

use domain::Failure;
use pg::Db;
use store::housekeeping::{delete_expired_idempotency_keys, delete_stale_workers};

/// A worker without a heartbeat for this long is gone: many heartbeats, and longer than a deploy's overlap.
const STALE_WORKER: Duration = Duration::from_secs(300);
/// Keys that one statement deletes.
const BATCH: i64 = 1000;

pub(super) async fn sweep(db: &Db) -> Result<(), Failure> {
    delete_stale_workers(db, STALE_WORKER).await?;
    delete_expired_idempotency_keys(db, BATCH).await?;
    Ok(())
}
