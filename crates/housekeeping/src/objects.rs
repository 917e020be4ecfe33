//! Stored objects that no document needs: of uploads that never became one, of documents that were deleted, and of
//! documents that failed because the bytes are not what was declared.

use std::time::Duration;

use super::tombstones::Tombstone;
use domain::{ErrorClass, Failure, ports::ObjectStore};
use pg::Db;
use store::housekeeping::{
    DueDeletion, forget_upload, give_up_mismatched, keep_uploads_in_use, list_abandoned_uploads, list_due_deletions,
    record_deletion_try,
};

/// Objects removed in one sweep; the rest waits for the next.
const BATCH: i64 = 200;
/// Uploads that one statement changes.
const ROWS: i64 = 1000;
/// Before an object that could not be removed is tried again.
const RETRY_REMOVAL: Duration = Duration::from_secs(600);

/// `lease`: between the two passes over a deleted document's object, after which no running step can write it any more.
pub(super) async fn sweep(db: &Db, store: &dyn ObjectStore, lease: Duration) -> Result<(), Failure> {
    give_up_mismatched(db, ROWS).await?;
    keep_uploads_in_use(db, ROWS).await?;
    let uploads = list_abandoned_uploads(db, BATCH).await?;
    let deletions = list_due_deletions(db, BATCH).await?;
    for (upload_id, key) in uploads {
        if remove(store, &key).await {
            forget_upload(db, upload_id).await?;
        }
    }
    for due in deletions {
        let removed = write_tombstone(store, &due).await && remove(store, &due.storage_key).await;
        let again_in = if removed { lease } else { RETRY_REMOVAL };
        record_deletion_try(db, &due, removed, again_in).await?;
    }
    Ok(())
}

/// Whether the deleted document can be known after a restore.
async fn write_tombstone(store: &dyn ObjectStore, due: &DueDeletion) -> bool {
    if !due.is_first_of_document {
        return true;
    }
    let tombstone = Tombstone { document: due.document_id, deleted_at: due.requested_at };
    let written = tombstone.write(store).await;
    if let Err(failure) = &written {
        tracing::warn!(
            error.code = failure.code.as_str(),
            "couldn't write that a document was deleted; trying again later: {failure}"
        );
    }
    written.is_ok()
}

/// Whether the object is gone. An object that cannot be removed does not stop the others. An invalid key (of another
/// program's row) names no object, so it counts as gone.
async fn remove(store: &dyn ObjectStore, key: &str) -> bool {
    match store.delete(key).await {
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
