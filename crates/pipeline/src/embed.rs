//! `chunks_stored` → `embeddings_stored`: gives every chunk a vector.
//!
//! Doing it twice is harmless: only chunks without a vector of the active model are embedded, and those whose text has one
//! in another document of the user take that. Each batch is committed with its counts, so a crash loses at most one batch, or
//! the requests in flight to a service (`buy`).

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{JobMemory, Pipeline, buy::round_size};
use domain::{
    ChunkId, Code, Failure, Lease, Outcome, Status, Step, StepError,
    ports::{Chunk, EmbedModel, EmbedPriority, Embedder},
};
use store::{
    chunks::{PendingChunk, Place, copy_known_vectors, count_chunks, list_pending_chunks, save_vectors},
    embed_calls::close_lost_calls,
    jobs::{advance_job, advance_paid_job, save_progress},
    work::Target,
};

/// Chunks of a batch at first: less than a second of one core with the default model.
const FIRST: i64 = 12;
/// Chunks of a batch at least.
const FEWEST: i64 = 4;
/// Chunks of a batch at most, for many cores.
const MOST: i64 = 256;
/// How long a batch should take: progress moves at least once a second, and a job whose turn is over looks after each batch
/// whether others wait.
const WANTED: Duration = Duration::from_millis(800);

/// Where the step is, from one batch to the next.
#[derive(Debug)]
pub(super) struct Embedding {
    began: Instant,
    /// Chunks of the document; `None`: those of a change of model, which are counted elsewhere.
    pub(super) chunks: Option<i64>,
    pub(super) embedded: i64,
    pub(super) batch: i64,
}

impl Embedding {
    /// At the first batch.
    pub(super) fn begin(chunks: Option<i64>, embedded: i64) -> Self {
        Self { began: Instant::now(), chunks, embedded, batch: FIRST }
    }

    /// The counts that are written when `embedded` chunks have their vector.
    pub(super) fn progress(&self, embedded: i64) -> serde_json::Value {
        progress(self.chunks, embedded)
    }
}

/// The counts of a job with `chunks` chunks of which `embedded` have their vector.
pub(super) fn progress(chunks: Option<i64>, embedded: i64) -> serde_json::Value {
    match chunks {
        Some(chunks) => json!({ "chunks": chunks, "embedded": embedded.min(chunks) }),
        None => json!({ "embedded": embedded, "waits_for": null }),
    }
}

impl Pipeline {
    /// Embeds one batch here, or buys vectors for about a second. The step is done when no chunk is left without a vector.
    pub(super) async fn embed(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let embedder = self.model.embedder().await?;
        let (model, service) = (embedder.model(), embedder.service());
        let target = self.target(lease, memory).await?;
        let mut at = match memory.embedding.take() {
            Some(at) => at,
            None => {
                if service.is_some() {
                    close_lost_calls(&self.db, lease.fence).await?;
                }
                let (chunks, embedded) = count_chunks(&self.db, target, model).await?;
                Embedding::begin(Some(chunks), embedded)
            }
        };
        let most = service.map_or(at.batch, |service| round_size(service.bounds()));
        let pending = list_pending_chunks(&self.db, target, model, most).await?;
        if pending.is_empty() {
            let progress = json!({ "chunks": at.chunks, "embedded": at.chunks, "model": model.name });
            let took = at.began.elapsed();
            let (db, step, to) = (&self.db, Step::Embed, Status::EmbeddingsStored);
            match service {
                Some(_) => advance_paid_job(db, lease, step, to, &progress, took).await?,
                None => advance_job(db, lease, step, to, &progress, took).await?,
            }
            return Ok(Outcome::Advanced(Status::EmbeddingsStored));
        }
        let pending = self.reuse((lease, target), model, pending, &mut at).await?;
        let outcome = match service {
            Some(_) => self.buy_round(&embedder, (lease, Place::Rows(target)), pending, &mut at).await?,
            None => self.embed_here(embedder.as_ref(), (lease, Place::Rows(target)), pending, &mut at).await?,
        };
        memory.embedding = Some(at);
        Ok(outcome)
    }

    /// Gives chunks the vector of an equal text of the user's; returns the others.
    async fn reuse(
        &self,
        (lease, target): (&Lease, Target),
        model: &EmbedModel,
        mut pending: Vec<PendingChunk>,
        at: &mut Embedding,
    ) -> Result<Vec<PendingChunk>, StepError> {
        let known = copy_known_vectors(&self.db, lease.fence, target, model, &pending).await?;
        if !known.is_empty() {
            let known: HashSet<ChunkId> = known.into_iter().collect();
            pending.retain(|chunk| !known.contains(&chunk.chunk_id));
            at.embedded += i64::try_from(known.len()).unwrap_or(0);
            let progress = at.progress(at.embedded);
            save_progress(&self.db, lease.fence, Step::Embed, Status::EmbeddingInProgress, &progress).await?;
        }
        Ok(pending)
    }

