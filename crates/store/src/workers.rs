//! The table `workers`: live workers and their builds.

use domain::{WorkerId, build_info::BuildInfo};
use pg::{DbError, FromRow, Session};

/// A worker's row.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Its id.
    pub id: WorkerId,
    /// Host name.
    pub host: String,
    /// Its build.
    pub build: BuildInfo,
    /// Its environment.
    pub environment: String,
    /// Jobs it can run at once.
    pub slots: i32,
}

/// Deletes the worker's row, when it stops in order.
pub async fn delete_worker(db: &impl Session, id: WorkerId) -> Result<(), DbError> {
    db.exec(
        "-- delete_worker
DELETE FROM upload_pipeline.workers AS w WHERE w.id = $1",
        &[&id.0],
    )
    .await
}

/// A worker whose last heartbeat is less than a minute old.
#[derive(Debug, Clone, FromRow)]
pub struct LiveWorker {
    /// Host name.
    pub host: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The branch.
    pub branch: String,
    /// Its environment.
    pub environment: String,
    /// Jobs that it can run at once.
    pub slots: i32,
}

/// The workers whose last heartbeat is less than a minute old, by host.
pub async fn list_live_workers(db: &impl Session) -> Result<Vec<LiveWorker>, DbError> {
    db.list(
        "-- list_live_workers
SELECT w.host, w.commit, w.branch, w.environment, w.slots
FROM upload_pipeline.workers AS w
WHERE w.last_seen_at > now() - interval '1 minute'
ORDER BY w.host, w.started_at",
        &[],
    )
    .await
}

/// The name of this machine, for [`WorkerRow::host`].
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
