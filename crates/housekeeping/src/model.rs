//! Deletes the vectors of the model that is no longer wanted after `app reembed finish`, a few documents at a time.

use std::time::{Duration, Instant};

use pg::{Db, DbError};
use store::model_switch::{delete_other_vectors, end_model_switch};

/// Documents of one transaction.
const BATCH: i64 = 20;

/// Works for about `budget`; of how many documents the vectors were deleted.
///
/// # Errors
///
/// The database does not answer; the next sweep goes on.
pub async fn finish(db: &Db, budget: Duration) -> Result<usize, DbError> {
    let (began, mut done) = (Instant::now(), 0);
    loop {
        match delete_other_vectors(db, BATCH).await? {
            0 => break,
            documents => done += documents,
        }
        if began.elapsed() >= budget {
            return Ok(done);
        }
    }
    if end_model_switch(db).await? {
        tracing::info!("the vectors of the embedding model that is no longer wanted are deleted");
    }
    Ok(done)
}
