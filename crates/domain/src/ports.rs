//! What a test cannot own: other people's services, and what may one day be one.
//!
//! Implementations live in the crates `readers`, `chunker`, `embedder` and `providers`. Every error says its code, its class and, in its
//! text, what to do; none carries document text, secrets or storage paths.

mod file_kind;
mod remote_parser;

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::{Failure, signing_keys::KeySet};

pub use file_kind::FileKind;
pub use remote_parser::{Callback, RemoteParser, RemoteState, RemoteText, StartFailed};

/// Bytes on their way; an `Err` item ends them.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What was stored by [`ObjectStore::put`], as counted on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Size in bytes.
    pub bytes_len: u64,
    /// SHA-256 as 64 lower-case hex digits.
    pub sha256: String,
}

/// Keeps the bytes of documents. Keys are made by us from ids, never from file names.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Streams `body` to `key`, never holding it whole, and hashes it on the way.
    /// Nothing is left at `key` when `body` fails, or is longer than `max_bytes` (0: no limit).
    async fn put(&self, key: &str, body: ByteStream, max_bytes: u64) -> Result<StoredObject, Failure>;
    /// Copies the object to the file `to`, hashing on the way; `None` when there is no such object.
    async fn fetch(&self, key: &str, to: &Path) -> Result<Option<StoredObject>, Failure>;
    /// The object's size in bytes; `None` when there is no such object.
    async fn head(&self, key: &str) -> Result<Option<u64>, Failure>;
    /// Deletes the object; one that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), Failure>;
    /// A URL that takes a PUT of the bytes without going through us; `None` where the store cannot sign.
    async fn signed_put_url(&self, key: &str, expires_in: Duration) -> Result<Option<url::Url>, Failure>;
}

/// Bounds for one parse; passing one is a failure that names it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ParseLimits {
    /// Pages (slides, sheets); 0 = no limit.
    pub max_pages: u32,
    /// Address space of the child process, in bytes.
    pub memory_bytes: u64,
    /// Wall time and CPU time, each.
    pub time: Duration,
    /// Markdown that may come back, in bytes.
    pub output_bytes: u64,
}

/// A document as markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDocument {
    /// Markdown; each page begins with the line that [`page_marker`] gives, where the format has pages.
    pub markdown: String,
    /// Pages, slides or sheets; 0 where the format has none.
    pub pages: u32,
    /// What the file turned out to be.
    pub kind: FileKind,
}

/// The line that stands before the text of page `page` (the first is 1) in parsed markdown.
pub fn page_marker(page: u32) -> String {
    format!("<!-- page {page} -->")
}

/// Turns a file into markdown, here and now.
#[async_trait]
pub trait Parser: Send + Sync {
    /// For `documents.parser` and events: `local`, `llamaparse`.
    fn name(&self) -> &'static str;
    /// Parses the file at `path`. `mime` and `filename` are what the client declared: hints for text
    /// formats, and a failure `type_mismatch` when the content contradicts them.
    async fn parse(
        &self,
        path: &Path,
        mime: &str,
        filename: &str,
        limits: ParseLimits,
    ) -> Result<ParsedDocument, Failure>;
}

/// One piece of a document, fit for the embedder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The passage as a reader sees it: markdown without page markers, never empty.
    pub text: String,
    /// The headings above it, outermost first, joined by ` > `; empty where there are none.
    pub heading: String,
    /// First page it stands on (from 1); `None` where the format has no pages.
    pub page_first: Option<i32>,
    /// Last page it stands on.
    pub page_last: Option<i32>,
    /// Tokens of what is embedded ([`Chunk::embed_text`]), without the model's special tokens.
    pub token_count: i32,
}

impl Chunk {
    /// What the embedder reads: the headings, then the passage.
    pub fn embed_text(heading: &str, text: &str) -> String {
        if heading.is_empty() { text.to_owned() } else { format!("{heading}\n{text}") }
    }
}

/// Cuts markdown into chunks. Deterministic: the same text gives the same chunks.
pub trait Chunker: Send + Sync {
    /// For `chunker_name`.
    fn name(&self) -> &'static str;
    /// For `chunker_version`: changes whenever the same text would be cut differently.
    fn version(&self) -> &'static str;
    /// Cuts `markdown`, in order of the text. CPU-bound; call it where that is fine.
    fn chunk(&self, markdown: &str) -> Result<Vec<Chunk>, Failure>;
}

/// An embedding model, as rows name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedModel {
    /// For `embed_model`, for example `all-MiniLM-L6-v2`.
    pub name: String,
    /// For `embed_version`.
    pub version: String,
    /// Components of a vector.
    pub dim: usize,
    /// Tokens that the model reads of one text, its special tokens included.
    pub max_tokens: usize,
}

/// Who waits for a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedPriority {
    /// A person's query: goes before documents.
    Query,
    /// A document's chunk.
    Document,
}

/// Turns texts into unit-length vectors.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model in use.
    fn model(&self) -> &EmbedModel;
    /// One vector a text, in their order, each [`EmbedModel::dim`] long and of length 1.
    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure>;
}

/// Where what depends on the model comes from. It may not be there yet (its file is missing) and come later.
#[async_trait]
pub trait ModelSource: Send + Sync {
    /// The embedder, loaded at the first call that succeeds; a `Configuration` failure until then.
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure>;
    /// The chunker that fits the model's window, likewise.
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure>;
}

/// Where the issuer of users' tokens publishes its public keys.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key set as it is published now. Answers within seconds, or fails with `keys_unavailable`.
    async fn fetch(&self) -> Result<KeySet, Failure>;
}
