//! `embeddings_stored` → `complete`: one statement counts the vectors again and completes this job and others with it; the
//! transaction also puts the document's words into the index.
//!
//! Doing it twice is harmless: the statement requires the lease, which ends with the job.

use std::time::Instant;

use serde_json::json;

use super::Pipeline;
use domain::{Code, Failure, Lease, Outcome, Status, Step, StepError};
use store::{
    jobs::{Completion, Ending, save_progress},
    words::{get_indexable, index_words},
};

impl Pipeline {
    pub(super) async fn finish(&self, lease: &Lease) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let embedder = self.model.embedder().await?;
        let document = get_indexable(&self.db, lease.document_id).await?;
        let words = tokio::task::spawn_blocking(move || index_words(document))
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("Indexing the words stopped: {error}.")))?;
        match self.completer.complete(Ending::of(lease, began.elapsed()), words, embedder.model()).await? {
            Completion::Done => Ok(Outcome::Finished(Status::Complete)),
            Completion::Missing { chunks: 0, .. } => Err(Failure::new(
                Code::ChunksMissing,
                "The document has no chunks, so there is nothing to search. Retry the job from `parse_validated`.",
            )
            .into()),
            // The row was set to this status by hand, or another model embedded it: the embed step adds what is missing.
            Completion::Missing { chunks, embedded } => {
                let progress = json!({ "chunks": chunks, "embedded": embedded });
                save_progress(&self.db, lease.fence, Step::Finish, Status::EmbeddingInProgress, &progress).await?;
                Ok(Outcome::Advanced(Status::EmbeddingInProgress))
            }
        }
    }
}
