//! Errors.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use domain::Code;

/// `application/problem+json` (RFC 9457) with our stable `code`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Short name of the HTTP status.
    pub title: String,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Stable, `snake_case`; docs/errors.md lists them.
    #[schema(pattern = "^[a-z0-9_]+$")]
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
    /// The job that the request conflicts with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_id: Option<Uuid>,
    /// The document that the request conflicts with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document_id: Option<Uuid>,
    /// The id of the request, to find it in the logs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<Uuid>,
}

impl Problem {
    /// The code, where this build knows it.
    pub fn known_code(&self) -> Option<Code> {
        Code::named(&self.code)
    }
}
