//! The table `workers`: who is alive, and which build.

use domain::{WorkerId, build_info::BuildInfo};
use pg::{DbError, Session, row_type};

/// What a worker process says of itself.
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

/// Takes the worker's row away, at its orderly end.
pub async fn delete_worker(db: &impl Session, id: WorkerId) -> Result<(), DbError> {
    db.run(
        "-- delete_worker
DELETE FROM upload_pipeline.workers AS w WHERE w.id = $1",
        &[&id.0],
    )
    .await
    .map(drop)
}

/// A worker that was seen within the last minute.
#[derive(Debug, Clone)]
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

row_type!(LiveWorker { host, commit, branch, environment, slots });

/// The workers that were seen within the last minute, by host.
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

/// What this machine calls itself, for [`WorkerRow::host`].
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
