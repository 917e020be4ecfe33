//! Jobs and their timelines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::number;
use crate::names::{EventTypeName, FailedName, LastError, ResumeName, SeverityName, StateName, StatusName};
use domain::{State, Status, money::Cents};

/// How to retry a job; the body may be empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The status to go on from, no further than the job had come; the last good checkpoint when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ResumeName>)]
    pub from: Option<String>,
}

/// Which jobs to retry: those named, or all of the caller's that failed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryManyRequest {
    /// These jobs; 100 at most.
    #[schema(max_items = 100)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_ids: Vec<Uuid>,
    /// All failed jobs, a batch a call.
    #[serde(default)]
    #[schema(default = false)]
    pub all: bool,
    /// With `all`: only those whose last failure has this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `all`: only those at this status, a `failed_*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FailedName>)]
    pub status: Option<String>,
    /// With `all`: not those that failed, but those whose complete document was read here by readers of a version below
    /// this (`record.reader_version`; 1 without a record). They are read again at low priority, and can be searched as they are
    /// until the new reading is complete. Where each goes on from is `uploaded` then, if `from` does not say otherwise.
    #[serde(default, deserialize_with = "number::whole_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub reader_before: Option<u32>,
    /// Where each goes on from, as for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ResumeName>)]
    pub from: Option<String>,
    /// Change nothing, and answer what would be queued.
    #[serde(default)]
    #[schema(default = false)]
    pub dry_run: bool,
    /// With `all`: `next_cursor` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Uuid>,
}

/// The result of a batch.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct RetryManyAnswer {
    /// Whether nothing was changed.
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
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SkippedJob {
    /// The job.
    pub job_id: Uuid,
    /// Why, as an error code.
    pub code: String,
}

/// How far a job has come, from counted rows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Of the current stage, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    pub stage_pct: f64,
    /// Of the whole job, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    pub total_pct: f64,
    /// Pages of the document, once the parser has counted them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<i64>,
    /// Pages read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages_read: Option<i64>,
    /// How fast pages were read last, where that took a while.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages_per_second: Option<f64>,
    /// Chunks stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chunks: Option<i64>,
    /// Chunks with a vector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub embedded: Option<i64>,
    /// Those of them whose vector was taken from an equal passage of another document of the user, and cost nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reused: Option<i64>,
    /// Of a version that replaces another, or of a new reading: chunks that kept the vector of the same text there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept: Option<i64>,
}

/// A job: the processing of a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub job_id: Uuid,
    /// The document.
    pub document_id: Uuid,
    /// The file name of the version that it makes.
    pub filename: String,
    /// The version of the document that it makes; null: the first, or whichever was active.
    #[serde(default)]
    #[schema(required, minimum = 1)]
    pub version_no: Option<i32>,
    /// The checkpoint.
    #[schema(value_type = StatusName)]
    pub status: String,
    /// Who has it; `done`, `deadletter` and `cancelled` are terminal.
    #[schema(value_type = StateName)]
    pub state: String,
    /// Whether nothing more will happen by itself.
    pub terminal: bool,
    /// Failed tries since the last checkpoint.
    #[schema(minimum = 0)]
    pub retry_count: i32,
    /// Counts.
    pub progress: Progress,
    /// What providers charged, in US cents; null: there was no price for a part of it.
    #[serde(default)]
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub cost_cents: Option<Cents>,
    /// What providers may charge beside, in US cents: for requests without an answer, on their way or for good; null in the same
    /// way.
    #[serde(default)]
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub uncertain_cents: Option<Cents>,
    /// The last failure: code, message, class, checkpoint, and `first`.
    #[schema(required, value_type = Option<LastError>)]
    pub last_error: Option<Value>,
    /// Lower goes first.
    pub priority: i16,
    /// The next try or look, while it waits.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[schema(required)]
    pub run_at: Option<OffsetDateTime>,
    /// Until then its bytes may come; null unless it waits for the bytes.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[schema(required)]
    pub upload_expires_at: Option<OffsetDateTime>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When a worker first claimed it.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[schema(required)]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[schema(required)]
    pub finished_at: Option<OffsetDateTime>,
}

impl JobView {
    /// The checkpoint, where this build knows it.
    pub fn known_status(&self) -> Option<Status> {
        self.status.parse().ok()
    }

    /// Who has the job, where this build knows the state.
    pub fn known_state(&self) -> Option<State> {
        self.state.parse().ok()
    }
}

/// One event of a job's timeline.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Ascending within a job; the id of the server-sent event.
    pub seq: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub ts: OffsetDateTime,
    /// What kind of thing.
    #[serde(rename = "type")]
    #[schema(value_type = EventTypeName)]
    pub kind: String,
    /// `info`, `warn` or `error`.
    #[schema(value_type = SeverityName)]
    pub severity: String,
    /// Status or failure code.
    pub code: String,
    /// Counts, durations, messages.
    #[schema(required, value_type = Option<Object>)]
    pub payload: Option<Value>,
}
