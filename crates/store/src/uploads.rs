//! The table `uploads`, and how an upload becomes a document and its job.
//!
//! A user's uploads wait for each other under one lock, held by the transaction: it guards the day's count and the rule
//! for the same content again.

mod left;
mod replace;
mod same;
mod stored;

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use self::same::{SameContent, exists_already, find_same, new_document_id};
use super::{
    deletions::insert_deletions,
    idempotency::{KeptAnswer, Reservation, keep_answer, lock_key},
    jobs::{NewJob, enqueue_jobs, requeue_awaiting_job},
};
use domain::{DocumentId, JobId, Status, UploadId, UserId};
use pg::{Db, DbError, FromRow, Session};

pub use left::{UploadsLeft, get_uploads_left};
pub use replace::{Replacement, Replacing, register_replacement, restore_version};
pub use stored::{Upload, delete_upload, get_upload, mark_upload_stored};

/// How long a two-step upload's job waits before a worker first looks for its bytes.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// An upload before its first byte.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its id.
    pub upload_id: UploadId,
    /// The user who uploads.
    pub user: UserId,
    /// Where the bytes go.
    pub storage_key: String,
    /// As the client names it.
    pub filename: String,
    /// The declared media type.
    pub mime: String,
    /// From then on the object is removed if no document refers to it.
    pub expires_at: OffsetDateTime,
    /// Uploads a user may begin within 24 hours; 0 = no bound.
    pub per_day: u32,
}

/// The content of an upload: declared, or counted while it was stored.
#[derive(Debug, Clone)]
pub struct Content {
    /// Size in bytes.
    pub bytes_len: i64,
    /// SHA-256, 64 lower-case hex digits.
    pub sha256: String,
    /// Whether the bytes are there already.
    pub stored: bool,
    /// Whether the client asked for images to be read.
    pub ocr: bool,
    /// What the client says of it; `None`: nothing.
    pub metadata: Option<Value>,
    /// Follows the upload through logs.
    pub correlation_id: Uuid,
}

/// The day's uploads are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct QuotaReached {
    /// When the next one is possible.
    pub retry_after: Duration,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It has a job.
    Accepted(Accepted),
    /// The user has this content: complete, or its bytes are there and worked on.
    Exists {
        /// The job that has it, or had it last.
        job_id: Option<JobId>,
        /// The document.
        document_id: DocumentId,
    },
    /// A job waits for this content. Nothing was changed; look whether its bytes have come.
    Awaited {
        /// The upload that is to bring them.
        upload_id: UploadId,
        /// Where they are to go.
        storage_key: String,
    },
    /// The day's uploads are used up.
    QuotaReached(QuotaReached),
    /// Another try of the same request has its idempotency key.
    Overtaken,
}

/// An upload that has a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The job.
    pub job_id: JobId,
    /// Whether the job is new; else it has waited for these bytes since an earlier announcement.
    pub is_new: bool,
    /// The document.
    pub document_id: DocumentId,
    /// The upload that brings the bytes, or brought them.
    pub upload_id: UploadId,
    /// Whether the bytes are there.
    pub stored: bool,
}

/// The answer that is stored in the transaction of the announcement, so that a repeated request gets the same answer.
pub struct Keep<'a> {
    /// The key's reservation.
    pub reservation: &'a Reservation,
    /// The answer, once the upload has a job.
    pub answer: &'a (dyn Fn(Accepted) -> KeptAnswer + Send + Sync),
}

/// Makes one user's uploads wait for each other until the transaction ends.
pub async fn lock_user_uploads(tx: &impl Session, user: UserId) -> Result<(), DbError> {
    tx.exec(
        "-- lock_user_uploads
SELECT pg_advisory_xact_lock(hashtextextended('uploads:' || $1::text, 0))::text AS locked",
        &[&user.0.to_string()],
    )
    .await
}

/// Inserts an upload before its first byte, unless the day's uploads are used up.
pub async fn announce_upload(db: &Db, upload: &NewUpload) -> Result<Result<(), QuotaReached>, DbError> {
    db.run_tx("announce_upload", move |tx| {
        Box::pin(async move {
            lock_user_uploads(&tx, upload.user).await?;
            if let Some(reached) = get_quota_reached(&tx, upload.user, upload.per_day).await? {
                return Ok(Err(reached));
            }
            insert_upload(&tx, upload).await?;
            Ok(Ok(()))
        })
    })
    .await
}

