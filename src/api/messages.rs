//! What goes over the wire, for the server and for our own clients. Times are RFC 3339, UTC.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// `POST /upload`: announces an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadRequest {
    /// What the person calls the file; never used as a path.
    pub filename: String,
    /// Size in bytes.
    pub bytes_len: u64,
    /// Media type.
    pub mime: String,
    /// SHA-256 of the bytes, 64 hex digits.
    pub sha256: String,
    /// Whether a parser that can should read images; kept for later parsers.
    #[serde(default)]
    pub ocr: bool,
}

/// 201 answer to [`UploadRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadAccepted {
    /// The job to watch.
    pub job_id: Uuid,
    /// The document it will become.
    pub document_id: Uuid,
    /// PUT the bytes here.
    pub signed_url: String,
    /// The last moment for that.
    #[serde(with = "time::serde::rfc3339")]
    pub upload_expires_at: OffsetDateTime,
}

/// `POST /documents` as JSON: text without a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRequest {
    /// Becomes the file name, with `.md`.
    pub title: String,
    /// Markdown or plain text.
    pub text: String,
}

/// 202 answer to `POST /documents`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocumentsAccepted {
    /// One entry a file, in the order of the request.
    pub documents: Vec<FileOutcome>,
}

/// What became of one file of `POST /documents`: ids, or the problem. A duplicate has both: the problem, and the ids of
/// the document that is there already.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileOutcome {
    /// The name it came with.
    pub filename: String,
    /// The job to watch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_id: Option<Uuid>,
    /// The document.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document_id: Option<Uuid>,
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// `application/problem+json` (RFC 9457) with our stable `code`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Short name of the HTTP status.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable, `snake_case`; docs/errors.md lists them.
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
    /// The job that stands in the way, for a conflict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_id: Option<Uuid>,
    /// The document that stands in the way, for a conflict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document_id: Option<Uuid>,
    /// The id of the request, to find it in the logs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<Uuid>,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// Newest first, unless the route says otherwise.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

/// `POST /jobs/{id}/retry`; an empty body will do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The status to go on from, no further than the job had come; the last good checkpoint when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// `POST /jobs/retry`: the jobs named, or all of the caller's that failed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryManyRequest {
    /// These jobs; 100 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_ids: Vec<Uuid>,
    /// All failed jobs, a batch a call.
    #[serde(default)]
    pub all: bool,
    /// With `all`: only those whose last failure has this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `all`: only those at this status, a `failed_*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// As in [`RetryRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Changes nothing, and says what would be queued.
    #[serde(default)]
    pub dry_run: bool,
    /// With `all`: `next_cursor` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Uuid>,
}

/// Answer to [`RetryManyRequest`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetryManyAnswer {
    /// Whether this only says what would be.
    pub dry_run: bool,
    /// Jobs queued in this call.
    pub queued: u64,
    /// Jobs left out in this call.
    pub skipped: Vec<SkippedJob>,
    /// How many of those by code.
    pub reasons: std::collections::BTreeMap<String, u64>,
    /// Give it as `cursor` for the next batch; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<Uuid>,
}

/// A job that was not queued again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkippedJob {
    /// The job.
    pub job_id: Uuid,
    /// Why, as an error code.
    pub code: String,
}

/// How far a job has come, from counted rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// Of the stage in hand, 0 to 100.
    pub stage_pct: f64,
    /// Of the whole job, 0 to 100.
    pub total_pct: f64,
    /// Pages of the document, once parsed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<i64>,
    /// Chunks stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chunks: Option<i64>,
    /// Chunks with a vector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub embedded: Option<i64>,
}

/// `GET /jobs/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub job_id: Uuid,
    /// The document.
    pub document_id: Uuid,
    /// The document's file name.
    pub filename: String,
    /// The checkpoint.
    pub status: String,
    /// Who has it; `done`, `deadletter` and `cancelled` are terminal.
    pub state: String,
    /// Whether nothing more will happen by itself.
    pub terminal: bool,
    /// Failed tries since the last checkpoint.
    pub retry_count: i32,
    /// Counts.
    pub progress: Progress,
    /// What providers charged, in US cents.
    pub cost_cents: f64,
    /// The last failure: code, message, class, checkpoint, and `first`.
    pub last_error: Option<Value>,
    /// Lower goes first.
    pub priority: i16,
    /// The next try or look, while it waits.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub run_at: Option<OffsetDateTime>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When a worker first claimed it.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub finished_at: Option<OffsetDateTime>,
}

