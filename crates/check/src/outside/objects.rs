//! Whether rows and stored objects agree, by sample, and whether a deleted document is back.

use std::{collections::BTreeSet, time::Duration};

use time::OffsetDateTime;

use super::{
    super::{
        canary::key_of,
        check::{Context, Outcome, Problem, declare},
        database::environment::{DATABASE_READY, ready_db},
    },
    storage::{READ_WRITE, open, within},
};
use domain::{Failure, ports::ObjectStore};
use housekeeping::tombstones::list_tombstones;
use store::objects::{list_returned_documents, list_stored_keys, list_unknown_keys, names_object};

/// Documents looked at: half the newest, half anywhere.
const DOCUMENTS: i64 = 20;
/// Objects looked at, of each kind, from a random place on.
const OBJECTS: usize = 100;
/// The folders of the two kinds.
const FOLDERS: [&str; 2] = ["raw", "parsed"];
/// A younger object may belong to a transaction that is not committed yet.
const SETTLED: Duration = Duration::from_secs(3600);
/// Deletions looked at of each time. Most restores are of last week.
const DELETIONS: usize = 10_000;
const TIMES: [Duration; 2] = [Duration::from_secs(7 * 24 * 3600), Duration::from_secs(90 * 24 * 3600)];

declare! {
    SAMPLE = once("store.sample", "rows and objects agree, by sample.", sample).needs(&[&READ_WRITE]).after(DATABASE_READY);
    OBJECT_MISSING = warning("object_missing",
        "An object of a complete document is not in the store: it can be searched, but neither shown nor read again.",
        "Run `app verify --all`, which names every one; put the objects back from a backup, or have the files uploaded again.");
    ROW_MISSING = warning("row_missing",
        "The store holds objects that no row names, as after the restore of an older database: nothing removes them.",
        "Restore the newer database, or delete these objects: nothing here will ask for them.");
}

declare! {
    DELETED = once("store.deleted", "no deleted document is back.", deleted).needs(&[&READ_WRITE]).after(DATABASE_READY);
    BACK = warning("back",
        "Documents that their owners deleted are in the database again, as after the restore of an older one.",
        "Delete them again as their owners: `DELETE /documents/{id}`, with a key for any user and the owner in X-User-Id.");
}

/// A failed listing leaves nothing to check; the key's other rights are `store.rw`'s.
fn skipped(failure: Failure) -> Problem {
    Problem::Skipped(failure.message)
}

async fn sample(context: &Context<'_>) -> Outcome {
    let (store, place) = open(context)?;
    let db = ready_db(context)?;
    let stored = list_stored_keys(&db.get().await?, DOCUMENTS).await?;
    for (document, key) in &stored {
        let is_missing = within(store.head(key)).await.map_err(skipped)?.is_none();
        // The document may have been deleted meanwhile.
        if is_missing && names_object(&db.get().await?, *document, key).await? {
            let observed = format!("the document {document} has no object at {key}");
            return Err(OBJECT_MISSING.seen(observed).at(&place));
        }
    }
    let objects = sample_objects(&**store).await.map_err(skipped)?;
    let unknown = list_unknown_keys(&db.get().await?, &objects).await?;
    if let Some(first) = unknown.first() {
        let observed = format!("{} of {} objects have no row, such as {first}", unknown.len(), objects.len());
        return Err(ROW_MISSING.seen(observed).at(&place));
    }
    Ok(format!("{} objects of documents are there, and {} objects have their rows", stored.len(), objects.len()))
}

/// Keys from a random place on, and from the start if those are few.
async fn sample_objects(store: &dyn ObjectStore) -> Result<Vec<String>, Failure> {
    let settled = OffsetDateTime::now_utc() - SETTLED;
    let mut keys = BTreeSet::new();
    for folder in FOLDERS {
        for from in [format!("{folder}/{}", uuid::Uuid::new_v4()), String::new()] {
            let found = within(store.list(folder, &from, OBJECTS)).await?;
            let is_full = found.len() == OBJECTS;
            keys.extend(found.into_iter().filter(|object| object.written_at < settled).map(|object| object.key));
            if is_full {
                break;
            }
        }
    }
    let own = key_of("");
    keys.retain(|key| !key.starts_with(&own));
    Ok(keys.into_iter().collect())
}

async fn deleted(context: &Context<'_>) -> Outcome {
    let (store, _) = open(context)?;
    let db = ready_db(context)?;
    let mut deletions = BTreeSet::new();
    for time in TIMES {
        let since = OffsetDateTime::now_utc() - time;
        let found = within(list_tombstones(&**store, since, DELETIONS)).await.map_err(skipped)?;
        deletions.extend(found.into_iter().map(|tombstone| (tombstone.document, tombstone.deleted_at)));
    }
    let deletions: Vec<_> = deletions.into_iter().collect();
    let back = list_returned_documents(&db.get().await?, &deletions).await?;
    let Some(first) = back.first() else {
        return Ok(format!("none of {} deleted documents is back", deletions.len()));
    };
    Err(BACK.seen(format!("{} of {} deleted documents are back, such as {first}", back.len(), deletions.len())))
}
