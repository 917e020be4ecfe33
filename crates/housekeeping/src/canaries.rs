//! Canaries: what `app check` stores to see that the system works. Removes them, for the check itself and for housekeeping.
//!
//! All canaries belong to one user, which is no person. A row is written before each object, so that what a killed
//! check leaves is found by the next check or by housekeeping.

use std::time::Duration;

use domain::{DocumentId, Failure, UserId, ports::ObjectStore};
use pg::Db;
use store::{
    canary::{
        cancel_held_canary, cancel_waiting_canary, count_canary_holders, delete_canary_keys, forget_canary_object,
        get_canary_key, list_canary_documents, list_canary_objects,
    },
    documents::delete_document,
};

/// The owner of every canary: UUIDv5 of `app check canary` in [`ID_NAMESPACE`](domain::ID_NAMESPACE).
pub const CANARY_USER: UserId = UserId(uuid::Uuid::from_u128(0x151cf8cc_9257_5c91_9d01_d0e9989450b7));
/// The name in a canary's rows.
pub const CANARY_NAME: &str = "app check canary";
/// A canary that is older belongs to no check that still runs: several times the longest check.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(600);
/// The longest lease that is waited for: twice the default.
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// Between two looks at whether a worker has ended the job.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Which object store this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The one that API and workers use: what is not in it is gone.
    Production,
    /// Perhaps another: only what was seen in it counts as removed.
    Unproven,
}

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// No row and no object is left.
    Completely,
    /// A worker may still write, or the objects are in another store: housekeeping does the rest.
    LeftToHousekeeping,
}

/// Housekeeping's sweep. A canary that cannot be removed does not stop the other sweeps.
pub(super) async fn sweep(db: &Db, store: &dyn ObjectStore) {
    match sweep_canaries(db, store, Store::Production).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed what a killed app check had left"),
        Err(failure) => {
            tracing::warn!(error.code = failure.code.as_str(), "what an app check has left stays for now: {failure}")
        }
    }
}

/// Removes what killed checks have left, everything older than [`ABANDONED_AFTER`]; how many things.
///
/// # Errors
///
/// The database or the object store does not answer; the next sweep goes on.
pub async fn sweep_canaries(db: &Db, store: &dyn ObjectStore, which: Store) -> Result<u64, Failure> {
    let mut swept = delete_canary_keys(db, CANARY_USER, None, ABANDONED_AFTER).await?;
    let documents = list_canary_documents(db, CANARY_USER, ABANDONED_AFTER).await?;
    for document in documents {
        remove_document(db, store, which, document, Duration::ZERO).await?;
        swept += 1;
    }
    let objects = list_canary_objects(db, CANARY_USER, None, ABANDONED_AFTER).await?;
    Ok(swept + remove_objects(db, store, which, objects).await?)
}

/// Removes a document: its rows, then its objects. Waits up to `patience` for a worker that runs its job, then until that
/// worker's lease has ended. Without patience, a running job is left to housekeeping.
///
/// # Errors
///
/// The database or the object store does not answer; the next sweep goes on.
pub async fn remove_document(
    db: &Db,
    store: &dyn ObjectStore,
    which: Store,
    document: DocumentId,
    patience: Duration,
) -> Result<Removed, Failure> {
    let is_settled = settle(db, document, patience).await?;
    let raw_key = get_canary_key(db, CANARY_USER, document).await?;
    let is_here = match (which, raw_key) {
        (Store::Production, _) => true,
        (Store::Unproven, Some(key)) => store.head(&key).await?.is_some(),
        (Store::Unproven, None) => false,
    };
    delete_document(db, CANARY_USER, document, None).await?;
    if !(is_settled && is_here) {
        return Ok(Removed::LeftToHousekeeping);
    }
    let objects = list_canary_objects(db, CANARY_USER, Some(document), Duration::ZERO).await?;
    remove_objects(db, store, Store::Production, objects).await?;
    Ok(Removed::Completely)
}

/// Whether no worker can write for the document any more. Waiting jobs are cancelled. A running one may end, since a
/// canary is small; after `patience` it is cancelled too, and its worker has until the end of the lease to notice.
async fn settle(db: &Db, document: DocumentId, patience: Duration) -> Result<bool, Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    let (held, taken_over) = loop {
        cancel_waiting_canary(db, CANARY_USER, document).await?;
        let holders = count_canary_holders(db, document).await?;
        if holders.0 == 0 || tokio::time::Instant::now() >= deadline {
            break holders;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    if held > 0 {
        if patience.is_zero() {
            return Ok(false);
        }
        let lease = cancel_held_canary(db, CANARY_USER, document).await?;
        if lease > LONGEST_LEASE {
            return Ok(false);
        }
        tokio::time::sleep(lease).await;
    }
    Ok(taken_over == 0)
}

/// Removes objects, then the rows that know of them; how many.
async fn remove_objects(
    db: &Db,
    store: &dyn ObjectStore,
    which: Store,
    objects: Vec<(String, bool)>,
) -> Result<u64, Failure> {
    let mut removed = 0;
    for (key, gone) in objects {
        if !gone {
            if which == Store::Unproven && store.head(&key).await?.is_none() {
                continue;
            }
            store.delete(&key).await?;
        }
        forget_canary_object(db, CANARY_USER, &key).await?;
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
