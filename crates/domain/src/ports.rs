//! Traits for external services, and for parts that could become one, so that tests can replace them.
//!
//! The crates `readers`, `chunker`, `embedder` and `providers` implement them. Every error has a code and a class, and its
//! text states what to do; it contains no document text, secrets or storage paths.

mod embed_service;
mod estimator;
mod file_kind;
mod remote_parser;
mod reranker;

use std::{
    ops::{ControlFlow, Range},
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    Code, Failure,
    document::{Notice, PageBox},
    layout::Layout,
};

pub use embed_service::{Bought, BuyFailed, EmbedService, RequestBounds, invalid_vector};
pub use estimator::{Estimate, EstimateJob, Estimator};
pub use file_kind::FileKind;
pub use remote_parser::{Callback, RemoteParser, RemoteState, RemoteText, StartFailed};
pub use reranker::Reranker;

/// A stream of bytes; an `Err` item ends it.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// The size and hash of an object, computed while it was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Size in bytes.
    pub bytes_len: u64,
    /// SHA-256 as 64 lower-case hex digits.
    pub sha256: String,
}

/// An object that is being read.
pub struct OpenObject {
    /// Size of the whole object in bytes.
    pub bytes_len: u64,
    /// Changes whenever the object does. Visible ASCII without quotation marks.
    pub version: String,
    /// The bytes asked for.
    pub body: ByteStream,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// When it was last written.
    pub written_at: OffsetDateTime,
}

/// The key of one byte, which probes write and delete.
const PROBE_KEY: &str = "health/probe";

/// Stores the bytes of documents. Keys are derived from ids, never from file names.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Streams `body` to `key`, without holding all of it in memory, and hashes it.
    /// Leaves nothing at `key` if `body` fails, or is longer than `max_bytes` (0: no limit).
    async fn put(&self, key: &str, body: ByteStream, max_bytes: u64) -> Result<StoredObject, Failure>;
    /// Copies the object to the file `to` and hashes it; `None` if there is no object at `key`.
    async fn fetch(&self, key: &str, to: &Path) -> Result<Option<StoredObject>, Failure>;
    /// Opens the object, or the bytes `range` of it, which must lie within it; `None` if there is no object at `key`.
    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<OpenObject>, Failure>;
    /// The object's size in bytes; `None` if there is no object at `key`.
    async fn head(&self, key: &str) -> Result<Option<u64>, Failure>;
    /// The store's id of the object's version; `None` if it keeps no older versions, or there is no object at `key`.
    async fn version(&self, key: &str) -> Result<Option<String>, Failure>;
    /// The first `limit` objects in the folder `prefix` whose keys are greater than `after`, ascending.
    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<ListedObject>, Failure>;
    /// Deletes the object. Succeeds if there is none.
    async fn delete(&self, key: &str) -> Result<(), Failure>;
    /// Fails as the writing of an object would; leaves nothing.
    async fn try_write(&self) -> Result<(), Failure> {
        let body = futures_util::stream::iter([std::io::Result::Ok(Bytes::from_static(b"."))]);
        self.put(PROBE_KEY, Box::pin(body), 0).await?;
        self.delete(PROBE_KEY).await
    }
    /// A URL to which a client can PUT the bytes directly; `None` if the store cannot sign.
    async fn signed_put_url(&self, key: &str, expires_in: Duration) -> Result<Option<url::Url>, Failure>;
}

/// Limits for one parse. A failure names the limit that was exceeded.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ParseLimits {
    /// Pages (slides, sheets); 0 = no limit.
    pub max_pages: u32,
    /// Address space of the child process, in bytes.
    pub memory_bytes: u64,
    /// Processor time; and the time by the clock in which the parser may do next to nothing.
    pub time: Duration,
    /// Size of the markdown, in bytes.
    pub output_bytes: u64,
}

/// A document as markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDocument {
    /// Markdown. If the format has pages, each one begins with the line of [`page_marker`].
    pub markdown: String,
    /// Pages, slides or sheets; 0 if the format has none.
    pub pages: u32,
    /// The detected kind of the file.
    pub kind: FileKind,
    /// What the text does not hold, or holds with a doubt.
    pub notices: Vec<Notice>,
    /// Where its lines stand on the pages.
    pub layout: Layout,
}

impl ParsedDocument {
    /// How sure OCR is of the letters that it has read, 0 to 100; `None`: it has read none.
    pub fn ocr_sureness(&self) -> Option<u8> {
        self.notices.iter().find_map(|notice| match notice {
            Notice::OcrPages { sure, .. } | Notice::OcrPictures { sure, .. } => Some(*sure),
            _ => None,
        })
    }
}

/// Letters that a remote parser counts as a page of a format without pages, about.
const LETTERS_OF_A_PAGE: usize = 2000;

impl ParsedDocument {
    /// The pages that a remote parser would charge for; of a format without pages, by the length of the text.
    pub fn billed_pages(&self) -> u32 {
        match self.pages {
            0 => u32::try_from(self.markdown.chars().count().div_ceil(LETTERS_OF_A_PAGE)).unwrap_or(u32::MAX).max(1),
            pages => pages,
        }
    }
}

