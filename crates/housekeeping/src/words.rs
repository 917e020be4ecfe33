//! Puts documents into the index on words that were complete before there was one, or whose words were made by older rules.
//!
//! Until a user's last document is in it, the search by tsvector answers for that user.

use std::time::{Duration, Instant};

use domain::{Code, Failure};
use pg::Db;
use store::words::{fill_words, get_indexable, index_words, list_unindexed, mark_filled_users};

/// Time in one sweep: a fifth of the minutes between two, so that jobs and searches keep the database.
const BUDGET: Duration = Duration::from_secs(60);
const BATCH: i64 = 50;

pub(super) async fn sweep(db: &Db) -> Result<(), Failure> {
    let filled = fill(db, BUDGET).await?;
    if filled > 0 {
        tracing::info!(filled, "put complete documents into the index on words");
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
