//! Sending documents.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Problem, number};

/// A file to be uploaded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadRequest {
    /// The name of the file; never used as a path.
    #[schema(
        min_length = 1,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb]*[^\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb][^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb]*$"
    )]
    pub filename: String,
    /// Size in bytes.
    #[serde(deserialize_with = "number::whole")]
    #[schema(minimum = 1)]
    pub bytes_len: u64,
    /// Media type.
    #[schema(max_length = 255, pattern = "^[ -.0-~]+/[ -~]+$")]
    pub mime: String,
    /// SHA-256 of the bytes, 64 hex digits.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9A-Fa-f]{64}$")]
    pub sha256: String,
    /// Whether every page is read by OCR, also those with text.
    #[serde(default)]
    #[schema(default = false)]
    pub ocr: bool,
    /// What the client says of it, to filter by: up to 8 KiB, 64 keys, 4 objects and lists within one another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// Where to send an announced file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadAccepted {
    /// The job to watch.
    pub job_id: Uuid,
    /// The document it will become.
    pub document_id: Uuid,
    /// PUT the bytes here.
    pub signed_url: String,
    /// When `signed_url` expires.
    #[serde(with = "time::serde::rfc3339")]
    pub upload_expires_at: OffsetDateTime,
    /// Whether the bytes are here already, from an upload that failed for its type: then nothing need be sent.
    #[serde(default)]
    #[schema(required)]
    pub stored: bool,
}

/// A text without a file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextRequest {
    /// Becomes the file name, with `.md`.
    #[schema(
        min_length = 1,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb]*[^\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb][^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb]*$"
    )]
    pub title: String,
    /// Markdown or plain text.
    #[schema(min_length = 1, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub text: String,
    /// What the client says of it, to filter by: up to 8 KiB, 64 keys, 4 objects and lists within one another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// The result for each file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentsAccepted {
    /// One entry a file, in the order of the request.
    pub documents: Vec<FileOutcome>,
}

/// The result for one file: ids, or the problem. A duplicate has both: the problem, and the ids of
/// the document that already exists.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileOutcome {
    /// The name that the client sent.
    pub filename: String,
    /// The job to watch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_id: Option<Uuid>,
    /// The document.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document_id: Option<Uuid>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}