/// Gives an upload whose content is declared a job that waits for the bytes. Where the user has a document with the same
/// content whose job waits for its bytes, it is that job, if `not_there` says that the bytes have not come; where the
/// document failed for its type alone, the new job takes its bytes over.
pub async fn register_declared(
    db: &Db,
    upload: &NewUpload,
    content: &Content,
    keep: Option<&Keep<'_>>,
    not_there: bool,
) -> Result<Registered, DbError> {
    db.run_tx("register_declared", move |tx| {
        Box::pin(async move {
            lock_user_uploads(&tx, upload.user).await?;
            if let Some(keep) = keep
                && !lock_key(&tx, keep.reservation).await?
            {
                return Ok(Registered::Overtaken);
            }
            let before = find_same(&tx, upload.user, content).await?;
            if let Some(exists) = exists_already(&tx, upload.user, content, before.as_ref()).await? {
                return Ok(exists);
            }
            let (upload, content) = (&mut upload.clone(), &mut content.clone());
            match before.as_ref().and_then(|same| same.upload_id.map(|upload_id| (same, upload_id))) {
                Some((same, upload_id)) if same.awaits_bytes && !not_there => {
                    return Ok(Registered::Awaited { upload_id, storage_key: same.raw_path.clone() });
                }
                // The object's place is the earlier upload's.
                Some((same, upload_id)) if same.awaits_bytes || same.keeps_bytes => {
                    upload.upload_id = upload_id;
                    upload.storage_key.clone_from(&same.raw_path);
                    content.stored = same.keeps_bytes;
                }
                _ => {
                    if let Some(reached) = get_quota_reached(&tx, upload.user, upload.per_day).await? {
                        return Ok(Registered::QuotaReached(reached));
                    }
                    insert_upload(&tx, upload).await?;
                }
            }
            let accepted = register(&tx, upload, content, before).await?;
            if let Some(keep) = keep {
                keep_answer(&tx, keep.reservation, &(keep.answer)(accepted)).await?;
            }
            Ok(Registered::Accepted(accepted))
        })
    })
    .await
}

/// Gives an announced upload whose bytes are stored a job: that of a document with the same content which waits for its
/// bytes, else a new one. Where the content exists already, nothing is changed: the caller deletes the object and the
/// upload.
pub async fn register_stored(db: &Db, upload: &NewUpload, content: &Content) -> Result<Registered, DbError> {
    db.run_tx("register_stored", move |tx| {
        Box::pin(async move {
            lock_user_uploads(&tx, upload.user).await?;
            let before = find_same(&tx, upload.user, content).await?;
            match exists_already(&tx, upload.user, content, before.as_ref()).await? {
                Some(exists) => Ok(exists),
                None => register(&tx, upload, content, before).await.map(Registered::Accepted),
            }
        })
    })
    .await
}

/// When the bound of uploads within 24 hours is reached: how long until the oldest that counts no longer does.
async fn get_quota_reached(tx: &impl Session, user: UserId, per_day: u32) -> Result<Option<QuotaReached>, DbError> {
    if per_day == 0 {
        return Ok(None);
    }
    tx.find(
        "-- get_quota_reached
SELECT greatest(extract(epoch FROM u.created_at + interval '1 day' - now()), 1)::float8 AS retry_after
FROM upload_pipeline.uploads AS u
WHERE u.user_id = $1 AND u.created_at > now() - interval '1 day'
ORDER BY u.created_at DESC
OFFSET $2
LIMIT 1",
        &[&user.0, &(i64::from(per_day) - 1)],
    )
    .await
}

async fn insert_upload(tx: &impl Session, upload: &NewUpload) -> Result<(), DbError> {
    tx.exec(
        "-- insert_upload
INSERT INTO upload_pipeline.uploads (upload_id, user_id, storage_key, filename, mime, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)",
        &[&upload.upload_id.0, &upload.user.0, &upload.storage_key, &upload.filename, &upload.mime, &upload.expires_at],
    )
    .await
}

