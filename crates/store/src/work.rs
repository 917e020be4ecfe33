//! What a worker works on: the active version of a document, in `documents`, or another one, in `document_versions`.

use super::jobs::{FENCED, lock_lease};
use serde_json::Value;
use uuid::Uuid;

use domain::{DocumentId, Fence};
use pg::{DbError, FromRow, Session};

/// A job `j` with its document `d`, the row `v` of the version that it makes, if that is not the active one, and `w`: what it
/// works on, which is one of the two.
const OF_WORK: &str = "upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
LEFT JOIN upload_pipeline.document_versions AS v ON v.document_id = j.document_id AND v.version_no = j.version_no
CROSS JOIN LATERAL (
  SELECT d.filename, d.mime, d.bytes_len, d.file_sha256, d.raw_path, d.parsed_path, d.parsed_sha256, d.parser, d.layout
  WHERE v.document_id IS NULL
  UNION ALL
  SELECT v.filename, v.mime, v.bytes_len, v.file_sha256, v.raw_path, v.parsed_path, v.parsed_sha256, v.parser, v.layout
  WHERE v.document_id IS NOT NULL
) AS w";

/// Which version of its document a leased job makes. It stays the same for as long as the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Target {
    /// The document.
    pub document_id: DocumentId,
    /// The number of the version.
    pub version_no: i32,
    /// Whether it stands beside the active version until it is complete.
    pub is_staged: bool,
    /// What its markdown is named by; `None`: the job's id.
    pub reading: Option<Uuid>,
}

impl Target {
    /// The active version of a document, for reading: its number is not asked for.
    pub fn active(document_id: DocumentId) -> Self {
        Self { document_id, version_no: 1, is_staged: false, reading: None }
    }

    /// The table of its chunks, whose alias is `c` in conditions.
    pub(crate) fn chunks(&self) -> &'static str {
        if self.is_staged { "upload_pipeline.version_chunks" } else { "upload_pipeline.document_chunks" }
    }

    /// What picks its chunks from that table; `document`, `version`: the places of their parameters.
    ///
    /// All chunks in `document_chunks` are of the active version, whatever number another program has given them.
    pub(crate) fn is_of(&self, document: &str, version: &str) -> String {
        let any = if self.is_staged { "" } else { " OR true" };
        format!("c.document_id = {document} AND (c.version_no = {version}{any})")
    }
}

