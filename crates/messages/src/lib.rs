//! The JSON bodies of the HTTP contract, shared by the server, the command-line client and `app check`. Times are RFC 3339, UTC.
//!
//! *Must not know:* how a body is made or sent: no HTTP, no database. A field here is a promise to every client, so it is
//! added, never renamed.

mod documents;
mod estimate;
mod jobs;
mod judgements;
mod names;
mod number;
mod page;
mod probes;
mod problem;
mod search;
mod uploads;
mod usage;
mod webhook;

pub use documents::{
    BoxView, ChunkView, DeletionReceipt, DocumentPatch, DocumentView, ReplacementAccepted, VersionView,
};
pub use estimate::{Estimates, FileEstimate, ForeseenFailure};
pub use jobs::{EventView, JobView, Progress, RetryManyAnswer, RetryManyRequest, RetryRequest, SkippedJob};
pub use judgements::{JudgementRequest, JudgementView, Verdict};
pub use names::{
    Binary, EventTypeName, FailedName, FileForm, KindName, LastError, OneFileForm, ReceiptState, ResumeName,
    SeverityName, StateName, StatusName, VersionStateName,
};
pub use page::{
    Page, PageOfChunkView, PageOfDocumentView, PageOfEventView, PageOfJobView, PageOfJudgementView, PageOfVersionView,
};
pub use probes::{Health, VersionInfo};
pub use problem::Problem;
pub use search::{Expand, Hit, SearchMode, SearchRequest, SearchResponse, TermsRequest, TermsResponse};
pub use uploads::{DocumentsAccepted, FileOutcome, TextRequest, UploadAccepted, UploadRequest};
pub use usage::{Bought, DayCap, Usage, UsageOfDay};
pub use webhook::WebhookTaken;

/// The path that every route begins with.
pub const BASE_PATH: &str = "/api/upload-pipeline";

/// An address or path of the API without the base path, which may be part of it, and without a slash at its end.
pub fn api_root(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix(BASE_PATH).unwrap_or(url)
}
