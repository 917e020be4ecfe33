//! Why a model cannot be loaded. A retry does not help: the setup must be corrected.

use std::{fmt::Display, io};

use domain::{Code, Failure};

/// A file of the model folder cannot be read.
pub(super) fn unreadable(file: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::new(
            Code::ModelMissing,
            format!(
                "the model folder has no {file}; it must be a sentence-transformers folder with config.json, \
                 tokenizer.json and model.safetensors"
            ),
        ),
        _ => Failure::new(
            Code::ModelUnreadable,
            format!("couldn't read {file} in the model folder ({error}); check its permissions"),
        ),
    }
}

/// A file is damaged, or contradicts another file.
pub(super) fn invalid(file: &str, reason: impl Display) -> Failure {
    let message = format!("{file} in the model folder is not usable: {reason}; fetch the model again");
    Failure::new(Code::ModelInvalid, message)
}

/// The encoder does not support this property of the model.
pub(super) fn unsupported(what: impl Display) -> Failure {
    let message = format!(
        "the model's {what} is not supported; use a model of the BERT family, such as multilingual-e5-small or all-MiniLM-L6-v2"
    );
    Failure::new(Code::ModelUnsupported, message)
}
