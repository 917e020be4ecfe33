//! Loads a model's tokenizer.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

use super::{
    config::ModelConfig,
    error::{invalid, unreadable},
    unigram::UnigramTokenizer,
};
use domain::Failure;

const FILE: &str = "tokenizer.json";

/// The folder of the transformer's files, which older models keep in a subfolder.
pub(super) fn transformer_folder(folder: &Path) -> PathBuf {
    let nested = folder.join("0_Transformer");
    if nested.is_dir() { nested } else { folder.to_owned() }
}

/// A model's tokenizer, which cuts texts off at the model's limit.
pub(super) enum ModelTokenizer {
    /// With a Unigram model of our own.
    Unigram(Box<UnigramTokenizer>),
    /// The crate's, for WordPiece and the others.
    Other(Box<Tokenizer>),
}

/// The kind of model in a `tokenizer.json`.
#[derive(Deserialize)]
struct Kind {
    model: KindOfModel,
}

#[derive(Deserialize)]
struct KindOfModel {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl ModelTokenizer {
    /// Loads `tokenizer.json` of the model in `folder`, checks that it fits the model, and sets it to cut texts off at the
    /// model's limit. What the file says of padding and limits is not used.
    ///
    /// # Errors
    ///
    /// The file is missing, unreadable, not a tokenizer, or of another model.
    pub fn load(folder: &Path, config: &ModelConfig) -> Result<Self, Failure> {
        let bytes = std::fs::read(transformer_folder(folder).join(FILE)).map_err(|error| unreadable(FILE, &error))?;
        let kind: Kind = serde_json::from_slice(&bytes).map_err(|error| invalid(FILE, error))?;
        let limit = TruncationParams { max_length: config.max_tokens, ..TruncationParams::default() };
        let (tokenizer, tokens) = if kind.model.kind.as_deref() == Some("Unigram") {
            let mut unigram = UnigramTokenizer::from_bytes(&bytes).map_err(|error| invalid(FILE, error))?;
            unigram.with_padding(None).with_truncation(Some(limit)).map_err(|error| invalid(FILE, error))?;
            let tokens = unigram.get_vocab_size(true);
            (Self::Unigram(Box::new(unigram)), tokens)
        } else {
            let mut other = Tokenizer::from_bytes(&bytes).map_err(|error| invalid(FILE, error))?;
            other.with_padding(None).with_truncation(Some(limit)).map_err(|error| invalid(FILE, error))?;
            let tokens = other.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1);
            (Self::Other(Box::new(other)), tokens)
        };
        if tokens > config.vocab_size {
            let reason = format!("it has {tokens} tokens, but the model has only {}", config.vocab_size);
            return Err(invalid(FILE, reason));
        }
        let special = tokenizer.encode("").map_err(|error| invalid(FILE, error))?;
        if special.is_empty() || special.len() >= config.max_tokens {
            return Err(invalid(FILE, format!("it adds {} special tokens to a text", special.len())));
        }
        Ok(tokenizer)
    }

    /// The ids of a text's tokens, with the special ones.
    ///
    /// # Errors
    ///
    /// The tokenizer refuses the text. The error may quote it.
    pub fn encode(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        let encoding = match self {
            Self::Unigram(unigram) => unigram.encode_fast(text, true),
            Self::Other(other) => other.encode_fast(text, true),
        };
        Ok(encoding?.get_ids().to_vec())
    }
}
