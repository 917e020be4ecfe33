//! A parser that is an external service. It takes minutes and costs money.

use std::path::Path;

use async_trait::async_trait;
use url::Url;

use crate::Failure;

/// How a provider reports that a job has ended, and proves its identity.
#[derive(Clone)]
pub struct Callback {
    /// The URL to which it POSTs. It contains a token, so it is never logged.
    pub url: Url,
    /// The name of a header that it sends.
    pub header: &'static str,
    /// The value of the header; secret.
    pub secret: String,
}

/// Starting a job failed, as far as is known.
#[derive(Debug, Clone)]
pub struct StartFailed {
    /// What went wrong.
    pub failure: Failure,
    /// Whether the provider may have started it, because its answer did not arrive.
    pub uncertain: bool,
}

/// The state of a provider's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteState {
    /// It waits or runs.
    Waiting,
    /// Its answer can be fetched.
    Ready,
    /// It ended without one, for the provider's reason, which is short and can be printed.
    Failed(String),
    /// The provider does not know the job, or not any more.
    Gone,
}

/// A provider's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteText {
    /// Markdown. Each page begins with the line of [`page_marker`](super::page_marker).
    pub markdown: String,
    /// Pages of the document, including those that could not be read.
    pub pages: u32,
    /// The pages that the provider could not read, counted from 1.
    pub unread: Vec<u32>,
}

/// Sends files to a provider and fetches their markdown. No call waits for the parse.
#[async_trait]
pub trait RemoteParser: Send + Sync {
    /// For `documents.parser` and `provider_calls.provider`: `llamaparse`.
    fn name(&self) -> &'static str;
    /// Streams the file from the disk, under a generated name, and returns the provider's id of it. Costs nothing.
    async fn upload(&self, file: &Path, name: &str, mime: &str) -> Result<String, Failure>;
    /// Starts to parse an uploaded file, which costs money, and returns the provider's id of the job.
    async fn start(&self, file_id: &str, callback: Option<&Callback>) -> Result<String, StartFailed>;
    /// The state of the job.
    async fn get_state(&self, job: &str) -> Result<RemoteState, Failure>;
    /// The answer of a job that is ready, at most `max_bytes` long; `None` if the provider has deleted it.
    async fn fetch(&self, job: &str, max_bytes: u64) -> Result<Option<RemoteText>, Failure>;
    /// Makes a call that costs nothing, to find out whether the provider accepts the key.
    async fn probe(&self) -> Result<(), Failure>;
}
