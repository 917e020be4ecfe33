//! Turns texts into vectors on the CPU, with a sentence-transformers model of the BERT family.
//!
//! Each core runs one single-threaded encoder. The texts of a request are split into batches of about
//! 1024 tokens, and the encoder threads take batches of queries before those of documents.
//! Requests of documents take turns, batch by batch.
//! A batch is not padded, so it can hold texts of any lengths. The encoder is our own, in safe Rust; `panels.rs` explains
//! why it is fast. [`LocalModel`] loads the model and its chunker at first use.
//!
//! *Must not know:* the database, jobs, documents.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use async_trait::async_trait;
use tokenizers::{Tokenizer, TruncationParams};

use domain::{
    Code, Failure,
    ports::{EmbedModel, EmbedPriority, Embedder},
};

use self::{
    config::ModelConfig,
    encoder::Encoder,
    error::invalid,
    isa::Isa,
    workers::{Vectors, Work, Workers, crashed},
};

mod attention;
mod config;
mod encoder;
mod error;
mod isa;
mod local_model;
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

pub use local_model::{LocalModel, LocalModelOptions};
pub use tokenizer::load_tokenizer;

/// The approximate number of tokens in a batch, which holds at least one text: about five chunks. A query waits at most for
/// one batch of documents, a quarter of a second on a server core. Smaller batches leave more of their last panel unused: 512
/// tokens cost about 2 % more work.
const BATCH_TOKENS: usize = 1024;

/// A model in memory and the threads that run it. Dropping it stops the threads.
pub struct LocalEmbedder {
    model: EmbedModel,
    workers: Workers,
}

impl LocalEmbedder {
    /// Loads the model in `folder`: `config.json`, `tokenizer.json` and `model.safetensors`, and if they exist
    /// `sentence_bert_config.json`, `modules.json` and the pooling's `config.json`. Blocks for some tenths of a second.
    /// Rows store its vectors with `name` and `version`.
    ///
    /// # Errors
    ///
    /// The folder contains no usable model.
    pub fn load(folder: &Path, name: &str, version: &str, threads: NonZeroUsize) -> Result<Self, Failure> {
        let config = ModelConfig::load(folder)?;
        let tokenizer = Arc::new(truncating_tokenizer(folder, &config)?);
        let model = EmbedModel {
            name: name.to_owned(),
            version: version.to_owned(),
            dim: config.hidden_size,
            max_tokens: config.max_tokens,
        };
        let encoder = Arc::new(Encoder::load(folder, config, Isa::best())?);
        let make = move || encode_batches(Arc::clone(&encoder), Arc::clone(&tokenizer));
        let workers = Workers::start(threads.get(), make).map_err(no_thread)?;
        Ok(Self { model, workers })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &EmbedModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = Vec::with_capacity(texts.len());
        let batches = split(texts, self.model.max_tokens);
        for answer in self.workers.submit(batches, priority) {
            vectors.extend(answer.await.unwrap_or_else(|_gone| Err(crashed()))?);
        }
        Ok(vectors)
    }
}

/// Splits texts, in order, into batches. Tokens are estimated from bytes: the encoder threads
/// do the tokenising, which would block an asynchronous caller.
fn split(texts: Vec<String>, max_tokens: usize) -> Vec<Vec<String>> {
    /// The length of a token of English prose.
    const TOKEN_BYTES: usize = 4;
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut tokens = 0;
    for text in texts {
        let size = (text.len() / TOKEN_BYTES + 2).min(max_tokens);
        if tokens + size > BATCH_TOKENS && !batch.is_empty() {
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

/// Loads the model's tokenizer, checks that it fits the model, and sets it to truncate texts at the model's limit.
fn truncating_tokenizer(folder: &Path, config: &ModelConfig) -> Result<Tokenizer, Failure> {
    const FILE: &str = "tokenizer.json";
    let mut tokenizer = load_tokenizer(folder)?;
    let last = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    if last as usize >= config.vocab_size {
        return Err(invalid(
            FILE,
            format!("it has a token {last}, but the model has only {} tokens", config.vocab_size),
        ));
    }
    let special = tokenizer.encode_fast("", true).map_err(|error| invalid(FILE, error))?;
    if special.is_empty() || special.len() >= config.max_tokens {
        return Err(invalid(FILE, format!("it adds {} special tokens to a text", special.len())));
    }
    let truncation = TruncationParams { max_length: config.max_tokens, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| invalid(FILE, error))?;
    Ok(tokenizer)
}

fn no_thread(error: std::io::Error) -> Failure {
    let message =
        format!("couldn't start an encoder thread ({error}); raise the limit on threads, or set fewer encoder threads");
    Failure::new(Code::ModelThreads, message)
}

/// Makes the work of one thread: tokenise the texts, then encode them.
fn encode_batches(encoder: Arc<Encoder>, tokenizer: Arc<Tokenizer>) -> Work {
    let mut scratch = encoder.scratch();
    Box::new(move |texts: &[String]| -> Vectors {
        let ids = texts.iter().map(|text| tokenizer.encode_fast(text.as_str(), true).map(|it| it.get_ids().to_vec()));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_error| untokenisable())?;
        Ok(encoder.encode(&ids, &mut scratch))
    })
}

/// The tokenizer's error is left out, since it could quote the text.
fn untokenisable() -> Failure {
    let message = "the embedding model's tokenizer cannot read a passage; check the model's tokenizer.json";
    Failure::new(Code::EmbedTokenizer, message)
}
