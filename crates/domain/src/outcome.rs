//! What a step of a job came to.

use std::time::Duration;

use super::{Code, Failure, Status};

/// What a step did. Its result is written already, except where the worker must decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next checkpoint is written; go on from it.
    Advanced(Status),
    /// The document waits for something outside; park the job, at no cost.
    Snooze {
        /// What it waits for.
        code: Code,
        /// How long.
        delay: Duration,
    },
    /// Something outside stops the document that a person should know of; park the job with the reason, at no cost.
    Hold {
        /// What stops it.
        failure: Failure,
        /// How long.
        delay: Duration,
    },
    /// The job is over: complete or duplicate.
    Finished(Status),
}

/// Why a step did not get to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Another worker has the job now, or it was cancelled. Stop; write nothing.
    #[error("the lease is lost")]
    LeaseLost,
    /// The step failed; its class says what that means for the job.
    #[error(transparent)]
    Failed(#[from] Failure),
}
