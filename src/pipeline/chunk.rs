//! `parse_validated` → `chunks_stored`: the markdown is cut.
//!
//! Doing it twice is harmless: the same text gives the same chunks under the same ids, in one transaction that leaves
//! exactly one set, and a chunk whose text is what it was keeps its vector.

use std::{sync::Arc, time::Instant};

use super::{JobMemory, Pipeline};
use crate::{
    db::chunks::{ChunkerId, replace_chunks},
    domain::{ErrorClass, Failure, Lease, Outcome, Status, StepError},
};

impl Pipeline {
    pub(super) async fn chunk(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let markdown = self.markdown(lease, memory).await?;
        let chunker = self.model.chunker().await?;
        let cutting = Arc::clone(&chunker);
        let chunks = tokio::task::spawn_blocking(move || cutting.chunk(&markdown)).await.map_err(|error| {
            Failure::new("chunker_crashed", ErrorClass::Document, format!("The chunker stopped: {error}."))
        })??;
        let id = ChunkerId { name: chunker.name(), version: chunker.version() };
        replace_chunks(&self.db, lease, id, &chunks, began.elapsed()).await?;
        Ok(Outcome::Advanced(Status::ChunksStored))
    }
}
