//! The steps that make an uploaded document searchable, one step per file.
//!
//! Doing a step twice is harmless; its module says why. A step gets a [`Lease`], does its work, writes the next checkpoint
//! under the lease and returns an outcome.
//!
//! *Must not know:* claiming, heartbeats, other jobs. Parsers, models and the object store are ports.

mod audit;
mod breaker;
mod buy;
mod chunk;
mod collect;
mod embed;
mod estimate;
mod finish;
mod pages;
mod parse;
mod parsed;
mod poll;
mod reembed;
mod remote;
mod requests;
mod scratch;
mod spend;
mod validate;
mod verify;

use std::{sync::Arc, time::Duration};

pub use audit::{Audit, AuditFinding, AuditModel};
pub use estimate::EstimateRules;
pub use reembed::ReembedPlaces;
pub use remote::{Callbacks, Remote};
pub use requests::Requests;
pub use scratch::ScratchDir;
pub use spend::Money;

use domain::{
    Code, ErrorClass, Failure, Lease, Outcome, Step, StepError,
    ports::{ModelSource, ObjectStore, ParseLimits, Parser},
};
use pg::Db;
use store::{
    jobs::Completer,
    model_switch::get_model_switch,
    work::{Target, get_target},
};

/// How long a document waits before it looks again whether another model is active.
const UNTIL_SWITCH: Duration = Duration::from_secs(30);

/// Everything the steps need.
pub struct Pipeline {
    /// The database.
    pub db: Db,
    /// The store of the documents' bytes and markdown.
    pub store: Arc<dyn ObjectStore>,
    /// Parses on this machine, and checks documents before a remote parser gets them.
    pub parser: Arc<dyn Parser>,
    /// The remote parser, if there is one.
    pub remote: Option<Remote>,
    /// The source of the chunker and the embedder.
    pub model: Arc<dyn ModelSource>,
    /// Prices and caps.
    pub money: Money,
    /// Requests to an embedding service.
    pub requests: Requests,
    /// The same for the model that is to become active: its failures stop no document.
    pub beside_requests: Requests,
    /// Where jobs of a change of model were.
    pub reembed_places: ReembedPlaces,
    /// The limits of one parse.
    pub limits: ParseLimits,
    /// Passages that a document may have; 0 = no limit.
    pub max_passages: usize,
    /// A private folder for the documents in work.
    pub scratch: ScratchDir,
    /// Completes jobs.
    pub completer: Completer,
    /// Days that bytes are kept which are not what was declared; `0`: as long as the document.
    pub mismatched_days: u32,
}

/// What a worker keeps in memory between the steps of a job. It only saves work, so a crash loses nothing.
#[derive(Debug, Default)]
pub struct JobMemory {
    /// The markdown that the previous step made or read.
    markdown: Option<String>,
    /// The verified bytes, while a parse goes on in rounds.
    file: Option<tempfile::TempPath>,
    /// The remote parser has just got the document, so it is too early to poll.
    started_remote_parse: bool,
    /// Which version of the document the job makes, once that was asked for.
    target: Option<Target>,
    /// How far the embed step is.
    embedding: Option<embed::Embedding>,
    /// How far a job of a change of model is.
    reembedding: Option<reembed::Reembedding>,
}

impl Pipeline {
    /// Runs `step` for the job. While the active model is being changed, one that is out of reach stops nothing: its documents
    /// wait for the switch, and the jobs that make the new vectors go on.
    pub async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        match self.try_step(lease, step, memory).await {
            Err(StepError::Failed(failure))
                if failure.class == ErrorClass::Configuration
                    && matches!(step, Step::Embed | Step::Finish)
                    && self.is_leaving_model().await =>
            {
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    "a document waits for the change of model: {failure}"
                );
                Ok(Outcome::Snooze { code: failure.code, delay: UNTIL_SWITCH })
            }
            other => other,
        }
    }

    async fn try_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        match step {
            Step::Parse => self.parse(Step::Parse, lease, memory).await,
            Step::Collect => self.collect(lease, memory).await,
            Step::Validate => self.validate(lease, memory).await,
            Step::Chunk => self.chunk(lease, memory).await,
            Step::Embed if lease.is_reembedding() => self.reembed(lease, memory).await,
            Step::Embed => self.embed(lease, memory).await,
            Step::Finish => self.finish(lease, memory).await,
        }
    }

    /// Which version of the document the job makes.
    async fn target(&self, lease: &Lease, memory: &mut JobMemory) -> Result<Target, StepError> {
        if let Some(target) = memory.target {
            return Ok(target);
        }
        Ok(*memory.target.insert(get_target(&self.db, lease.fence).await?))
    }

    /// Checks whether the cause of a `Configuration` failure is gone: the model loads, or its service answers, the store takes
    /// what is written, the remote parser accepts the key. A remote parser that does not answer delays only the documents that it has.
    pub async fn probe(&self) -> Result<(), Failure> {
        self.probe_model().await?;
        self.store.try_write().await?;
        match &self.remote {
            Some(remote) => match remote.parser.probe().await {
                Err(failure) if failure.class == ErrorClass::Configuration => Err(failure),
                Ok(()) | Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Whether a change from the active model to another is going on.
    async fn is_leaving_model(&self) -> bool {
        let switch = get_model_switch(&self.db).await.unwrap_or_default();
        switch.is_some_and(|switch| switch.is_running() && !switch.is_switched)
    }

    async fn probe_model(&self) -> Result<(), Failure> {
        match self.try_model().await {
            Err(_) if self.is_leaving_model().await => Ok(()),
            other => other,
        }
    }

    async fn try_model(&self) -> Result<(), Failure> {
        let embedder = self.model.embedder().await?;
        let Some(service) = embedder.service() else { return Ok(()) };
        self.money.price_of_tokens(&embedder.model().name)?;
        match service.probe().await {
            // It is there, and jobs that need it wait as long as it says.
            Err(failure) if failure.code != Code::EmbedServiceBusy => Err(failure),
            Ok(()) | Err(_) => {
                self.requests.breaker().close();
                Ok(())
            }
        }
    }
}