/// Which version of its document a leased job makes.
///
/// # Errors
///
/// The lease is lost, the version was removed, or the database does not answer.
pub async fn get_target(db: &impl Session, fence: Fence) -> Result<Target, DbError> {
    db.find(
        &format!(
            "-- get_target
SELECT j.document_id, coalesce(j.version_no, d.version_no) AS version_no, v.document_id IS NOT NULL AS is_staged, v.reading
FROM {OF_WORK}
WHERE {FENCED} AND (v.document_id IS NOT NULL OR coalesce(j.version_no, d.version_no) = d.version_no)"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await?
    .ok_or(DbError::LeaseLost { job_id: fence.job_id })
}

/// A document of a leased job.
#[derive(Debug, Clone, FromRow)]
pub struct WorkDocument {
    /// As the client named it.
    pub filename: String,
    /// Declared media type.
    pub mime: String,
    /// Declared size in bytes.
    pub bytes_len: i64,
    /// Declared SHA-256, 64 lower-case hex digits.
    pub file_sha256: String,
    /// Whether the upload asked for OCR.
    pub ocr: bool,
    /// Whether the owner has corrected the media type, so that the file's name declares nothing.
    pub type_stated: bool,
    /// Key of the bytes.
    pub raw_path: String,
    /// Key of the markdown, once parsed.
    pub parsed_path: Option<String>,
    /// SHA-256 of the normalised markdown, once validated here.
    pub parsed_sha256: Option<String>,
    /// Seconds since the job was made.
    pub waited_seconds: f64,
    /// Seconds until the upload expires, negative once it has; `None`: the bytes must be there already.
    pub upload_expires_in_seconds: Option<f64>,
}

/// The document of a leased job.
///
/// # Errors
///
/// The lease is lost, or the database does not answer.
pub async fn get_work_document(db: &impl Session, fence: Fence) -> Result<WorkDocument, DbError> {
    db.find(
        &format!(
            "-- get_work_document
SELECT w.filename, w.mime, w.bytes_len, w.file_sha256, w.raw_path, w.parsed_path,
  -- The replaced system hashed otherwise; it named no parser.
  CASE WHEN w.parser IS NOT NULL THEN w.parsed_sha256 END AS parsed_sha256,
  coalesce(j.progress -> 'ocr' = 'true', false) AS ocr,
  coalesce(j.progress -> 'type_stated' = 'true', false) AS type_stated,
  extract(epoch FROM now() - j.created_at)::float8 AS waited_seconds,
  extract(epoch FROM j.upload_expires_at - now())::float8 AS upload_expires_in_seconds
FROM {OF_WORK}
WHERE {FENCED}"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await?
    .ok_or(DbError::LeaseLost { job_id: fence.job_id })
}

/// Lets the bytes of a leased job expire after `days`, since they are not what was declared; `0`: they do not.
pub async fn expire_mismatched(db: &impl Session, fence: Fence, days: u32) -> Result<(), DbError> {
    db.run(
        &format!(
            "-- expire_mismatched
UPDATE upload_pipeline.uploads AS u
SET expires_at = CASE WHEN $4 = 0 THEN 'infinity' ELSE now() + make_interval(days => $4) END
FROM {OF_WORK}
WHERE {FENCED} AND u.storage_key = w.raw_path AND u.user_id = d.user_id"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch, &i32::try_from(days).unwrap_or(i32::MAX)],
    )
    .await
    .map(drop)
}

/// What parsing found out.
#[derive(Debug, Clone)]
pub struct ParsedFacts<'a> {
    /// Key that the markdown is about to be stored under.
    pub parsed_path: &'a str,
    /// What the file is by its content.
    pub kind: &'a str,
    /// What parsed it.
    pub parser: &'a str,
    /// Pages, slides or sheets.
    pub page_count: i32,
    /// How it was read, as JSON.
    pub record: &'a Value,
    /// Where its lines stand on the pages, as JSON; `None` if that is not known.
    pub layout: Option<&'a str>,
}

/// Where the lines of a leased job's markdown stand on its pages, as JSON.
pub async fn get_work_layout(db: &impl Session, fence: Fence) -> Result<Option<String>, DbError> {
    let found: Option<Option<String>> = db
        .find(
            &format!(
                "-- get_work_layout
SELECT w.layout
FROM {OF_WORK}
WHERE {FENCED}"
            ),
            &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
        )
        .await?;
    found.ok_or(DbError::LeaseLost { job_id: fence.job_id })
}

/// Writes where the markdown will be stored, before its first byte, so that deleting the document finds it. The
/// markdown of an older job goes to housekeeping, unless the active version has it, and the upload no longer expires.
pub async fn save_parsed_facts(tx: &impl Session, fence: Fence, facts: &ParsedFacts<'_>) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    tx.exec(
        &format!(
            "-- save_parsed_facts
WITH older AS (
  SELECT d.document_id, d.user_id, w.raw_path, w.parsed_path, v.version_no AS staged,
    CASE WHEN v.document_id IS NOT NULL THEN d.parsed_path END AS active_path
  FROM {OF_WORK}
  WHERE j.job_id = $1
),
replaced AS (
  INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
  SELECT gen_random_uuid(), o.user_id, o.document_id, o.parsed_path
  FROM older AS o
  WHERE o.parsed_path <> '' AND o.parsed_path <> $2 AND o.parsed_path IS DISTINCT FROM o.active_path
),
kept AS (
  UPDATE upload_pipeline.uploads AS u
  SET expires_at = 'infinity'
  FROM older AS o
  WHERE u.storage_key = o.raw_path
),
staged AS (
  UPDATE upload_pipeline.document_versions AS s
  SET parsed_path = $2, kind = $3, parser = $4, page_count = $5, record = $6, layout = $7, parsed_sha256 = NULL, updated_at = now()
  FROM older AS o
  WHERE s.document_id = o.document_id AND s.version_no = o.staged
)
UPDATE upload_pipeline.documents AS d
SET parsed_path = $2, kind = $3, parser = $4, page_count = $5, record = $6, layout = $7, parsed_sha256 = NULL, updated_at = now()
FROM older AS o
WHERE d.document_id = o.document_id AND o.staged IS NULL"
        ),
        &[&fence.job_id.0, &facts.parsed_path, &facts.kind, &facts.parser, &facts.page_count, &facts.record, &facts.layout],
    )
    .await
}

/// Writes the warning that pages of the document could not be read.
pub async fn insert_partly_read(tx: &impl Session, fence: Fence, payload: &Value) -> Result<(), DbError> {
    tx.exec(
        "-- insert_partly_read
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT j.job_id, j.document_id, 'partly_read', 'warn', 'partly_read', $2, j.correlation_id
FROM upload_pipeline.upload_jobs AS j
WHERE j.job_id = $1",
        &[&fence.job_id.0, &payload],
    )
    .await
}

/// Writes the hash of the normalised markdown, which is stored under `parsed_path`.
pub async fn save_parsed_sha256(
    tx: &impl Session,
    fence: Fence,
    sha256: &str,
    parsed_path: &str,
) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    tx.exec(
        "-- save_parsed_sha256
WITH older AS (
  SELECT v.document_id, v.version_no, v.user_id, v.parsed_path, d.parsed_path AS active_path
  FROM upload_pipeline.upload_jobs AS j
  JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
  JOIN upload_pipeline.document_versions AS v ON v.document_id = j.document_id AND v.version_no = j.version_no
  WHERE j.job_id = $1
),
replaced AS (
  INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
  SELECT gen_random_uuid(), o.user_id, o.document_id, o.parsed_path
  FROM older AS o
  WHERE o.parsed_path <> '' AND o.parsed_path <> $3 AND o.parsed_path IS DISTINCT FROM o.active_path
),
staged AS (
  UPDATE upload_pipeline.document_versions AS v
  SET parsed_sha256 = $2, parsed_path = $3, updated_at = now()
  FROM older AS o
  WHERE v.document_id = o.document_id AND v.version_no = o.version_no
  RETURNING v.document_id
)
UPDATE upload_pipeline.documents AS d
SET parsed_sha256 = $2, updated_at = now()
FROM upload_pipeline.upload_jobs AS j
WHERE j.job_id = $1 AND d.document_id = j.document_id AND NOT EXISTS (SELECT FROM staged)",
        &[&fence.job_id.0, &sha256, &parsed_path],
    )
    .await
}
