//! What `app check` puts into the system to see that it works, and how it is removed again, also by housekeeping.
//!
//! All of it belongs to one user that no person is. A row precedes each object, so that whatever a killed check leaves is
//! found: by the next check, or by housekeeping.

use std::time::Duration;

use domain::{DocumentId, Failure, UserId, ports::ObjectStore};
use pg::Db;
use store::{
    canary::{
        CanaryObject, cancel_held_canary, cancel_waiting_canary, count_canary_holders, delete_canary_keys,
        forget_canary_object, get_canary_key, list_canary_documents, list_canary_objects,
    },
    documents::delete_document,
};

/// The owner of every canary: UUIDv5 of `app check canary` in [`ID_NAMESPACE`](domain::ID_NAMESPACE).
pub const CANARY_USER: UserId = UserId(uuid::Uuid::from_u128(0x151cf8cc_9257_5c91_9d01_d0e9989450b7));
/// What a canary's rows are named.
pub const CANARY_NAME: &str = "app check canary";
/// A canary that is older belongs to no check that still runs: several times the longest check.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(600);
/// The longest lease that is waited for: twice the default.
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// Between two looks at whether a worker has ended the job.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Whose object store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The one that API and workers use: what is not in it is gone.
    Theirs,
    /// Perhaps another: only what was seen in it counts as removed.
    Perhaps,
}

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// No row and no object is left.
    Wholly,
    /// A worker may still write, or the objects are in another store: housekeeping does the rest.
    LeftToHousekeeping,
}

/// Removes what checks that were killed have left, everything older than [`ABANDONED_AFTER`]; how many things.
///
/// # Errors
///
/// The database or the object store does not answer; the next sweep goes on.
pub async fn sweep_canaries(db: &Db, store: &dyn ObjectStore, whose: Store) -> Result<u64, Failure> {
    let conn = db.get().await?;
    let mut swept = delete_canary_keys(&conn, CANARY_USER, None, ABANDONED_AFTER).await?;
    let documents = list_canary_documents(&conn, CANARY_USER, ABANDONED_AFTER).await?;
    drop(conn);
    for document in documents {
        remove_document(db, store, whose, document, Duration::ZERO).await?;
        swept += 1;
    }
    let conn = db.get().await?;
    let objects = list_canary_objects(&conn, CANARY_USER, None, ABANDONED_AFTER).await?;
    drop(conn);
    Ok(swept + remove_objects(db, store, whose, objects).await?)
}

/// Removes a document: its rows, then its objects. Waits for `patience` until no worker has it in hand, and after that
/// until none can have. With no patience at all, what a worker has in hand is left to housekeeping.
///
/// # Errors
///
/// The database or the object store does not answer; the next sweep goes on.
pub async fn remove_document(
    db: &Db,
    store: &dyn ObjectStore,
    whose: Store,
    document: DocumentId,
    patience: Duration,
) -> Result<Removed, Failure> {
    let is_settled = settle(db, document, patience).await?;
    let raw_key = get_canary_key(&db.get().await?, CANARY_USER, document).await?;
    let is_here = match (whose, raw_key) {
        (Store::Theirs, _) => true,
        (Store::Perhaps, Some(key)) => store.head(&key).await?.is_some(),
        (Store::Perhaps, None) => false,
    };
    delete_document(db, CANARY_USER, document).await?;
    if !(is_settled && is_here) {
        return Ok(Removed::LeftToHousekeeping);
    }
    let objects = list_canary_objects(&db.get().await?, CANARY_USER, Some(document), Duration::ZERO).await?;
    remove_objects(db, store, Store::Theirs, objects).await?;
    Ok(Removed::Wholly)
}

/// Whether no worker can write for the document any more. What waits is cancelled; what runs may end, for a canary is
/// small; what runs on after that is taken away, and the worker has until the end of its lease to notice.
async fn settle(db: &Db, document: DocumentId, patience: Duration) -> Result<bool, Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    let holders = loop {
        let conn = db.get().await?;
        cancel_waiting_canary(&conn, CANARY_USER, document).await?;
        let holders = count_canary_holders(&conn, document).await?;
        drop(conn);
        if holders.held == 0 || tokio::time::Instant::now() >= deadline {
            break holders;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    if holders.held > 0 {
        if patience.is_zero() {
            return Ok(false);
        }
        let lease = cancel_held_canary(&db.get().await?, CANARY_USER, document).await?;
        if lease > LONGEST_LEASE {
            return Ok(false);
        }
        tokio::time::sleep(lease).await;
    }
    Ok(holders.taken_over == 0)
}

/// Removes objects, then the rows that know of them; how many.
async fn remove_objects(
    db: &Db,
    store: &dyn ObjectStore,
    whose: Store,
    objects: Vec<CanaryObject>,
) -> Result<u64, Failure> {
    let mut removed = 0;
    for CanaryObject { storage_key: key, gone } in objects {
        if !gone {
            if whose == Store::Perhaps && store.head(&key).await?.is_none() {
                continue;
            }
            store.delete(&key).await?;
        }
        forget_canary_object(&db.get().await?, CANARY_USER, &key).await?;
        removed += 1;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use domain::ID_NAMESPACE;

    #[test]
    fn the_user_of_canaries_is_derived_from_their_name() {
        assert_eq!(CANARY_USER.0, Uuid::new_v5(&ID_NAMESPACE, CANARY_NAME.as_bytes()));
    }
}
