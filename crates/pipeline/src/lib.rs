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
mod remote;
mod scratch;
mod spend;
mod validate;
mod verify;

use std::sync::Arc;

pub use audit::{Audit, AuditFinding, AuditModel};
pub use breaker::Breaker;
pub use estimate::EstimateRules;
pub use remote::{Callbacks, Remote};
pub use scratch::ScratchDir;
pub use spend::Money;

use domain::{
    Code, ErrorClass, Failure, Lease, Outcome, Step, StepError,
    ports::{ModelSource, ObjectStore, ParseLimits, Parser},
};
use pg::Db;
use store::{
    jobs::Completer,
    work::{Target, get_target},
};

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
    /// What is remembered of an embedding service.
    pub breaker: Breaker,
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
}

impl Pipeline {
    /// Runs `step` for the job.
    pub async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        match step {
            Step::Parse => self.parse(Step::Parse, lease, memory).await,
            Step::Collect => self.collect(lease, memory).await,
            Step::Validate => self.validate(lease, memory).await,
            Step::Chunk => self.chunk(lease, memory).await,
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

    async fn probe_model(&self) -> Result<(), Failure> {
        let embedder = self.model.embedder().await?;
        let Some(service) = embedder.service() else { return Ok(()) };
        self.money.price_of_tokens(&embedder.model().name)?;
        match service.probe().await {
            // It is there, and jobs that need it wait as long as it says.
            Err(failure) if failure.code != Code::EmbedServiceBusy => Err(failure),
            Ok(()) | Err(_) => {
                self.breaker.close();
                Ok(())
            }
        }
    }
}
