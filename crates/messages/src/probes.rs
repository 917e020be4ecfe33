//! Health and version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Whether a process is ready.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` while only uploads fail; `unavailable`.
    #[schema(pattern = "^(ok|degraded|unavailable)$")]
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
    #[schema(required)]
    pub built_at: Option<OffsetDateTime>,
    /// The newest migration that it knows.
    pub schema_version: i32,
    /// One entry a dependency: `ok`, or the code of what is wrong, which the log explains.
    pub checks: BTreeMap<String, String>,
}

/// Which build this is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// Version of app.
    pub version: String,
    /// Commit it was built from.
    pub commit: String,
    /// Branch of that commit.
    pub branch: String,
    /// When it was built; null: unknown.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[schema(required)]
    pub built_at: Option<OffsetDateTime>,
    /// The newest migration that it knows.
    pub schema_version: i32,
    /// development, staging or production.
    pub environment: String,
}
