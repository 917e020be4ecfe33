//! A document's way from bytes to search, one step a file. Each step can be done twice without harm; its module says why.
//!
//! The pipeline knows nothing of claiming: it is given a [`Lease`], does one step, writes the next checkpoint under
//! the lease and says what became of it.

mod chunk;
mod collect;
mod embed;
mod finish;
mod parse;
mod remote;
mod scratch;
mod validate;
mod verify;

use std::sync::Arc;

pub use remote::{Callbacks, Remote};
pub use scratch::ScratchDir;

use crate::{
    db::{Db, jobs::Completer},
    domain::{ErrorClass, Failure, Lease, Outcome, Step, StepError},
    ports::{ModelSource, ObjectStore, ParseLimits, Parser},
};

/// Everything the steps need.
pub struct Pipeline {
    /// Where rows go.
    pub db: Db,
    /// Where bytes are.
    pub store: Arc<dyn ObjectStore>,
    /// What parses here, and verifies what is parsed elsewhere.
    pub parser: Arc<dyn Parser>,
    /// What parses elsewhere; `None`: nothing does.
    pub remote: Option<Remote>,
    /// What cuts and embeds.
    pub model: Arc<dyn ModelSource>,
    /// Bounds of one parse.
    pub limits: ParseLimits,
    /// A private folder for files in hand.
    pub scratch: ScratchDir,
    /// What ends jobs.
    pub completer: Completer,
}

/// What one claim of a job keeps in memory between its steps; a crash loses nothing by losing it.
#[derive(Debug, Default)]
pub struct JobMemory {
    /// The markdown that the last step made or read.
    markdown: Option<String>,
    /// The remote parser has just been given the document: it is too early to ask.
    handed_over: bool,
    /// Where stored bytes are that are not what was declared.
    mismatched: Option<String>,
}

impl Pipeline {
    /// Does `step` for the job.
    pub async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        match step {
            Step::Parse => self.parse(lease, memory).await,
            Step::Collect => self.collect(lease, memory).await,
            Step::Validate => self.validate(lease, memory).await,
            Step::Chunk => self.chunk(lease, memory).await,
            Step::Embed => self.embed(lease).await,
            Step::Finish => self.finish(lease).await,
        }
    }

    /// Does what had to wait until the failure of a step was written: removes bytes that are not what was declared. A worker
    /// that does the step again after a crash must find what this one found.
    pub async fn after_failure(&self, memory: JobMemory) {
        let Some(key) = memory.mismatched else { return };
        if let Err(failure) = self.store.delete(&key).await {
            tracing::warn!(error.code = failure.code, "the bytes stay until their document goes: {failure}");
        }
    }

    /// Whether what a `Configuration` failure complained of is mended: the model loads, the store answers, the remote parser
    /// takes our key. That it is away holds up only what waits for it.
    pub async fn probe(&self) -> Result<(), Failure> {
        self.model.embedder().await?;
        self.store.head("probe").await.map(drop)?;
        match &self.remote {
            Some(remote) => match remote.parser.probe().await {
                Err(failure) if failure.class == ErrorClass::Configuration => Err(failure),
                Ok(()) | Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// Where a document's markdown is kept. One key a job: doing the step again overwrites it, and what a deletion or a
/// new upload of the same content has queued for removal is never a later job's.
fn parsed_key(lease: &Lease) -> String {
    format!("parsed/{}/{}.md", lease.user_id, lease.fence.job_id)
}
