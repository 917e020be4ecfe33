//! `embeddings_stored` → `complete`: one statement counts once more and ends the job, and others that end with it.
//!
//! Doing it twice is harmless: the statement is guarded by the lease, which ending the job gives up.

use std::time::Instant;

use serde_json::json;

use super::Pipeline;
use crate::{
    db::jobs::{Completion, Ending, save_progress},
    domain::{ErrorClass, Failure, Lease, Outcome, Status, Step, StepError},
};

impl Pipeline {
    pub(super) async fn finish(&self, lease: &Lease) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let embedder = self.model.embedder().await?;
        match self.completer.complete(Ending::of(lease, began.elapsed()), embedder.model()).await? {
            Completion::Done => Ok(Outcome::Finished(Status::Complete)),
            Completion::Missing { chunks: 0, .. } => Err(Failure::new(
                "chunks_missing",
                ErrorClass::Document,
                "The document has no chunks, so there is nothing to search. Retry the job from `parse_validated`.",
            )
            .into()),
            // Written by hand at this status, or embedded by another model: the embed step fills what is missing.
            Completion::Missing { chunks, embedded } => {
                let progress = json!({ "chunks": chunks, "embedded": embedded });
                let conn = self.db.get().await?;
                save_progress(&conn, lease.fence, Step::Finish, Status::EmbeddingInProgress, &progress).await?;
                Ok(Outcome::Advanced(Status::EmbeddingInProgress))
            }
        }
    }
}