    /// Embeds one batch on this machine.
    pub(super) async fn embed_here(
        &self,
        embedder: &dyn Embedder,
        (lease, place): (&Lease, Place),
        pending: Vec<PendingChunk>,
        at: &mut Embedding,
    ) -> Result<Outcome, StepError> {
        if !pending.is_empty() {
            let (began, model) = (Instant::now(), embedder.model());
            let batch = embed_batch(embedder, model, pending).await?;
            at.embedded += i64::try_from(batch.len()).unwrap_or(0);
            let progress = at.progress(at.embedded);
            save_vectors(&self.db, lease.fence, place, model, &batch, None, &progress).await?;
            at.batch = next_batch(batch.len(), began.elapsed());
        }
        Ok(Outcome::Advanced(Status::EmbeddingInProgress))
    }
}

/// How many chunks take as long as wanted, by the last batch.
fn next_batch(chunks: usize, took: Duration) -> i64 {
    let fitting = chunks as u128 * WANTED.as_millis() / took.as_millis().max(1);
    i64::try_from(fitting).unwrap_or(MOST).clamp(FEWEST, MOST)
}

async fn embed_batch(
    embedder: &dyn Embedder,
    model: &EmbedModel,
    pending: Vec<PendingChunk>,
) -> Result<Vec<(PendingChunk, Vec<f32>)>, Failure> {
    let texts = pending.iter().map(|chunk| Chunk::embed_text(&chunk.heading, &chunk.text)).collect();
    let vectors = embedder.embed(texts, EmbedPriority::Document).await?;
    check_vectors(model, pending.len(), &vectors)?;
    Ok(pending.into_iter().zip(vectors).collect())
}

/// Checks the embedder's answer. The database would refuse a wrong dimension only later, and a vector that is not finite
/// would damage the index.
pub(super) fn check_vectors(model: &EmbedModel, wanted: usize, vectors: &[impl AsRef<[f32]>]) -> Result<(), Failure> {
    if vectors.len() != wanted {
        return Err(Failure::new(
            Code::VectorCount,
            format!("The embedder was given {wanted} texts and answered with {} vectors.", vectors.len()),
        ));
    }
    if let Some(vector) = vectors.iter().map(AsRef::as_ref).find(|vector| vector.len() != model.dim) {
        return Err(Failure::new(
            Code::VectorDimension,
            format!(
                "The embedder gave a vector of {} components, but {} has {}. Check EMBED_MODEL and the model's folder.",
                vector.len(),
                model.name,
                model.dim
            ),
        ));
    }
    let is_none = |vector: &[f32]| vector.iter().any(|x| !x.is_finite()) || vector.iter().all(|x| *x == 0.0);
    if vectors.iter().any(|vector| is_none(vector.as_ref())) {
        return Err(Failure::new(Code::VectorInvalid, "The embedder gave a vector that is not finite, or all zero."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> EmbedModel {
        EmbedModel { name: "m".into(), version: "1".into(), dim: 2, max_tokens: 8 }
    }

    #[test]
    fn a_batch_takes_less_than_a_second_where_four_chunks_do() {
        assert_eq!(next_batch(12, Duration::from_millis(400)), 24);
        assert_eq!(next_batch(24, Duration::from_secs(2)), 9);
        assert_eq!(next_batch(4, Duration::from_secs(9)), FEWEST);
        assert_eq!(next_batch(12, Duration::ZERO), MOST);
    }

    #[test]
    fn a_wrong_answer_of_the_embedder_has_its_own_code() {
        let refused = |vectors: &[Vec<f32>]| check_vectors(&model(), 1, vectors).unwrap_err().code;
        assert_eq!(refused(&[]), Code::VectorCount);
        assert_eq!(refused(&[vec![1.0]]), Code::VectorDimension);
        assert_eq!(refused(&[vec![f32::NAN, 1.0]]), Code::VectorInvalid);
        assert_eq!(refused(&[vec![0.0, 0.0]]), Code::VectorInvalid);
        assert_eq!(check_vectors(&model(), 1, &[vec![0.6, 0.8]]), Ok(()));
    }
}
