//! Sending documents.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Problem;

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
