//! Puts documents into the index on words that were complete before there was one, or whose words were made by older rules.
//!
//! Until a user's last document is in it, the search by tsvector answers for that user. Likewise packs the vectors of indexed
//! documents; until then a search compares each of them.

use std::time::{Duration, Instant};

use domain::{Code, Failure};
use pg::Db;
use store::packed::{fill_packed, list_unpacked, pack_vectors};
use store::words::{fill_words, get_indexable, index_words, list_unindexed, mark_filled_users};

/// Time in one sweep for words and again for vectors: a fifth of the minutes between two, so that jobs and searches keep the
/// database.
const BUDGET: Duration = Duration::from_secs(30);
const BATCH: i64 = 50;

pub(super) async fn sweep(db: &Db) -> Result<(), Failure> {
    let filled = fill(db, BUDGET).await?;
    let packed = pack(db, BUDGET).await?;
    if filled + packed > 0 {
        tracing::info!(filled, packed, "put complete documents into the index on words, and packed vectors");
    }
    Ok(())
}

/// Works for about `budget`; how many documents were put into the index.
///
/// # Errors
///
/// The database does not answer; the next sweep goes on.
pub async fn fill(db: &Db, budget: Duration) -> Result<u64, Failure> {
    let (began, mut filled) = (Instant::now(), 0);
    loop {
        let documents = list_unindexed(db, BATCH).await?;
        if documents.is_empty() {
            break;
        }
        let before = filled;
        for document in documents {
            let Some(seen) = get_indexable(db, document).await? else { continue };
            let copy = seen.clone();
            let words = tokio::task::spawn_blocking(move || index_words(Some(copy)))
                .await
                .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("Indexing the words stopped: {error}.")))?;
            if let Some(words) = words
                && fill_words(db, document, &seen, &words).await?
            {
                filled += 1;
            }
            if began.elapsed() >= budget {
                break;
            }
        }
        // Documents that change all the time are their jobs' to index.
        if filled == before || began.elapsed() >= budget {
            break;
        }
    }
    mark_filled_users(db).await?;
    Ok(filled)
}

/// Works for about `budget`; of how many documents the vectors were packed.
///
/// # Errors
///
/// The database does not answer; the next sweep goes on.
pub async fn pack(db: &Db, budget: Duration) -> Result<u64, Failure> {
    let (began, mut filled) = (Instant::now(), 0);
    loop {
        let before = filled;
        for document in list_unpacked(db, BATCH).await? {
            let Some(seen) = get_indexable(db, document).await? else { continue };
            let (seen, packed) = tokio::task::spawn_blocking(move || {
                let packed = pack_vectors(&seen);
                (seen, packed)
            })
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("Packing the vectors stopped: {error}.")))?;
            if let Some(packed) = packed
                && fill_packed(db, document, &seen, &packed).await?
            {
                filled += 1;
            }
            if began.elapsed() >= budget {
                break;
            }
        }
        if filled == before || began.elapsed() >= budget {
            return Ok(filled);
        }
    }
}
