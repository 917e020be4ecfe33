//! Embeds on the CPU: a sentence-transformers model of the BERT family, one single-thread encoder a core.
//!
//! A request's texts are cut into batches of about [`LocalEmbedderOptions::batch_tokens`] tokens and queued;
//! the threads take queries before documents. Within a batch nothing is padded, so texts of any lengths
//! share one. The encoder is our own, in safe Rust; `panels.rs` tells what makes it fast.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use async_trait::async_trait;
use tokenizers::{Tokenizer, TruncationParams};

use crate::{
    domain::{Code, Failure},
    ports::{EmbedModel, EmbedPriority, Embedder},
};

use self::{
    config::ModelConfig,
    encoder::Encoder,
    isa::Isa,
    workers::{Vectors, Work, Workers, crashed},
};

mod attention;
mod config;
mod encoder;
mod error;
mod isa;
mod math;
mod panels;
mod product;
mod tensors;
mod tokenizer;
mod workers;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use error::ModelError;
pub use tokenizer::load_tokenizer;

/// How a [`LocalEmbedder`] is run.
#[derive(Debug, Clone)]
pub struct LocalEmbedderOptions {
    /// For `embed_model`.
    pub name: String,
    /// For `embed_version`.
    pub version: String,
    /// Encoder threads. Default: one for each core that this process may use.
    pub threads: NonZeroUsize,
    /// Tokens in a batch, roughly; at least one text. Default: 1024, about five chunks. A query that comes while
    /// documents are embedded waits for one batch: a quarter of a second of a server core. Fewer tokens fill
    /// panels less well: at 512 about 2 % of the work is lost.
    pub batch_tokens: usize,
}

impl Default for LocalEmbedderOptions {
    fn default() -> Self {
        Self {
            name: "all-MiniLM-L6-v2".to_owned(),
            version: "1".to_owned(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            batch_tokens: 1024,
        }
    }
}

/// A model in memory and the threads that run it. Dropping it ends the threads.
pub struct LocalEmbedder {
    model: EmbedModel,
    batch_tokens: usize,
    workers: Workers,
}

impl LocalEmbedder {
    /// Loads the model in `folder` (`config.json`, `tokenizer.json`, `model.safetensors`, and where they are
    /// there `sentence_bert_config.json`, `modules.json` and the pooling's `config.json`). Blocks for some
    /// tenths of a second.
    ///
    /// # Errors
    ///
    /// The folder holds no usable model.
    pub fn load(folder: &Path, options: LocalEmbedderOptions) -> Result<Self, ModelError> {
        let config = ModelConfig::load(folder)?;
        let tokenizer = Arc::new(truncating_tokenizer(folder, &config)?);
        let model = EmbedModel {
            name: options.name,
            version: options.version,
            dim: config.hidden,
            max_tokens: config.max_tokens,
        };
        let encoder = Arc::new(Encoder::load(folder, config, Isa::best())?);
        let make = move || encode_batches(Arc::clone(&encoder), Arc::clone(&tokenizer));
        let workers = Workers::start(options.threads.get(), make).map_err(ModelError::Threads)?;
        Ok(Self { model, batch_tokens: options.batch_tokens, workers })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &EmbedModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = Vec::with_capacity(texts.len());
        let batches = split(texts, self.model.max_tokens, self.batch_tokens);
        let answers: Vec<_> = batches.into_iter().map(|batch| self.workers.submit(batch, priority)).collect();
        for answer in answers {
            vectors.extend(answer.await.unwrap_or_else(|_gone| Err(crashed()))?);
        }
        Ok(vectors)
    }
}

/// Cuts texts, in their order, into batches of about `batch_tokens` tokens, going by their lengths in bytes:
/// the threads tokenise, so that callers, which are asynchronous, need not.
fn split(texts: Vec<String>, max_tokens: usize, batch_tokens: usize) -> Vec<Vec<String>> {
    /// Bytes of a token of English prose.
    const TOKEN_BYTES: usize = 4;
    let (mut batches, mut batch, mut tokens) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        let size = (text.len() / TOKEN_BYTES + 2).min(max_tokens);
        if tokens + size > batch_tokens && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        tokens += size;
        batch.push(text);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// The model's tokenizer, set to cut texts at its limit, once it is clear that it fits the model.
fn truncating_tokenizer(folder: &Path, config: &ModelConfig) -> Result<Tokenizer, ModelError> {
    let invalid = |reason: String| ModelError::invalid("tokenizer.json", reason);
    let mut tokenizer = load_tokenizer(folder)?;
    let last = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    if last as usize >= config.vocabulary {
        return Err(invalid(format!("it has a token {last}, the model only {} of them", config.vocabulary)));
    }
    let bare = tokenizer.encode_fast("", true).map_err(|error| invalid(error.to_string()))?;
    if bare.is_empty() || bare.len() >= config.max_tokens {
        return Err(invalid(format!("it adds {} special tokens to a text", bare.len())));
    }
    let truncation = TruncationParams { max_length: config.max_tokens, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| invalid(error.to_string()))?;
    Ok(tokenizer)
}

/// One thread's work: tokenise, then encode.
fn encode_batches(encoder: Arc<Encoder>, tokenizer: Arc<Tokenizer>) -> Work {
    let mut scratch = encoder.scratch();
    Box::new(move |texts: &[String]| -> Vectors {
        let ids = texts.iter().map(|text| tokenizer.encode_fast(text.as_str(), true).map(|it| it.get_ids().to_vec()));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_error| untokenisable())?;
        Ok(encoder.encode(&ids, &mut scratch))
    })
}

/// The tokenizer's own words could quote the text.
fn untokenisable() -> Failure {
    let message = "the embedding model's tokenizer cannot read a passage; check the model's tokenizer.json";
    Failure::new(Code::EmbedTokenizer, message)
}
