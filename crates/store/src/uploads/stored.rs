//! An announced upload while its bytes arrive, and after.

use uuid::Uuid;

use crate::jobs::LIVE;
use domain::{JobId, UploadId, UserId};
use pg::{DbError, FromRow, Session};

/// An upload whose bytes are being sent.
#[derive(Debug, Clone, FromRow)]
pub struct Upload {
    /// The user who uploads.
    pub user_id: UserId,
    /// Where the bytes go.
    pub storage_key: String,
    /// The declared size in bytes.
    pub bytes_len: Option<i64>,
    /// The declared SHA-256.
    pub file_sha256: Option<String>,
    /// Whether the bytes are there already.
    pub stored: bool,
    /// Whether a live job waits for these bytes: not deleted, cancelled, or replaced by a newer upload.
    pub wanted: bool,
    /// The job that waits for them, or did.
    pub job_id: Option<JobId>,
    /// That job's.
    pub correlation_id: Option<Uuid>,
}

/// The upload with this id, of any user: the signature of the URL stands for the user.
pub async fn get_upload(db: &impl Session, upload_id: UploadId) -> Result<Option<Upload>, DbError> {
    db.find(
        &format!("-- get_upload
SELECT u.user_id, u.storage_key, u.bytes_len, u.file_sha256, u.stored_at IS NOT NULL AS stored, j.job_id, j.correlation_id,
  coalesce(d.raw_path = u.storage_key AND j.state IN {LIVE}, false) AS wanted
FROM upload_pipeline.uploads AS u
LEFT JOIN upload_pipeline.upload_jobs AS j ON j.job_id = u.job_id
LEFT JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
WHERE u.upload_id = $1"),
        &[&upload_id.0],
    )
    .await
}

/// Writes that the bytes are stored and makes the job due now, also where a worker has just looked in vain. `false`: the
/// document was deleted meanwhile.
pub async fn mark_upload_stored(db: &impl Session, upload_id: UploadId) -> Result<bool, DbError> {
    let row = db
        .row(
            &format!(
                "-- mark_upload_stored
WITH upload AS (
  UPDATE upload_pipeline.uploads AS u
  SET stored_at = coalesce(u.stored_at, now())
  WHERE u.upload_id = $1 AND u.job_id IS NOT NULL
  RETURNING u.job_id
),
job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET run_at = now(), signalled_at = now(), upload_expires_at = NULL, updated_at = now()
  FROM upload
  WHERE j.job_id = upload.job_id AND j.status = 'uploaded' AND j.state IN {LIVE}
)
SELECT upload.job_id
FROM upload"
            ),
            &[&upload_id.0],
        )
        .await?;
    Ok(row.is_some())
}

/// Deletes an upload that became no document. Call it after its object is gone.
pub async fn delete_upload(db: &impl Session, upload_id: UploadId) -> Result<(), DbError> {
    db.exec(
        "-- delete_upload
DELETE FROM upload_pipeline.uploads AS u
WHERE u.upload_id = $1 AND u.job_id IS NULL",
        &[&upload_id.0],
    )
    .await
}
