//! Loads a model's tokenizer, for the embedder and for the chunker, which counts tokens.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::error::{invalid, unreadable};
use domain::Failure;

/// The folder of the transformer's files, which older models keep in a subfolder.
pub(super) fn transformer_folder(folder: &Path) -> PathBuf {
    let nested = folder.join("0_Transformer");
    if nested.is_dir() { nested } else { folder.to_owned() }
}

/// Loads `tokenizer.json` of the model in `folder`. Truncation and padding are switched off, even if the file asks for them,
/// so that exactly the tokens of a text are counted.
///
/// # Errors
///
/// The file is missing, unreadable or not a tokenizer.
pub fn load_tokenizer(folder: &Path) -> Result<Tokenizer, Failure> {
    const FILE: &str = "tokenizer.json";
    let bytes = std::fs::read(transformer_folder(folder).join(FILE)).map_err(|error| unreadable(FILE, &error))?;
    let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| invalid(FILE, error))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| invalid(FILE, error))?;
    Ok(tokenizer)
}
