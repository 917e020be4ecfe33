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

use std::{sync::Arc, time::Duration};

pub use remote::{Callbacks, Remote};
pub use scratch::ScratchDir;

use crate::{
    db::{Db, DbError, jobs::Completer},
    domain::{Code, ErrorClass, Failure, Lease, Status, Step},
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

/// What a step did. Its result is written already, except where the worker must decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next checkpoint is written; go on from it.
    Advanced(Status),
    /// The document waits for something outside; park it, at no cost.
    Snooze {
        /// What it waits for.
        code: Code,
        /// How long.
        delay: Duration,
    },
    /// The job is over: complete or duplicate.
    Finished(Status),
}

/// Why a step did not get to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Somebody else has the job now, or it was cancelled. Stop; write nothing.
    #[error("the lease is lost")]
    LeaseLost,
    /// The step failed; its class says what that means for the job.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The stored bytes are not what was declared. They are removed, but only once the failure is written: whoever comes
    /// after a crash must find what this one found.
    #[error("{failure}")]
    Mismatch {
        /// Of the document, so it is final.
        failure: Failure,
        /// Where the bytes are.
        key: String,
    },
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::LeaseLost { .. } => Self::LeaseLost,
            other => Self::Failed(other.into()),
        }
    }
}

/// What one claim of a job keeps in memory between its steps; a crash loses nothing by losing it.
#[derive(Debug, Default)]
pub struct JobMemory {
    /// The markdown that the last step made or read.
    markdown: Option<String>,
    /// The remote parser has just been given the document: it is too early to ask.
    handed_over: bool,
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
