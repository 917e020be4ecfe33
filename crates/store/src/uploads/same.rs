//! Whether a user has some content already.

use super::{Content, Registered, replace::find_elsewhere};
use crate::{documents::lock_jobs_of_document, jobs::LIVE};
use domain::{Code, DocumentId, JobId, UploadId, UserId};
use pg::{DbError, FromRow, Session};

/// The user's document with the same content.
#[derive(FromRow)]
pub(super) struct SameContent {
    pub(super) document_id: DocumentId,
    pub(super) raw_path: String,
    pub(super) parsed_path: Option<String>,
    /// The upload of `raw_path`.
    pub(super) upload_id: Option<UploadId>,
    /// Complete, or its bytes are there and worked on; otherwise the document is used again.
    pub(super) in_the_way: bool,
    /// A job waits for its bytes.
    pub(super) awaits_bytes: bool,
    /// Its bytes were found to be what was announced, and of another type than the declared one.
    pub(super) keeps_bytes: bool,
    /// The job that has it, or had it last.
    pub(super) job_id: Option<JobId>,
}

/// Why the content needs no document of its own: `before` is in the way, or it is about to become a version of another one.
pub(super) async fn exists_already(
    tx: &impl Session,
    user: UserId,
    content: &Content,
    before: Option<&SameContent>,
) -> Result<Option<Registered>, DbError> {
    let found = match before {
        Some(same) => same.in_the_way.then_some((same.document_id, same.job_id)),
        None => find_elsewhere(tx, user, None, &content.sha256).await?,
    };
    Ok(found.map(|(document_id, job_id)| Registered::Exists { job_id, document_id }))
}

pub(super) async fn find_same(
    tx: &impl Session,
    user: UserId,
    content: &Content,
) -> Result<Option<SameContent>, DbError> {
    let found: Option<DocumentId> = tx
        .find(
            "-- find_content
SELECT d.document_id
FROM upload_pipeline.documents AS d
WHERE d.user_id = $1 AND d.file_sha256 = $2",
            &[&user.0, &content.sha256],
        )
        .await?;
    let Some(document) = found else { return Ok(None) };
    lock_jobs_of_document(tx, document).await?;
    tx.find(
        &format!(
            "-- find_same
SELECT d.document_id, d.raw_path, d.parsed_path, u.upload_id, coalesce(live.job_id, latest.job_id) AS job_id,
  coalesce(d.processing_status IN ('complete', 'duplicate'), false)
    OR live.job_id IS NOT NULL AND NOT (live.awaits_bytes AND u.upload_id IS NOT NULL) AS in_the_way,
  coalesce(live.awaits_bytes, false) AS awaits_bytes,
  coalesce(live.job_id IS NULL AND latest.failed_for_type AND u.upload_id IS NOT NULL, false) AS keeps_bytes
FROM upload_pipeline.documents AS d
LEFT JOIN upload_pipeline.uploads AS u ON u.storage_key = d.raw_path AND u.user_id = d.user_id
LEFT JOIN LATERAL (
  SELECT j.job_id, j.status = 'uploaded' AND j.upload_expires_at IS NOT NULL AS awaits_bytes
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.document_id = d.document_id AND j.state IN {LIVE}
  ORDER BY j.created_at DESC
  LIMIT 1
) AS live ON true
LEFT JOIN LATERAL (
  SELECT j.job_id, j.state = 'deadletter' AND j.last_error ->> 'code' = $3 AS failed_for_type
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.document_id = d.document_id
  ORDER BY (j.status = 'complete') DESC, j.created_at DESC
  LIMIT 1
) AS latest ON true
WHERE d.user_id = $1 AND d.file_sha256 = $2
FOR UPDATE OF d"
        ),
        &[&user.0, &content.sha256, &Code::TypeMismatch.as_str()],
    )
    .await
}

/// The id of a new document: made of its content, unless a document that began with this content has another by now.
pub(super) async fn new_document_id(tx: &impl Session, user: UserId, sha256: &str) -> Result<DocumentId, DbError> {
    let id = DocumentId::of(user, sha256);
    Ok(if is_taken(tx, id).await? { DocumentId::generate() } else { id })
}

async fn is_taken(tx: &impl Session, id: DocumentId) -> Result<bool, DbError> {
    tx.run_any("-- is_taken\nSELECT FROM upload_pipeline.documents AS d WHERE d.document_id = $1", &[&id.0]).await
}
