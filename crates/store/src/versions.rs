//! Versions of a document.
//!
//! `documents` and `document_chunks` hold the active version and nothing else. What a job makes beside it, and what was active
//! before, stands in `document_versions` and `version_chunks`. A row there with the number of the active version is a new
//! reading of the same bytes, or what a failed one has left.

mod stage;
mod switch;

use time::OffsetDateTime;

use crate::jobs::LIVE;
use domain::{DocumentId, JobId, UserId};
use pg::{DbError, FromRow, Session};

pub use stage::{delete_old_versions, drop_version};
pub(crate) use stage::{stage_reading, touch_version};
pub use switch::{Switching, switch_version};

/// A version of a document, as its owner sees it.
#[derive(Debug, Clone, FromRow)]
pub struct Version {
    /// Its number, from 1.
    pub version_no: i32,
    /// `active`, `replacing` (a job makes it), `previous` (it was active), or `failed`.
    pub state: String,
    /// As the client named it.
    pub filename: String,
    /// Size in bytes.
    pub bytes_len: i64,
    /// SHA-256 of the bytes.
    pub file_sha256: String,
    /// Pages, once parsed.
    pub page_count: Option<i32>,
    /// Chunks stored.
    pub passages: i64,
    /// The latest job that made it, while that is known.
    pub job_id: Option<JobId>,
    /// When it was uploaded.
    pub created_at: OffsetDateTime,
}

/// Up to `limit` versions of `user`'s document below the number `before`, the newest first; none if there is no such document.
pub async fn list_versions(
    db: &impl Session,
    user: UserId,
    id: DocumentId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Version>, DbError> {
    db.list(
        &format!(
            "-- list_versions
SELECT n.version_no, n.state, n.filename, n.bytes_len, n.file_sha256, n.page_count, n.passages, n.created_at,
  (SELECT j.job_id
   FROM upload_pipeline.upload_jobs AS j
   WHERE j.document_id = $1 AND coalesce(j.version_no, n.active_no) = n.version_no
   ORDER BY j.created_at DESC, j.job_id DESC
   LIMIT 1) AS job_id
FROM (
  SELECT d.version_no, d.version_no AS active_no, d.filename, d.bytes_len, d.file_sha256, d.page_count,
    CASE WHEN d.processing_status LIKE 'failed\\_%' THEN 'failed' ELSE 'active' END AS state,
    (SELECT count(*) FROM upload_pipeline.document_chunks AS c WHERE c.document_id = d.document_id) AS passages,
    coalesce(d.version_at, d.created_at) AS created_at
  FROM upload_pipeline.documents AS d
  WHERE d.document_id = $1 AND d.user_id = $2
  UNION ALL
  SELECT v.version_no, d.version_no, v.filename, v.bytes_len, v.file_sha256, v.page_count,
    CASE
      WHEN EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.document_id = v.document_id AND j.version_no = v.version_no AND j.state IN {LIVE}) THEN 'replacing'
      WHEN v.state = 'previous' THEN 'previous'
      ELSE 'failed'
    END,
    (SELECT count(*)
     FROM upload_pipeline.version_chunks AS c
     WHERE c.document_id = v.document_id AND c.version_no = v.version_no),
    v.created_at
  FROM upload_pipeline.documents AS d
  JOIN upload_pipeline.document_versions AS v ON v.document_id = d.document_id AND v.version_no <> d.version_no
  WHERE d.document_id = $1 AND d.user_id = $2
) AS n
WHERE n.version_no < coalesce($3, 2147483647)
ORDER BY n.version_no DESC
LIMIT $4"
        ),
        &[&id.0, &user.0, &before, &limit],
    )
    .await
}

/// The keys of the objects of a document's versions that are not active.
pub async fn list_version_keys(db: &impl Session, id: DocumentId) -> Result<Vec<String>, DbError> {
    db.list(
        "-- list_version_keys
SELECT k.storage_key
FROM upload_pipeline.document_versions AS v
CROSS JOIN LATERAL unnest(ARRAY[v.raw_path, v.parsed_path, 'parsed/' || v.user_id || '/' || v.reading || '.md'])
  AS k (storage_key)
WHERE v.document_id = $1 AND k.storage_key <> ''",
        &[&id.0],
    )
    .await
}
