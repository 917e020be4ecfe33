//! Jobs and their timelines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

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
    pub reasons: BTreeMap<String, u64>,
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
