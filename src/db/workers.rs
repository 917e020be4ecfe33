//! The table `workers`: who is alive, and which build.

use tokio_postgres::types::Type;

use super::{DbError, Session};
use crate::{build_info::BuildInfo, domain::WorkerId};

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

/// Says that the worker is alive and runs this many jobs; makes its row where it is gone.
pub async fn upsert_worker(db: &impl Session, worker: &WorkerRow, running_jobs: i32) -> Result<(), DbError> {
    db.run(
        "-- upsert_worker
INSERT INTO upload_pipeline.workers AS w (id, host, commit, branch, version, environment, slots, running_jobs)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE
SET last_seen_at = now(), running_jobs = excluded.running_jobs",
        &[
            (&worker.id.0, Type::UUID),
            (&worker.host, Type::TEXT),
            (&worker.build.commit, Type::TEXT),
            (&worker.build.branch, Type::TEXT),
            (&worker.build.version, Type::TEXT),
            (&worker.environment, Type::TEXT),
            (&worker.slots, Type::INT4),
            (&running_jobs, Type::INT4),
        ],
    )
    .await
    .map(drop)
}

/// Takes the worker's row away, at its orderly end.
pub async fn delete_worker(db: &impl Session, id: WorkerId) -> Result<(), DbError> {
    db.run(
        "-- delete_worker
DELETE FROM upload_pipeline.workers AS w WHERE w.id = $1",
        &[(&id.0, Type::UUID)],
    )
    .await
    .map(drop)
}
