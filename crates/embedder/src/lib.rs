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
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use domain::{
    Code, Failure,
    ports::{EmbedModel, EmbedPriority, Embedder},
};

use self::{
    config::{ModelConfig, Prompts},
    encoder::{Encoder, Numbers},
    isa::Isa,
    tokenizer::ModelTokenizer,
    workers::{Vectors, Work, Workers, crashed},
};

mod attention;
mod attention8;
mod config;
mod encoder;
mod error;
mod isa;
mod local_model;
mod math;
mod panels;
mod product;
mod quantised;
mod tensors;
mod tokenizer;
mod unigram;
mod workers;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use encoder::Precision;
pub use local_model::{LocalModel, LocalModelOptions};

/// The approximate number of tokens in a batch, which holds at least one text: about five chunks. A query waits at most for
/// one batch of documents, a quarter of a second on a server core. Smaller batches leave more of their last panel unused: 512
/// tokens cost about 2 % more work.
const BATCH_TOKENS: usize = 1024;

/// A model in memory and the threads that run it. Dropping it stops the threads.
pub struct LocalEmbedder {
    model: EmbedModel,
    prompts: Prompts,
    kernel: &'static str,
    workers: Workers,
}

impl LocalEmbedder {
    /// Loads the model in `folder`: `config.json`, `tokenizer.json` and `model.safetensors`, and if they exist
    /// `sentence_bert_config.json`, `modules.json`, `config_sentence_transformers.json` and the pooling's `config.json`.
    /// Blocks for some tenths of a second.
    /// Rows store its vectors with `name` and `version`.
    ///
    /// # Errors
    ///
    /// The folder contains no usable model.
    pub fn load(
        folder: &Path,
        name: &str,
        version: &str,
        precision: Precision,
        threads: NonZeroUsize,
    ) -> Result<Self, Failure> {
        let config = ModelConfig::load(folder)?;
        let tokenizer = Arc::new(ModelTokenizer::load(folder, &config)?);
        let prompts = Prompts::load(folder)?;
        let model = EmbedModel {
            name: name.to_owned(),
            version: version.to_owned(),
            dim: config.hidden_size,
            max_tokens: config.max_tokens,
        };
        let numbers = Numbers::of(precision);
        let kernel = numbers.name();
        let encoder = Arc::new(Encoder::load(folder, config, Isa::best(), numbers)?);
        let make = move || encode_batches(Arc::clone(&encoder), Arc::clone(&tokenizer));
        let workers = Workers::start(threads.get(), make).map_err(no_thread)?;
        Ok(Self { model, prompts, kernel, workers })
    }
}

impl LocalEmbedder {
    /// For the log: the instructions of the products in 8 bits, or `f32`.
    pub fn kernel(&self) -> &'static str {
        self.kernel
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &EmbedModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = Vec::with_capacity(texts.len());
        let prompt = self.prompts.of(priority);
        let texts = texts.into_iter().map(|text| prepare(prompt, text)).collect();
        let batches = split(texts, self.model.max_tokens);
        for answer in self.workers.submit(batches, priority) {
            vectors.extend(answer.await.unwrap_or_else(|_gone| Err(crashed()))?);
        }
        Ok(vectors)
    }
}

/// What the model reads: the text in Unicode's composed form (NFC), after the model's prompt. Tokenizers know a letter with
/// its accent as one character; many PDFs have two.
fn prepare(prompt: &str, text: String) -> String {
    let composed = is_nfc_quick(text.chars()) == IsNormalized::Yes;
    if composed && prompt.is_empty() { text } else { prompt.chars().chain(text.nfc()).collect() }
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

fn no_thread(error: std::io::Error) -> Failure {
    let message =
        format!("couldn't start an encoder thread ({error}); raise the limit on threads, or set fewer encoder threads");
    Failure::new(Code::ModelThreads, message)
}

/// Makes the work of one thread: tokenise the texts, then encode them.
fn encode_batches(encoder: Arc<Encoder>, tokenizer: Arc<ModelTokenizer>) -> Work {
    let mut scratch = encoder.scratch();
    Box::new(move |texts: &[String]| -> Vectors {
        let ids = texts.iter().map(|text| tokenizer.encode(text));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_error| untokenisable())?;
        Ok(encoder.encode(&ids, &mut scratch))
    })
}

/// The tokenizer's error is left out, since it could quote the text.
fn untokenisable() -> Failure {
    let message = "the embedding model's tokenizer cannot read a passage; check the model's tokenizer.json";
    Failure::new(Code::EmbedTokenizer, message)
}
