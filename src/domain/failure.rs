//! What went wrong, in the words that the API, `last_error`, `events` and the command line share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Code;

/// What a failure deserves. The class, never the code, decides whether a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// A fault that may pass by itself: a cut connection, a 503. Retried with backoff.
    Transient,
    /// A provider asks for less. Retried with backoff, no sooner than the provider says.
    Quota,
    /// The document itself is at fault. Final at once; another try would end the same way.
    Document,
    /// This process is set up wrongly: a missing model, a refused key. Burns no try; the process stops claiming until it is mended.
    Configuration,
}

impl ErrorClass {
    /// The name that `last_error.class` holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Quota => "quota",
            Self::Document => "document",
            Self::Configuration => "configuration",
        }
    }

    /// Whether a later try could end differently with nobody doing anything.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Transient | Self::Quota => true,
            Self::Document | Self::Configuration => false,
        }
    }
}

/// A failure of a step: a stable code, its class and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What happened, for programs.
    pub code: Code,
    /// What the failure deserves: the code's own class, unless a provider's answer says otherwise.
    pub class: ErrorClass,
    /// One or two sentences for a person: what happened and what to do. Never document text, secrets or storage paths.
    pub message: String,
    /// The earliest next try, where a provider named one.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of the code's own class.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::of_class(code.class(), code, message)
    }

    /// A failure whose class varies with what a provider, the server or the system answered.
    pub fn of_class(class: ErrorClass, code: Code, message: impl Into<String>) -> Self {
        Self { code, class, message: message.into(), retry_after: None }
    }
}
