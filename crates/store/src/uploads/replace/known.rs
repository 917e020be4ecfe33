//! What a document, and its owner's others, are when one is to be replaced.

use super::{Replacement, Replacing};
use crate::jobs::LIVE;
use domain::{DocumentId, JobId, UserId};
use pg::{DbError, FromRow, Session};

/// A job of a document that has not ended.
#[derive(FromRow)]
pub(super) struct LiveJob {
    pub(super) job_id: JobId,
    /// Of the version that it makes, if that is not the active one.
    pub(super) version_no: Option<i32>,
    pub(super) file_sha256: Option<String>,
}

impl LiveJob {
    /// What a wish that comes while it lives is answered with: the same job if it is the same wish.
    pub(super) fn answer(self, is_same: impl Fn(&Self) -> bool) -> Replacing {
        match self.version_no.filter(|_| is_same(&self)) {
            Some(version_no) => {
                Replacing::Accepted(Replacement { job_id: self.job_id, version_no, takes_upload: false })
            }
            None => Replacing::Busy(self.job_id),
        }
    }
}

pub(super) async fn get_live_job(tx: &impl Session, id: DocumentId) -> Result<Option<LiveJob>, DbError> {
    tx.find(
        &format!(
            "-- get_live_job
SELECT j.job_id, v.version_no, v.file_sha256
FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
LEFT JOIN upload_pipeline.document_versions AS v
  ON v.document_id = j.document_id AND v.version_no = j.version_no AND v.version_no <> d.version_no
WHERE j.document_id = $1 AND j.state IN {LIVE}
ORDER BY j.created_at DESC
LIMIT 1"
        ),
        &[&id.0],
    )
    .await
}

/// Another document of the user with these bytes, or one of whose versions with them a job makes.
pub(in crate::uploads) async fn find_elsewhere(
    tx: &impl Session,
    user: UserId,
    than: Option<DocumentId>,
    sha256: &str,
) -> Result<Option<(DocumentId, Option<JobId>)>, DbError> {
    tx.find(
        &format!(
            "-- find_elsewhere
SELECT n.document_id, n.job_id
FROM (
  SELECT d.document_id, (
    SELECT j.job_id
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.document_id = d.document_id
    ORDER BY j.created_at DESC, j.job_id DESC
    LIMIT 1) AS job_id
  FROM upload_pipeline.documents AS d
  WHERE d.user_id = $1 AND d.file_sha256 = $2
  UNION ALL
  SELECT v.document_id, j.job_id
  FROM upload_pipeline.document_versions AS v
  JOIN upload_pipeline.upload_jobs AS j
    ON j.document_id = v.document_id AND j.version_no = v.version_no AND j.state IN {LIVE}
  WHERE v.user_id = $1 AND v.file_sha256 = $2
) AS n
WHERE n.document_id IS DISTINCT FROM $3
LIMIT 1"
        ),
        &[&user.0, &sha256, &than.map(|id| id.0)],
    )
    .await
}

/// A version that is not active.
#[derive(FromRow)]
pub(super) struct Known {
    pub(super) version_no: i32,
    pub(super) is_previous: bool,
    pub(super) file_sha256: String,
    pub(super) job_id: Option<JobId>,
}

/// What is read of it.
const KNOWN: &str = "SELECT v.version_no, v.state = 'previous' AS is_previous, v.file_sha256, (
    SELECT j.job_id
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.document_id = v.document_id AND j.version_no = v.version_no
    ORDER BY j.created_at DESC, j.job_id DESC
    LIMIT 1) AS job_id
FROM upload_pipeline.document_versions AS v
JOIN upload_pipeline.documents AS d ON d.document_id = v.document_id AND d.version_no <> v.version_no";

/// The document's versions with these bytes that are not active, the newest first.
pub(super) async fn list_versions_with(tx: &impl Session, id: DocumentId, sha256: &str) -> Result<Vec<Known>, DbError> {
    let sql = format!(
        "-- list_versions_with
{KNOWN}
WHERE v.document_id = $1 AND v.file_sha256 = $2
ORDER BY v.version_no DESC
FOR UPDATE OF v"
    );
    tx.list(&sql, &[&id.0, &sha256]).await
}

pub(super) async fn get_version(tx: &impl Session, id: DocumentId, version_no: i32) -> Result<Option<Known>, DbError> {
    let sql = format!(
        "-- get_version
{KNOWN}
WHERE v.document_id = $1 AND v.version_no = $2
FOR UPDATE OF v"
    );
    tx.find(&sql, &[&id.0, &version_no]).await
}
