//! Failures, as the API, `last_error`, `events` and the command line report them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Code;
use crate::named;

named! {
    /// The class of a failure. It, and never the code, decides whether a job is retried.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    ErrorClass {
        /// A fault that can go away by itself: a broken connection, a 503. Retried with backoff.
        Transient = "transient",
        /// A provider asks for fewer requests. Retried with backoff, not before the time that the provider names.
        Quota = "quota",
        /// The document is at fault. Not retried, since another try would end in the same way.
        Document = "document",
        /// This process is configured wrongly: a missing model, a refused key. Does not count as a try; the process stops
        /// claiming until the configuration is corrected.
        Configuration = "configuration",
    }
}

impl ErrorClass {
    /// Whether a later try could succeed without anyone's action.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Transient | Self::Quota => true,
            Self::Document | Self::Configuration => false,
        }
    }
}

/// A failure of a step: a stable code, its class, and a message with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What happened, for programs.
    pub code: Code,
    /// The code's own class, unless a provider's answer determines another.
    pub class: ErrorClass,
    /// One or two sentences for a person: what happened and what to do. Contains no document text, secrets or storage paths.
    pub message: String,
    /// The earliest time of the next try, if a provider named one.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of the code's own class.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::of_class(code.class(), code, message)
    }

    /// A failure whose class depends on the answer of a provider, the server or the operating system.
    pub fn of_class(class: ErrorClass, code: Code, message: impl Into<String>) -> Self {
        Self { code, class, message: message.into(), retry_after: None }
    }
}
