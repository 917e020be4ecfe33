//! Documents, their chunks and their deletion.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::names::{ReceiptState, StatusName};

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
    /// The status of its latest job.
    #[schema(required, value_type = Option<StatusName>)]
    pub processing_status: Option<String>,
    /// What the file is by its content, once parsed.
    #[schema(required)]
    pub kind: Option<String>,
    /// Pages, once parsed.
    #[schema(required, minimum = 0)]
    pub page_count: Option<i32>,
    /// Chunks stored.
    pub chunks: i64,
    /// Its latest job.
    #[schema(required)]
    pub job_id: Option<Uuid>,
    /// When it was uploaded.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What to change about a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentPatch {
    /// The media type that the bytes are of; the file's name no longer counts.
    #[schema(max_length = 255, pattern = "^[ -.0-~]+/[ -~]+$")]
    pub mime: String,
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
    /// Whether it has a vector.
    pub embedded: bool,
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
