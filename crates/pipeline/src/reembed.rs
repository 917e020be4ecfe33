//! The embed step of a job of a change of model, which has no document: gives the passages of its part of all complete documents a
//! vector of the new model beside the one they have.
//!
//! Doing it twice is harmless: only passages without such a vector are embedded, and equal texts of a user take the one that is
//! there. Each batch is committed as it comes, and each request to a service has its row in `embed_calls`, as for documents.
//!
//! Whatever is wrong with the new model stops this job alone: the worker goes on with documents by the active one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;

use super::{JobMemory, Pipeline, buy::round_size, embed::Embedding};
use domain::{
    ChunkId, Code, DocumentId, ErrorClass, Failure, Lease, Outcome, Status, Step, StepError,
    ports::{EmbedModel, Embedder},
};
use store::{
    active_model::{ActiveModel, LOCAL},
    beside::{Part, copy_known_beside, get_part, list_lacking_chunks, list_unpacked_beside},
    chunks::{PendingChunk, Place},
    embed_calls::close_lost_calls,
    jobs::{save_progress, show_progress},
    model_switch::{ModelSwitch, get_model_switch},
    packed::{fill_packed_beside, pack_vectors},
    provider_rates::{Rates, Reserved, reserve_request},
    words::get_indexable_by,
};

/// How long the job waits for documents that come after all others are done.
const CAUGHT_UP: Duration = Duration::from_secs(15);
/// How long it waits when the new model is set up wrongly or its service is down.
const STUCK: Duration = Duration::from_secs(30);
/// How long it keeps its slot for its place within the rate of the run.
const PATIENCE: Duration = Duration::from_secs(5);
/// A batch takes at most this share of a minute's passages, so that the rate is even.
const SHARES_OF_MINUTE: i64 = 12;
/// In `provider_rates`: the rate of the run.
const RATE: &str = "reembed";
/// Documents that are packed before the job looks whether others wait.
const PACKED_AT_A_TIME: i64 = 20;

/// For each wanted model, the document up to which nothing was missing.
type Places = [DocumentId; 2];

/// Where the jobs of a run were when they left this process, so that one that comes back does not look through all that is done.
/// It only saves work: nothing is done before a look from the first document on finds nothing.
#[derive(Debug, Default)]
pub struct ReembedPlaces(Mutex<HashMap<(i32, i32), Places>>);

impl ReembedPlaces {
    fn get(&self, part: Part) -> Places {
        // Each change leaves it whole.
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&(part.part, part.parts)).copied().unwrap_or([Lease::NO_DOCUMENT; 2])
    }

    fn set(&self, part: Part, places: Places) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((part.part, part.parts), places);
    }
}

/// Where the job is, from one batch to the next.
#[derive(Debug)]
pub(super) struct Reembedding {
    part: Part,
    done_to: Places,
    at: Embedding,
}

impl Pipeline {
    /// Embeds or packs one batch; waits when nothing is missing.
    pub(super) async fn reembed(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        match self.reembed_batch(lease, memory).await {
            Err(StepError::Failed(failure)) if failure.class == ErrorClass::Configuration => {
                let waits_for = json!({ "code": failure.code.as_str(), "message": failure.message });
                let progress = json!({ "waits_for": waits_for });
                show_progress(&self.db, lease.fence, Step::Embed, Status::EmbeddingInProgress, &progress).await?;
                tracing::warn!(error.code = failure.code.as_str(), "the change of model waits: {failure}");
                Ok(Outcome::Snooze { code: failure.code, delay: failure.retry_after.unwrap_or(STUCK).max(STUCK) })
            }
            other => other,
        }
    }

    async fn reembed_batch(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let Some(switch) = get_model_switch(&self.db).await?.filter(ModelSwitch::is_running) else {
            return Ok(Outcome::Snooze { code: Code::ReembedCaughtUp, delay: CAUGHT_UP });
        };
        let mut state = match memory.reembedding.take() {
            Some(state) => state,
            None => {
                close_lost_calls(&self.db, lease.fence).await?;
                let part = get_part(&self.db, lease.fence).await?;
                let done_to = self.reembed_places.get(part);
                Reembedding { part, done_to, at: Embedding::begin(None, 0) }
            }
        };
        let outcome = self.next_batch(lease, &switch, &mut state).await;
        self.reembed_places.set(state.part, state.done_to);
        memory.reembedding = Some(state);
        outcome
    }

    async fn next_batch(
        &self,
        lease: &Lease,
        switch: &ModelSwitch,
        state: &mut Reembedding,
    ) -> Result<Outcome, StepError> {
        for (n, wanted) in switch.wanted().iter().enumerate() {
            let model = wanted.embed_model();
            let most = most_of_batch(wanted, switch.passages_per_minute, &state.at);
            let pending = self.lacking(&model, most, n, state).await?;
            if !pending.is_empty() {
                return self.embed_beside(lease, wanted, switch.passages_per_minute, pending, state).await;
            }
        }
        for wanted in switch.wanted() {
            if self.pack_beside(&wanted.embed_model(), state.part).await? {
                let progress = json!({ "waits_for": null });
                save_progress(&self.db, lease.fence, Step::Embed, Status::EmbeddingInProgress, &progress).await?;
                return Ok(Outcome::Advanced(Status::EmbeddingInProgress));
            }
        }
        Ok(Outcome::Snooze { code: Code::ReembedCaughtUp, delay: CAUGHT_UP })
    }