/// The line before the text of page `page` (the first is 1) in parsed markdown.
pub fn page_marker(page: u32) -> String {
    format!("<!-- page {page} -->")
}

/// A file to parse.
pub struct ParseJob<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The media type that the client declared. It and `filename` are hints for text formats; a contradicting content is a
    /// failure `type_mismatch`.
    pub mime: &'a str,
    /// The name that the client gave it.
    pub filename: &'a str,
    /// What it may take.
    pub limits: ParseLimits,
    /// Whether every page is read by OCR, also those with text.
    pub ocr: bool,
    /// The pages that OCR has read before.
    pub known: Vec<OcrPage>,
    /// Is told of pages.
    pub watch: &'a dyn ParseWatch,
}

impl<'a> ParseJob<'a> {
    /// A file of which nothing is known yet.
    pub fn new(path: &'a Path, mime: &'a str, filename: &'a str, limits: ParseLimits) -> Self {
        Self { path, mime, filename, limits, ocr: false, known: Vec::new(), watch: &Unwatched }
    }
}

/// A page that OCR has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcrPage {
    /// Its number, from 1.
    pub page: u32,
    /// What was read, as JSON that only the parser knows.
    pub text: Vec<u8>,
}

/// Is told how far a parse is.
#[async_trait]
pub trait ParseWatch: Send + Sync {
    /// `read` of `pages` pages are read; `ocr` is the last of them, if OCR read it just now. `Break` stops the parser.
    async fn page(&self, read: u32, pages: u32, ocr: Option<OcrPage>) -> ControlFlow<()>;
}

/// Watches nothing.
#[derive(Debug)]
pub struct Unwatched;

#[async_trait]
impl ParseWatch for Unwatched {
    async fn page(&self, _read: u32, _pages: u32, _ocr: Option<OcrPage>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Parses a file to markdown on this machine.
#[async_trait]
pub trait Parser: Send + Sync {
    /// For `documents.parser` and events: `local`, `llamaparse`.
    fn name(&self) -> &'static str;
    /// Parses the file; `None` if its watch has stopped it.
    async fn parse(&self, job: ParseJob<'_>) -> Result<Option<ParsedDocument>, Failure>;
}

/// Shows pages of files as pictures.
#[async_trait]
pub trait PagePictures: Send + Sync {
    /// Page `page`, from 1, of the file at `path` as PNG, with `boxes` marked on it.
    async fn picture(&self, path: &Path, page: u32, boxes: &[PageBox]) -> Result<Vec<u8>, Failure>;
}

/// A piece of a document that fits the embedder.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The passage as a reader sees it: markdown without page markers, never empty.
    pub text: String,
    /// The headings above it, outermost first, joined by ` > `; empty if there are none.
    pub heading: String,
    /// Its first page, from 1; `None` if the format has no pages.
    pub page_first: Option<i32>,
    /// Its last page.
    pub page_last: Option<i32>,
    /// What is printed on its first page as the number; `None`: the number itself, or unknown.
    pub page_label: Option<String>,
    /// Where it stands on its pages; empty if unknown.
    pub boxes: Vec<PageBox>,
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
    /// Cuts `markdown`, whose lines stand as `layout` says, in order of the text. The layout changes no text. CPU-bound;
    /// call it where that is fine.
    fn chunk(&self, markdown: &str, layout: &Layout) -> Result<Vec<Chunk>, Failure>;
}

/// An embedding model, with the names that rows store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedModel {
    /// For `embed_model`, for example `all-MiniLM-L6-v2`.
    pub name: String,
    /// For `embed_version`.
    pub version: String,
    /// Components of a vector.
    pub dim: usize,
    /// Tokens of one text that the model reads, including its special tokens.
    pub max_tokens: usize,
}

/// A model of which vectors are stored, and who computes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedModel {
    /// As in `embed_model`.
    pub name: String,
    /// As in `embed_version`.
    pub version: String,
    /// Components of a vector.
    pub dim: usize,
    /// `local`, or a service.
    pub provider: String,
}

/// The priority of a text to embed, and which of the model's prompts goes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedPriority {
    /// A person's question: goes before documents, with the model's prompt for questions.
    Query,
    /// A document's chunk, with the model's prompt for passages.
    Document,
}

/// Turns texts into unit-length vectors.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model in use.
    fn model(&self) -> &EmbedModel;
    /// One vector for each text, in the same order, with [`EmbedModel::dim`] components and of length 1.
    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure>;
    /// The service that computes the vectors for money; `None`: this machine does.
    fn service(&self) -> Option<&dyn EmbedService> {
        None
    }
}

/// Loads the model. Its file may be missing at first and appear later. During a change of model there are two.
#[async_trait]
pub trait ModelSource: Send + Sync {
    /// The embedder, loaded at the first call that succeeds; a `Configuration` failure until then.
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure>;
    /// The chunker that fits the model's window, loaded in the same way.
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure>;
    /// The embedder of a model beside the active one, loaded in the same way. A source of one model refuses.
    async fn embedder_of(&self, model: &NamedModel) -> Result<Arc<dyn Embedder>, Failure> {
        Err(Failure::new(Code::ModelMissing, format!("The embedding model {} is not known here.", model.name)))
    }
}
