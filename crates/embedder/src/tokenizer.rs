//! Reads a model's tokenizer, for the embedder and for whoever counts its tokens.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::error::ModelError;

/// Where the files of the transformer itself lie: older folders keep them one level down.
pub(super) fn transformer_folder(folder: &Path) -> PathBuf {
    let nested = folder.join("0_Transformer");
    if nested.is_dir() { nested } else { folder.to_owned() }
}

/// Loads `tokenizer.json` of the model in `folder`, neither truncating nor padding whatever the file says:
/// it counts all the tokens of a text, and no others.
///
/// # Errors
///
/// The file is missing, unreadable or not a tokenizer.
pub fn load_tokenizer(folder: &Path) -> Result<Tokenizer, ModelError> {
    const FILE: &str = "tokenizer.json";
    let bytes = std::fs::read(transformer_folder(folder).join(FILE)).map_err(|error| ModelError::io(FILE, error))?;
    let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| ModelError::invalid(FILE, error.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| ModelError::invalid(FILE, error.to_string()))?;
    Ok(tokenizer)
}
