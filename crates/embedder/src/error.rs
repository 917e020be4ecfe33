//! Errors of a model folder.

use domain::{Code, Failure};

/// Why a model cannot be loaded. A retry does not help: the setup must be corrected.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing.
    #[error(
        "the model folder has no {file}; it must be a sentence-transformers folder with config.json, \
         tokenizer.json and model.safetensors"
    )]
    Missing {
        /// The file's name within the model folder.
        file: String,
    },
    /// A file cannot be read.
    #[error("couldn't read {file} in the model folder ({source}); check its permissions")]
    Unreadable {
        /// The file's name within the model folder.
        file: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is damaged, or contradicts another file.
    #[error("{file} in the model folder is not usable: {reason}; fetch the model again")]
    Invalid {
        /// The file's name within the model folder.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The encoder does not support this kind of model.
    #[error("the model's {what} is not supported; use a BERT model, such as all-MiniLM-L6-v2")]
    Unsupported {
        /// The unsupported property and its value.
        what: String,
    },
    /// The operating system refused to start a thread.
    #[error("couldn't start an encoder thread ({0}); raise the limit on threads, or set fewer encoder threads")]
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
