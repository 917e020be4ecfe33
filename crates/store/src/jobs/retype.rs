//! Changes the declared type of a document that failed for it.

use super::{get_job, redrive_job};
use crate::{
    documents::{Document, get_document, lock_jobs_of_document},
    versions::touch_version,
};
use domain::{Code, DocumentId, JobId, State, Status, UserId};
use pg::{Db, DbError, Session};

/// What became of the wish.
#[derive(Debug, Clone)]
pub enum Retyped {
    /// The document has this type, and its job is queued to read it so, or was before.
    Done(Box<Document>),
    /// The document has not failed for its type, or its bytes were removed: the code says it.
    Refused(Code),
    /// It has changed since it was seen.
    Changed,
    /// No such document of this user.
    NotFound,
}

/// Declares that `user`'s document, which failed for its type, is of the media type `mime`, and queues its job from the
/// start, if the document is as `expected`.
pub async fn retype_document(
    db: &Db,
    user: UserId,
    id: DocumentId,
    mime: &str,
    expected: &(dyn Fn(&Document) -> bool + Send + Sync),
) -> Result<Retyped, DbError> {
    db.run_tx("retype_document", move |tx| {
        Box::pin(async move {
            lock_jobs_of_document(&tx, id).await?;
            let Some(document) = get_document(&tx, user, id).await? else { return Ok(Retyped::NotFound) };
            if !expected(&document) {
                return Ok(Retyped::Changed);
            }
            let job = match document.job_id {
                Some(job_id) => get_job(&tx, user, job_id).await?,
                None => None,
            };
            let failed =
                job.filter(|job| job.state == State::Deadletter && job.failed_with() == Some(Code::TypeMismatch));
            let Some(job) = failed else {
                // A wish that comes twice is granted twice.
                let same = get_declared_mime(&tx, &document).await? == mime;
                return Ok(if same { Retyped::Done(Box::new(document)) } else { Retyped::Refused(Code::TypeSettled) });
            };
            if job.raw_path.is_empty() {
                return Ok(Retyped::Refused(Code::RetryNeedsUpload));
            }
            state_type(&tx, id, job.job_id, mime).await?;
            touch_version(&tx, job.job_id).await?;
            redrive_job(&tx, user, job.job_id, Some(Status::Uploaded)).await?;
            Ok(get_document(&tx, user, id).await?.map_or(Retyped::NotFound, |now| Retyped::Done(Box::new(now))))
        })
    })
    .await
}

/// The declared type of what the document's latest job makes: its active version, or another.
async fn get_declared_mime(tx: &impl Session, document: &Document) -> Result<String, DbError> {
    tx.one(
        "-- get_declared_mime
SELECT coalesce(v.mime, d.mime) AS mime
FROM upload_pipeline.documents AS d
LEFT JOIN upload_pipeline.upload_jobs AS j ON j.job_id = $2
LEFT JOIN upload_pipeline.document_versions AS v ON v.document_id = d.document_id AND v.version_no = j.version_no
WHERE d.document_id = $1",
        &[&document.document_id.0, &document.job_id.map(|job| job.0)],
    )
    .await
}

/// Writes the type to what `job` makes, which is the document's active version or another, and to its failed jobs that it counts
/// more than the file's name.
async fn state_type(tx: &impl Session, id: DocumentId, job: JobId, mime: &str) -> Result<(), DbError> {
    tx.run(
        "-- state_type
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET progress = j.progress || '{\"type_stated\": true}'
  WHERE j.document_id = $1 AND j.state = 'deadletter'
),
staged AS (
  UPDATE upload_pipeline.document_versions AS v
  SET mime = $2
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.job_id = $3 AND v.document_id = j.document_id AND v.version_no = j.version_no
  RETURNING v.document_id
)
UPDATE upload_pipeline.documents AS d
SET mime = $2, updated_at = now()
WHERE d.document_id = $1 AND NOT EXISTS (SELECT FROM staged)",
        &[&id.0, &mime, &job.0],
    )
    .await
    .map(drop)
}
