//! `embeddings_stored` → `complete`: one statement counts the vectors again and completes this job and others with it; the
//! transaction also puts the document's words into the index. A version that stands beside the active one takes its place in
//! that transaction.
//!
//! Doing it twice is harmless: it requires the lease, which ends with the job.

use std::time::Instant;

use serde_json::json;

use super::{JobMemory, Pipeline};
use domain::{Code, DocumentId, Failure, Lease, Outcome, Status, Step, StepError};
use store::{
    jobs::{Completion, Ending, save_progress},
    versions::{Switching, switch_version},
    words::{get_version_indexable, index_words},
};

impl Pipeline {
    pub(super) async fn finish(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let embedder = self.model.embedder().await?;
        let target = self.target(lease, memory).await?;
        let document = get_version_indexable(&self.db, target).await?;
        let words = tokio::task::spawn_blocking(move || index_words(document))
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("Indexing the words stopped: {error}.")))?;
        let completion = if target.is_staged {
            let (words, model) = (words.as_ref(), embedder.model());
            match switch_version(&self.db, lease.fence, target, words, model, began.elapsed()).await? {
                Switching::Done => Completion::Done,
                Switching::Missing { chunks, embedded } => Completion::Missing { chunks, embedded },
                Switching::Taken(other) => return Err(taken(other).into()),
            }
        } else {
            self.completer.complete(Ending::of(lease, began.elapsed()), words, embedder.model()).await?
        };
        match completion {
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

fn taken(other: DocumentId) -> Failure {
    Failure::new(
        Code::DocumentExists,
        format!(
            "The document {other} has the same bytes by now, and two documents cannot. The version before stays active. Delete \
             that document and retry the job, or use it."
        ),
    )
}
