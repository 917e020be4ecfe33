//! `parse_validated` → `chunks_stored`: splits the markdown into chunks.
//!
//! Doing it twice is harmless: the same text gives the same chunks with the same ids. One transaction replaces the whole
//! set, and a chunk with unchanged text keeps its vector, also from the version before.

use std::{sync::Arc, time::Instant};

use super::{JobMemory, Pipeline};
use domain::{Code, Failure, Lease, Outcome, Status, StepError};
use store::chunks::{ChunkerId, replace_chunks};

impl Pipeline {
    pub(super) async fn chunk(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let markdown = self.get_markdown(lease, memory).await?;
        let layout = self.get_layout(lease).await?;
        let chunker = self.model.chunker().await?;
        let for_thread = Arc::clone(&chunker);
        let chunks = tokio::task::spawn_blocking(move || for_thread.chunk(&markdown, &layout))
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("The chunker stopped: {error}.")))??;
        if self.max_passages > 0 && chunks.len() > self.max_passages {
            return Err(too_many(chunks.len(), self.max_passages).into());
        }
        let id = ChunkerId { name: chunker.name(), version: chunker.version() };
        let target = self.target(lease, memory).await?;
        replace_chunks(&self.db, lease, target, id, &chunks, began.elapsed()).await?;
        Ok(Outcome::Advanced(Status::ChunksStored))
    }
}

pub(super) fn too_many(passages: usize, limit: usize) -> Failure {
    Failure::new(
        Code::PassageLimit,
        format!(
            "The document has {passages} passages and the limit is {limit} (MAX_PASSAGES_PER_DOCUMENT). Split it into smaller \
             files, or ask the operator to raise the limit and retry the job."
        ),
    )
}