    /// The next passages that lack a vector of the `n`th wanted model; none: not one is left in the part.
    async fn lacking(
        &self,
        model: &EmbedModel,
        most: i64,
        n: usize,
        state: &mut Reembedding,
    ) -> Result<Vec<PendingChunk>, StepError> {
        let Some(done_to) = state.done_to.get_mut(n) else { return Ok(Vec::new()) };
        loop {
            let found = list_lacking_chunks(&self.db, model, state.part, *done_to, most).await?;
            match found.first() {
                // Behind the last document before the first that lacks something.
                Some((first, _)) => *done_to = before(*first),
                None if *done_to == Lease::NO_DOCUMENT => return Ok(Vec::new()),
                // Documents that came meanwhile, and those that failed before.
                None => {
                    *done_to = Lease::NO_DOCUMENT;
                    continue;
                }
            }
            return Ok(found.into_iter().map(|(_, chunk)| chunk).collect());
        }
    }

    async fn embed_beside(
        &self,
        lease: &Lease,
        wanted: &ActiveModel,
        per_minute: i32,
        mut pending: Vec<PendingChunk>,
        state: &mut Reembedding,
    ) -> Result<Outcome, StepError> {
        let embedder = self.model.embedder_of(&wanted.named()).await?;
        check_model(embedder.as_ref(), wanted)?;
        let model = embedder.model();
        if let Some(service) = embedder.service() {
            pending.truncate(usize::try_from(round_size(service.bounds())).unwrap_or(usize::MAX));
        }
        let known: HashSet<ChunkId> =
            copy_known_beside(&self.db, lease.fence, model, &pending).await?.into_iter().collect();
        pending.retain(|chunk| !known.contains(&chunk.chunk_id));
        if pending.is_empty() {
            let progress = json!({ "waits_for": null });
            save_progress(&self.db, lease.fence, Step::Embed, Status::EmbeddingInProgress, &progress).await?;
            return Ok(Outcome::Advanced(Status::EmbeddingInProgress));
        }
        if let Some(wait) = self.wait_for_rate(per_minute, pending.len()).await? {
            return Ok(Outcome::Snooze { code: Code::ReembedAtRate, delay: wait });
        }
        let work = (lease, Place::Beside);
        match embedder.service() {
            Some(_) => self.buy_round(&embedder, work, pending, &mut state.at).await,
            None => self.embed_here(embedder.as_ref(), work, pending, &mut state.at).await,
        }
    }

    /// Waits for the place of so many passages within the rate of the run; `Some`: that takes too long, come again after this time.
    async fn wait_for_rate(&self, per_minute: i32, passages: usize) -> Result<Option<Duration>, StepError> {
        let per_minute = u32::try_from(per_minute).unwrap_or(0);
        if per_minute == 0 {
            return Ok(None);
        }
        let rates = Rates { requests: 0, tokens: per_minute };
        Ok(match reserve_request(&self.db, RATE, rates, passages, PATIENCE).await? {
            Reserved::After(wait) => {
                tokio::time::sleep(wait).await;
                None
            }
            Reserved::Not(wait) => Some(wait),
        })
    }

    /// Packs the vectors beside of some documents; whether there were any.
    async fn pack_beside(&self, model: &EmbedModel, part: Part) -> Result<bool, StepError> {
        let mut packed_any = false;
        for document in list_unpacked_beside(&self.db, model, part, PACKED_AT_A_TIME).await? {
            let Some(seen) = get_indexable_by(&self.db, document, model).await? else { continue };
            let (seen, packed) = tokio::task::spawn_blocking(move || {
                let packed = pack_vectors(&seen);
                (seen, packed)
            })
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("Packing the vectors stopped: {error}.")))?;
            if let Some(packed) = packed {
                packed_any |= fill_packed_beside(&self.db, document, &seen, &packed).await?;
            }
        }
        Ok(packed_any)
    }
}

/// Passages that are listed at a time: as many as the largest round of a service takes.
const MOST_LOOKED_AT: i64 = 2048;

/// Passages of a batch: what this machine embeds in less than a second, or what a service may take, within the rate of the run.
fn most_of_batch(model: &ActiveModel, per_minute: i32, at: &Embedding) -> i64 {
    let most = if model.provider == LOCAL { at.batch } else { MOST_LOOKED_AT };
    match i64::from(per_minute) {
        0 => most,
        limit => most.min(limit / SHARES_OF_MINUTE).max(1),
    }
}

/// The id before that of a document, behind which it is found again.
fn before(document: DocumentId) -> DocumentId {
    DocumentId(uuid::Uuid::from_u128(document.0.as_u128().saturating_sub(1)))
}

/// A folder may hold another model by now.
fn check_model(embedder: &dyn Embedder, wanted: &ActiveModel) -> Result<(), Failure> {
    let (is, wanted) = (embedder.model(), wanted.embed_model());
    if (&is.name, &is.version, is.dim) == (&wanted.name, &wanted.version, wanted.dim) {
        return Ok(());
    }
    let message = format!(
        "The change of model began with {} of {} components, and {} of {} is there. Put the right model into the folder, or end \
         the change (`app reembed finish --discard`).",
        wanted.name, wanted.dim, is.name, is.dim
    );
    Err(Failure::new(Code::ModelDimension, message))
}