/// One line of `GET /jobs/{id}/events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventView {
    /// Ascending within a job; the id of the server-sent event.
    pub seq: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub ts: OffsetDateTime,
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// `info`, `warn` or `error`.
    pub severity: String,
    /// Status or failure code.
    pub code: String,
    /// Counts, durations, messages.
    pub payload: Option<Value>,
}

/// `GET /documents/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocumentView {
    /// Its id.
    pub document_id: Uuid,
    /// As the client named it.
    pub filename: String,
    /// Declared media type.
    pub mime: String,
    /// Size in bytes.
    pub bytes_len: i64,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// The status of its latest job.
    pub processing_status: Option<String>,
    /// What the file is by its content, once parsed.
    pub kind: Option<String>,
    /// Pages, once parsed.
    pub page_count: Option<i32>,
    /// Chunks stored.
    pub chunks: i64,
    /// Its latest job.
    pub job_id: Option<Uuid>,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// One item of `GET /documents/{id}/chunks`, in order of the text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChunkView {
    /// Its id.
    pub chunk_id: Uuid,
    /// Its place, from 0.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// First page, where there are pages.
    pub page_first: Option<i32>,
    /// Last page.
    pub page_last: Option<i32>,
    /// Whether it has a vector.
    pub embedded: bool,
}

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By meaning.
    Vector,
    /// By words.
    Text,
    /// Both, fused by reciprocal rank.
    #[default]
    Hybrid,
}

/// `POST /search`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// A question or some words.
    pub query: String,
    /// Hits wanted, 1 to 50; 10 when absent.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Hybrid when absent.
    #[serde(default)]
    pub mode: SearchMode,
    /// Only in this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<Uuid>,
}

/// Answer to [`SearchRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// How it was searched.
    pub mode: SearchMode,
    /// The model of the vectors, where they took part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Time on the server, in milliseconds.
    pub took_ms: f64,
}

/// One hit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hit {
    /// The document.
    pub document_id: Uuid,
    /// Its file name.
    pub filename: String,
    /// The chunk.
    pub chunk_id: Uuid,
    /// Its place in the document.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// First page, where there are pages.
    pub page_first: Option<i32>,
    /// Last page.
    pub page_last: Option<i32>,
    /// The passage.
    pub text: String,
    /// Fragments of the passage, with `**` around the words that match.
    pub highlight: String,
    /// For ordering within this answer; not comparable across answers.
    pub score: f64,
    /// Place by meaning, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vector_rank: Option<u32>,
    /// Place by words, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_rank: Option<u32>,
}

/// 202 answer to `DELETE /documents/{id}`, and `GET /deletions/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeletionReceipt {
    /// The receipt.
    pub deletion_id: Uuid,
    /// The document, whose rows are gone already.
    pub document_id: Uuid,
    /// `pending` until every stored object is gone, then `done`.
    pub state: String,
    /// Objects not yet known to be gone.
    pub objects_pending: i64,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
}

/// `GET /health` and `/readyz`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// development, staging or production.
    pub environment: String,
    /// Now.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// Version of app.
    pub version: String,
    /// Commit it was built from.
    pub commit: String,
    /// Branch of that commit.
    pub branch: String,
    /// When it was built; null: unknown.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub built_at: Option<OffsetDateTime>,
    /// The newest migration that it knows.
    pub schema_version: i32,
    /// One entry a dependency: `ok`, or the reason.
    pub checks: std::collections::BTreeMap<String, String>,
}

/// `GET /version`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Version of app.
    pub version: String,
    /// Commit it was built from.
    pub commit: String,
    /// Branch of that commit.
    pub branch: String,
    /// When it was built; null: unknown.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub built_at: Option<OffsetDateTime>,
    /// The newest migration that it knows.
    pub schema_version: i32,
    /// development, staging or production.
    pub environment: String,
}
