//! Documents, their chunks and their deletion.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::names::{ReceiptState, StatusName, VersionStateName};
use domain::money::Cents;

/// A document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    /// The status of its active version: of its latest job, unless that makes another version.
    #[schema(required, value_type = Option<StatusName>)]
    pub processing_status: Option<String>,
    /// The number of its active version: the one that is searched, listed and downloaded.
    #[serde(default = "first_version")]
    #[schema(required, minimum = 1)]
    pub version_no: i32,
    /// What the file is by its content, once parsed.
    #[schema(required)]
    pub kind: Option<String>,
    /// Pages, once parsed.
    #[schema(required, minimum = 0)]
    pub page_count: Option<i32>,
    /// How its pages were read, and what its text does not hold; null until parsed, and for what an older build has parsed.
    #[schema(required)]
    pub record: Option<RecordView>,
    /// What the client says of it.
    #[serde(default)]
    #[schema(required, value_type = Object)]
    pub metadata: Value,
    /// Chunks stored.
    pub chunks: i64,
    /// Its latest job.
    #[schema(required)]
    pub job_id: Option<Uuid>,
    /// The state of that job; null: it has none.
    #[schema(required)]
    pub job_state: Option<String>,
    /// What providers charged for it, in US cents, in all its jobs; null: there was no price for a part of it.
    #[serde(default)]
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub cost_cents: Option<Cents>,
    /// What they may charge beside, in US cents: for requests without an answer, on their way or for good; null in the same way.
    #[serde(default)]
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub uncertain_cents: Option<Cents>,
    /// When it was uploaded.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

fn first_version() -> i32 {
    1
}

/// A version of a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    pub version_no: i32,
    /// `active`: it is searched, once it is complete; `replacing`: a job makes it; `previous`: it was active, and can be
    /// restored; `failed`: it never became complete.
    #[schema(value_type = VersionStateName)]
    pub state: String,
    /// As the client named it.
    pub filename: String,
    /// Size in bytes.
    pub bytes_len: i64,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// Pages, once parsed.
    #[schema(required, minimum = 0)]
    pub pages: Option<i32>,
    /// Passages stored.
    #[schema(minimum = 0)]
    pub passages: i64,
    /// The latest job that made it; null: that was removed.
    #[schema(required)]
    pub job_id: Option<Uuid>,
    /// When it was uploaded.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A job that makes another version of a document the active one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplacementAccepted {
    /// The job to watch.
    pub job_id: Uuid,
    /// The document, whose id stays.
    pub document_id: Uuid,
    /// The version that becomes active.
    #[schema(minimum = 1)]
    pub version_no: i32,
}

/// How a document was read. `read`, `ocr`, `empty` and `failed` add up to `pages`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// What read it.
    pub reader: String,
    /// The version of the readers then, to find what older ones have read; null before they had one.
    #[serde(default)]
    #[schema(required)]
    pub reader_version: Option<u32>,
    /// Pages, slides or sheets in the file; 0 if the format has none.
    pub pages: u32,
    /// Pages whose text was read from the file.
    pub read: u32,
    /// Pages whose text, or that of a picture on them, was read by OCR.
    pub ocr: u32,
    /// Pages without text.
    pub empty: u32,
    /// Pages that could not be read.
    pub failed: u32,
    /// What read pages by OCR, and which.
    #[serde(default)]
    pub by_ocr: Vec<ReadByOcrView>,
    /// Why pages failed.
    pub failures: Vec<PageFailureView>,
    /// What was left out.
    pub left_out: Vec<LeftOutView>,
    /// Whether the file ends too early.
    pub truncated: bool,
    /// The same in sentences.
    pub notices: Vec<String>,
}

/// Pages that one engine has read by OCR.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReadByOcrView {
    /// The engine: `tesseract`, or `builtin`.
    pub engine: String,
    /// How sure it is of their letters, 0 to 100.
    pub sure: u8,
    /// Their numbers, the first 100; none in a format without pages.
    pub pages: Vec<u32>,
    /// How many there are; in a format without pages, of pictures.
    pub count: u32,
}

/// Pages that failed for one reason.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PageFailureView {
    /// `unreadable`; `picture`: they are pictures, and nothing here reads pictures; `ocr`: OCR could not read them.
    pub why: String,
    /// Their numbers, the first 100.
    pub pages: Vec<u32>,
    /// How many there are.
    pub count: u32,
}

/// What was left out of a text, by count.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeftOutView {
    /// What it is, for example `hidden_sheets`.
    pub what: String,
    /// How many there are.
    pub count: u32,
}

/// What to change about a document.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentPatch {
    /// The media type that the bytes are of; the file's name no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, pattern = "^[ -.0-~]+/[ -~]+$")]
    pub mime: Option<String>,
    /// What the client says of it, in place of what was said before: up to 8 KiB, 64 keys, 4 objects and lists within one
    /// another. Nothing is read or embedded again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// A passage of a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    #[schema(required)]
    pub page_first: Option<i32>,
    /// Last page.
    #[schema(required)]
    pub page_last: Option<i32>,
    /// What is printed on the first page as its number, where that is known and not the number itself, for example `iv`.
    #[schema(required)]
    pub page_label: Option<String>,
    /// Where the passage stands on its pages; null for a format without pages, and for what was read before places were kept.
    #[schema(required)]
    pub boxes: Option<Vec<BoxView>>,
    /// Whether it has a vector.
    pub embedded: bool,
}

/// A rectangle on a page. Edges are parts of the page's width and height, from its top left.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BoxView {
    /// The page, from 1.
    #[schema(minimum = 1)]
    pub page: u32,
    /// Left edge.
    #[schema(minimum = 0, maximum = 1)]
    pub left: f32,
    /// Top edge.
    #[schema(minimum = 0, maximum = 1)]
    pub top: f32,
    /// Right edge.
    #[schema(minimum = 0, maximum = 1)]
    pub right: f32,
    /// Bottom edge.
    #[schema(minimum = 0, maximum = 1)]
    pub bottom: f32,
}

/// How far a deletion has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeletionReceipt {
    /// The receipt.
    pub deletion_id: Uuid,
    /// The document, whose rows are gone already.
    pub document_id: Uuid,
    /// `pending` until every stored object is gone, then `done`.
    #[schema(value_type = ReceiptState)]
    pub state: String,
    /// Objects not yet known to be gone.
    pub objects_pending: i64,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
}
