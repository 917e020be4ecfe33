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
