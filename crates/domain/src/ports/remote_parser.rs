//! A parser that is somebody else's service: it is handed a file, takes its time, and charges for it.

use std::path::Path;

use async_trait::async_trait;
use url::Url;

use crate::Failure;

/// Where a provider says that a job of its has ended, and by what it proves who it is.
#[derive(Clone)]
pub struct Callback {
    /// What it POSTs to; holds a token, so it is never logged.
    pub url: Url,
    /// The header that it sends along.
    pub header: &'static str,
    /// That header's value; secret.
    pub secret: String,
}

/// A job was not begun, as far as is known.
#[derive(Debug, Clone)]
pub struct StartFailed {
    /// What went wrong.
    pub failure: Failure,
    /// Whether the provider may have begun it all the same: its answer was not heard.
    pub uncertain: bool,
}

/// How a provider's job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteState {
    /// It waits or runs.
    Waiting,
    /// Its answer can be fetched.
    Ready,
    /// It ended without one; the provider's reason, short and fit to print.
    Failed(String),
    /// The provider knows no such job, or none any more.
    Gone,
}

/// A provider's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteText {
    /// Markdown; each page begins with the line that [`page_marker`](super::page_marker) gives.
    pub markdown: String,
    /// Pages of the document, those included that could not be read.
    pub pages: u32,
    /// The pages that the provider could not read, counted from 1.
    pub unread: Vec<u32>,
}

/// Hands files to a provider and asks for their markdown. No call waits for the parse.
#[async_trait]
pub trait RemoteParser: Send + Sync {
    /// For `documents.parser` and `provider_calls.provider`: `llamaparse`.
    fn name(&self) -> &'static str;
    /// Sends the file, streamed from the disk, under a name of ours; the provider's id of it. Costs nothing yet.
    async fn upload(&self, file: &Path, name: &str, mime: &str) -> Result<String, Failure>;
    /// Begins to parse an uploaded file, which is what costs; the provider's id of the job.
    async fn start(&self, file_id: &str, callback: Option<&Callback>) -> Result<String, StartFailed>;
    /// How the job stands.
    async fn get_state(&self, job: &str) -> Result<RemoteState, Failure>;
    /// The answer of a job that is ready, no longer than `max_bytes`; `None`: the provider does not have it any more.
    async fn fetch(&self, job: &str, max_bytes: u64) -> Result<Option<RemoteText>, Failure>;
    /// Asks something that costs nothing; whether the provider takes our key.
    async fn probe(&self) -> Result<(), Failure>;
}
