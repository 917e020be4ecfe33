//! Chores that any worker does, one at a time across the fleet.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    Worker,
    retention::{Deleted, delete_old},
    watch::Watch,
};
use crate::{
    canary,
    db::housekeeping::{
        delete_expired_idempotency_keys, delete_stale_workers, forget_upload, keep_uploads_in_use,
        list_abandoned_uploads, list_due_deletions, note_deletion_pass, put_deletion_off, take_sweep_turn,
    },
    domain::{ErrorClass, Failure},
};

/// Objects removed in one sweep; the rest waits for the next.
const BATCH: i64 = 200;
/// Rows of ours that one statement changes.
const ROWS: i64 = 1000;
/// For each kind of thing that is deleted by age, a sweep. Source: ours; a small share of the minute between two sweeps,
/// and a hundred thousand rows.
const RETENTION_BUDGET: Duration = Duration::from_secs(2);
/// Before an object that could not be removed is tried again.
const RETRY_REMOVAL: Duration = Duration::from_secs(600);
/// A worker that was not seen for this long is gone. Source: ours; many heartbeats, and longer than a deploy's overlap.
const STALE_WORKER: Duration = Duration::from_secs(300);

impl Worker {
    pub(super) async fn housekeeping_loop(&self, stop: CancellationToken) {
        let mut watch = Watch::default();
        loop {
            let wait = self.settings.sweep_interval.mul_f64(0.5 + fastrand::f64());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(failure) = self.sweep_if_due(&mut watch).await {
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    "housekeeping will go on at its next turn: {failure}"
                );
            }
        }
    }

    async fn sweep_if_due(&self, watch: &mut Watch) -> Result<(), Failure> {
        let conn = self.db.get().await?;
        let due = take_sweep_turn(&conn, self.settings.sweep_interval).await?;
        if due {
            watch.look(&conn).await?;
            drop(conn);
            self.sweep().await?;
        }
        Ok(())
    }

    /// One sweep: rows of dead workers, uploads that never became documents, objects of deleted documents, and what
    /// has been kept for long enough.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let conn = self.db.get().await?;
        delete_stale_workers(&conn, STALE_WORKER).await?;
        delete_expired_idempotency_keys(&conn, ROWS).await?;
        keep_uploads_in_use(&conn, ROWS).await?;
        let uploads = list_abandoned_uploads(&conn, BATCH).await?;
        let deletions = list_due_deletions(&conn, BATCH).await?;
        // Given back before anything else is waited for: the object store may be slow.
        drop(conn);
        for upload in uploads {
            if self.remove(&upload.storage_key).await {
                forget_upload(&self.db.get().await?, upload.upload_id).await?;
            }
        }
        for due in deletions {
            if self.remove(&due.storage_key).await {
                note_deletion_pass(&self.db.get().await?, &due, self.settings.lease).await?;
            } else {
                put_deletion_off(&self.db.get().await?, &due, RETRY_REMOVAL).await?;
            }
        }
        self.sweep_canaries().await;
        let deleted = delete_old(&self.db, self.settings.retention, RETENTION_BUDGET).await?;
        if deleted != Deleted::default() {
            let Deleted { events, webhooks, jobs, receipts } = deleted;
            tracing::info!(events, webhooks, jobs, receipts, "deleted what was kept for long enough");
        }
        Ok(())
    }

    /// What an `app check` that was killed has left. It holds nothing else up.
    async fn sweep_canaries(&self) {
        match canary::sweep(&self.db, &*self.store, canary::Store::Theirs).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "took out what an app check that was killed had left"),
            Err(failure) => {
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    "what an app check has left stays for now: {failure}"
                )
            }
        }
    }

    /// Whether the object is gone. One that cannot be removed holds no other up. A key that no store of ours could have
    /// made (another program's row) names nothing that is ours to remove.
    async fn remove(&self, key: &str) -> bool {
        match self.store.delete(key).await {
            Ok(()) => true,
            Err(failure) if failure.class == ErrorClass::Document => true,
            Err(failure) => {
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    "couldn't remove a stored object; trying again later: {failure}"
                );
                false
            }
        }
    }
}