async fn register(
    tx: &impl Session,
    upload: &NewUpload,
    content: &Content,
    before: Option<SameContent>,
) -> Result<Accepted, DbError> {
    let awaiting = before.as_ref().filter(|same| same.awaits_bytes).and_then(|same| same.job_id);
    let document_id = match before {
        Some(SameContent { document_id, raw_path, parsed_path, .. }) => {
            let mut left: Vec<String> = [raw_path].into_iter().chain(parsed_path).collect();
            left.retain(|key| *key != upload.storage_key);
            insert_deletions(tx, Uuid::now_v7(), upload.user, document_id, &left).await?;
            expire_uploads(tx, upload.user, document_id).await?;
            document_id
        }
        None => new_document_id(tx, upload.user, &content.sha256).await?,
    };
    insert_document(tx, upload, content, document_id).await?;
    let job = NewJob {
        job_id: awaiting.unwrap_or_else(JobId::generate),
        document_id,
        user_id: upload.user,
        status: Status::Uploaded,
        progress: if content.ocr { json!({ "ocr": true }) } else { json!({}) },
        delay: if content.stored { Duration::ZERO } else { FIRST_LOOK },
        upload_expires_at: (!content.stored).then_some(upload.expires_at),
        correlation_id: Some(content.correlation_id),
        event: Some(json!({ "bytes_len": content.bytes_len })),
    };
    match awaiting {
        Some(_) => requeue_awaiting_job(tx, &job).await?,
        None => enqueue_jobs(tx, std::slice::from_ref(&job)).await?,
    }
    link_upload(tx, upload, content, document_id, job.job_id).await?;
    let (job_id, upload_id, stored) = (job.job_id, upload.upload_id, content.stored);
    Ok(Accepted { job_id, is_new: awaiting.is_none(), document_id, upload_id, stored })
}

/// Lets the earlier uploads of the document's active version expire, since a newer one takes their place.
async fn expire_uploads(tx: &impl Session, user: UserId, document_id: DocumentId) -> Result<(), DbError> {
    tx.exec(
        "-- expire_uploads
UPDATE upload_pipeline.uploads AS u
SET expires_at = least(u.expires_at, now() + interval '1 day')
WHERE u.user_id = $1 AND u.document_id = $2
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = u.document_id AND v.raw_path = u.storage_key)",
        &[&user.0, &document_id.0],
    )
    .await
}

async fn insert_document(
    tx: &impl Session,
    upload: &NewUpload,
    content: &Content,
    document_id: DocumentId,
) -> Result<(), DbError> {
    tx.exec(
        "-- insert_document
INSERT INTO upload_pipeline.documents AS d
  (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'uploaded', coalesce($8, '{}'))
ON CONFLICT (document_id) DO UPDATE
SET filename = excluded.filename, mime = excluded.mime, bytes_len = excluded.bytes_len, raw_path = excluded.raw_path,
    parsed_path = NULL, parsed_sha256 = NULL, kind = NULL, parser = NULL, page_count = NULL, record = NULL,
    processing_status = excluded.processing_status, metadata = coalesce($8, d.metadata), updated_at = now()",
        &[
            &document_id.0,
            &upload.user.0,
            &upload.filename,
            &upload.mime,
            &content.bytes_len,
            &content.sha256,
            &upload.storage_key,
            &content.metadata,
        ],
    )
    .await
}

async fn link_upload(
    tx: &impl Session,
    upload: &NewUpload,
    content: &Content,
    document_id: DocumentId,
    job_id: JobId,
) -> Result<(), DbError> {
    tx.exec(
        "-- link_upload
UPDATE upload_pipeline.uploads AS u
SET document_id = $2, job_id = $3, filename = $4, mime = $5, bytes_len = $6, file_sha256 = $7, expires_at = $8,
    stored_at = CASE WHEN $9 THEN coalesce(u.stored_at, now()) END
WHERE u.upload_id = $1",
        &[
            &upload.upload_id.0,
            &document_id.0,
            &job_id.0,
            &upload.filename,
            &upload.mime,
            &content.bytes_len,
            &content.sha256,
            &upload.expires_at,
            &content.stored,
        ],
    )
    .await
}
