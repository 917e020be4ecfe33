//! Chores that any worker does, one at a time across the fleet.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::{
    db::housekeeping::{
        delete_expired_idempotency_keys, delete_stale_workers, forget_upload, list_abandoned_uploads,
        list_due_deletions, note_deletion_pass, put_deletion_off, take_sweep_turn,
    },
    domain::{ErrorClass, Failure},
};

/// Objects removed in one sweep; the rest waits for the next.
const BATCH: i64 = 200;
/// Before an object that could not be removed is tried again.
const RETRY_REMOVAL: Duration = Duration::from_secs(600);
/// A worker that was not seen for this long is gone. Source: ours; many heartbeats, and longer than a deploy's overlap.
const STALE_WORKER: Duration = Duration::from_secs(300);

impl Worker {
    pub(super) async fn housekeeping_loop(&self, stop: CancellationToken) {
        loop {
            let wait = self.settings.sweep_interval.mul_f64(0.5 + fastrand::f64());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(failure) = self.sweep_if_due().await {
                tracing::warn!(error.code = failure.code, "housekeeping will go on at its next turn: {failure}");
            }
        }
    }

    async fn sweep_if_due(&self) -> Result<(), Failure> {
        let conn = self.pipeline.db.get().await?;
        let due = take_sweep_turn(&conn, self.settings.sweep_interval).await?;
        drop(conn);
        if due { self.sweep().await } else { Ok(()) }
    }

    /// One sweep: rows of dead workers, uploads that never became documents, objects of deleted documents.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let conn = self.pipeline.db.get().await?;
        delete_stale_workers(&conn, STALE_WORKER).await?;
        delete_expired_idempotency_keys(&conn).await?;
        let uploads = list_abandoned_uploads(&conn, BATCH).await?;
        let deletions = list_due_deletions(&conn, BATCH).await?;
        // Given back before anything else is waited for: the object store may be slow.
        drop(conn);
        for upload in uploads {
            if self.remove(&upload.storage_key).await {
                forget_upload(&self.pipeline.db.get().await?, upload.upload_id).await?;
            }
        }
        for due in deletions {
            if self.remove(&due.storage_key).await {
                note_deletion_pass(&self.pipeline.db.get().await?, &due, self.settings.lease).await?;
            } else {
                put_deletion_off(&self.pipeline.db.get().await?, &due, RETRY_REMOVAL).await?;
            }
        }
        Ok(())
    }

    /// Whether the object is gone. One that cannot be removed holds no other up. A key that no store of ours could have
    /// made (another program's row) names nothing that is ours to remove.
    async fn remove(&self, key: &str) -> bool {
        match self.pipeline.store.delete(key).await {
            Ok(()) => true,
            Err(failure) if failure.class == ErrorClass::Document => true,
            Err(failure) => {
                tracing::warn!(
                    error.code = failure.code,
                    "couldn't remove a stored object; trying again later: {failure}"
                );
                false
            }
        }
    }
}
