//! Why a model folder cannot be used.

use crate::domain::{Code, Failure};

/// A model that cannot be loaded. No retry helps: the process is set up wrongly.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is not there.
    #[error(
        "the model folder has no {file}; it must be a sentence-transformers folder with config.json, \
         tokenizer.json and model.safetensors"
    )]
    Missing {
        /// Its name within the model folder.
        file: String,
    },
    /// A file is there and cannot be read.
    #[error("couldn't read {file} in the model folder ({source}); check its permissions")]
    Unreadable {
        /// Its name within the model folder.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is damaged, or contradicts another.
    #[error("{file} in the model folder is not usable: {reason}; fetch the model again")]
    Invalid {
        /// Its name within the model folder.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sound model of a kind that is not built in.
    #[error("the model's {what} is not supported; use a BERT model, such as all-MiniLM-L6-v2")]
    Unsupported {
        /// Which of its traits, with the value.
        what: String,
    },
    /// The system gave no thread to compute on.
    #[error("couldn't start an encoder thread ({0}); raise the limit on threads or ask for fewer")]
    Threads(std::io::Error),
}

impl ModelError {
    /// What is wrong, for programs.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::ModelMissing,
            Self::Unreadable { .. } => Code::ModelUnreadable,
            Self::Invalid { .. } => Code::ModelInvalid,
            Self::Unsupported { .. } => Code::ModelUnsupported,
            Self::Threads(_) => Code::ModelThreads,
        }
    }

    pub(super) fn invalid(file: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { file: file.to_owned(), reason: reason.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(super) fn io(file: &str, source: std::io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::Missing { file },
            _ => Self::Unreadable { file, source },
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
