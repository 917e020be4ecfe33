//! Replaces a document in place, or restores an earlier version of it. The document's jobs are locked meanwhile, so that it has one
//! live job at most.

mod known;

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

pub(super) use known::find_elsewhere;
use known::{get_live_job, get_version, list_versions_with};

use super::{Content, NewUpload, find_same, link_upload, lock_user_uploads, register};
use crate::{
    documents::{Document, get_document, lock_document, lock_jobs_of_document},
    jobs::{ENDED, NewJob, enqueue_jobs},
};
use domain::{DocumentId, JobId, Status, UserId};
use pg::{Db, DbError, Session};

/// A job that makes another version of a document the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The job.
    pub job_id: JobId,
    /// The version that it makes.
    pub version_no: i32,
    /// Whether the upload's object is that version's; else nothing needs the upload.
    pub takes_upload: bool,
}

/// What became of the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// A job makes the version, or did already when the same wish came before.
    Accepted(Replacement),
    /// The document has these bytes, or this version is the active one.
    Active,
    /// A job of the document has not ended.
    Busy(JobId),
    /// Another document of the user has these bytes, or is about to.
    Elsewhere(DocumentId, Option<JobId>),
    /// The version was never complete, so that there is nothing to restore; its latest job.
    Incomplete(Option<JobId>),
    /// The document has changed since it was seen.
    Changed,
    /// No such version of the document.
    VersionNotFound,
    /// No such document of this user.
    NotFound,
}

/// Whether a document is as its owner saw it.
pub type AsSeen<'a> = &'a (dyn Fn(&Document) -> bool + Send + Sync);

/// Gives a stored upload a job that makes it the next version of `user`'s document. Bytes of an earlier version restore that one,
/// without the upload.
pub async fn register_replacement(
    db: &Db,
    id: DocumentId,
    upload: &NewUpload,
    content: &Content,
    as_seen: AsSeen<'_>,
) -> Result<Replacing, DbError> {
    db.run_tx("register_replacement", move |tx| {
        Box::pin(async move {
            let document = match lock_owned(&tx, upload.user, id, as_seen).await? {
                Ok(document) => document,
                Err(refused) => return Ok(refused),
            };
            if let Some(live) = get_live_job(&tx, id).await? {
                return Ok(live.answer(|live| live.file_sha256.as_deref() == Some(&content.sha256)));
            }
            if document.file_sha256 == content.sha256 {
                if document.processing_status.as_deref() == Some(Status::Complete.as_str()) {
                    return Ok(Replacing::Active);
                }
                // It has failed: the same bytes are read again, in their place.
                let before = find_same(&tx, upload.user, content).await?;
                let job_id = register(&tx, upload, content, before).await?.job_id;
                let version_no = document.version_no;
                return Ok(Replacing::Accepted(Replacement { job_id, version_no, takes_upload: true }));
            }
            if let Some((other, job)) = find_elsewhere(&tx, upload.user, Some(id), &content.sha256).await? {
                return Ok(Replacing::Elsewhere(other, job));
            }
            let known = list_versions_with(&tx, id, &content.sha256).await?;
            if let Some(previous) = known.iter().find(|known| known.is_previous) {
                let new = New { filename: Some(&upload.filename), metadata: content.metadata.as_ref() };
                let correlation_id = Some(content.correlation_id);
                return restore(&tx, upload.user, id, previous.version_no, new, correlation_id).await;
            }
            let version_no = match known.first() {
                Some(failed) => failed.version_no,
                None => take_version_no(&tx, id).await?,
            };
            stage(&tx, id, upload, content, version_no).await
        })
    })
    .await
}

/// Gives an earlier version of `user`'s document a job that makes it the active one again.
pub async fn restore_version(
    db: &Db,
    user: UserId,
    id: DocumentId,
    version_no: i32,
    correlation_id: Option<Uuid>,
    as_seen: AsSeen<'_>,
) -> Result<Replacing, DbError> {
    db.run_tx("restore_version", move |tx| {
        Box::pin(async move {
            let document = match lock_owned(&tx, user, id, as_seen).await? {
                Ok(document) => document,
                Err(refused) => return Ok(refused),
            };
            if let Some(live) = get_live_job(&tx, id).await? {
                return Ok(live.answer(|live| live.version_no == Some(version_no)));
            }
            if document.version_no == version_no {
                return Ok(Replacing::Active);
            }
            let Some(version) = get_version(&tx, id, version_no).await? else { return Ok(Replacing::VersionNotFound) };
            if !version.is_previous {
                return Ok(Replacing::Incomplete(version.job_id));
            }
            if let Some((other, job)) = find_elsewhere(&tx, user, Some(id), &version.file_sha256).await? {
                return Ok(Replacing::Elsewhere(other, job));
            }
            let as_it_is = New { filename: None, metadata: None };
            restore(&tx, user, id, version_no, as_it_is, correlation_id).await
        })
    })
    .await
}

/// Locks what a change of the document's version needs, in the order in which all do; the document.
async fn lock_owned(
    tx: &impl Session,
    user: UserId,
    id: DocumentId,
    as_seen: AsSeen<'_>,
) -> Result<Result<Document, Replacing>, DbError> {
    lock_user_uploads(tx, user).await?;
    lock_jobs_of_document(tx, id).await?;
    lock_document(tx, user, id).await?;
    let Some(document) = get_document(tx, user, id).await? else { return Ok(Err(Replacing::NotFound)) };
    if !as_seen(&document) {
        return Ok(Err(Replacing::Changed));
    }
    Ok(Ok(document))
}

/// Ended jobs that made the active version say so by its number, before another one takes its place.
async fn name_version_of_jobs(tx: &impl Session, id: DocumentId) -> Result<(), DbError> {
    tx.exec(
        &format!(
            "-- name_version_of_jobs
UPDATE upload_pipeline.upload_jobs AS j
SET version_no = d.version_no
FROM upload_pipeline.documents AS d
WHERE j.document_id = $1 AND d.document_id = $1 AND j.version_no IS NULL AND j.state IN {ENDED}"
        ),
        &[&id.0],
    )
    .await
}

async fn take_version_no(tx: &impl Session, id: DocumentId) -> Result<i32, DbError> {
    tx.one(
        "-- take_version_no
UPDATE upload_pipeline.documents AS d
SET last_version = greatest(d.last_version, d.version_no) + 1
WHERE d.document_id = $1
RETURNING d.last_version",
        &[&id.0],
    )
    .await
}

/// Makes the upload a version beside the active one, or that of one that had failed, and gives it a job.
async fn stage(
    tx: &impl Session,
    id: DocumentId,
    upload: &NewUpload,
    content: &Content,
    version_no: i32,
) -> Result<Replacing, DbError> {
    tx.exec(
        "-- stage_version
WITH older AS (
  SELECT v.user_id, v.document_id, k.storage_key
  FROM upload_pipeline.document_versions AS v
  CROSS JOIN LATERAL unnest(ARRAY[v.raw_path, v.parsed_path]) AS k (storage_key)
  WHERE v.document_id = $1 AND v.version_no = $2 AND k.storage_key <> ''
),
expired AS (
  UPDATE upload_pipeline.uploads AS u
  SET expires_at = least(u.expires_at, now() + interval '1 day')
  FROM older AS o
  WHERE u.storage_key = o.storage_key
),
left_over AS (
  INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
  SELECT gen_random_uuid(), o.user_id, o.document_id, o.storage_key
  FROM older AS o
)
INSERT INTO upload_pipeline.document_versions AS v
  (document_id, version_no, user_id, state, filename, mime, bytes_len, file_sha256, raw_path, metadata)
VALUES ($1, $2, $3, 'staged', $4, $5, $6, $7, $8, $9)
ON CONFLICT (document_id, version_no) DO UPDATE
SET filename = excluded.filename, mime = excluded.mime, raw_path = excluded.raw_path, metadata = excluded.metadata,
    parsed_path = NULL, parsed_sha256 = NULL, kind = NULL, parser = NULL, page_count = NULL, record = NULL, layout = NULL,
    created_at = now(), updated_at = now()",
        &[
            &id.0,
            &version_no,
            &upload.user.0,
            &upload.filename,
            &upload.mime,
            &content.bytes_len,
            &content.sha256,
            &upload.storage_key,
            &content.metadata,
        ],
    )
    .await?;
    let progress = if content.ocr { json!({ "ocr": true }) } else { json!({}) };
    let job = new_job(id, upload.user, Status::Uploaded, progress, Some(content.correlation_id), version_no);
    enqueue_version_job(tx, &job, version_no).await?;
    link_upload(tx, upload, content, id, job.job_id).await?;
    // Builds that know no versions would take it for one that nothing refers to.
    tx.exec(
        "-- keep_upload\nUPDATE upload_pipeline.uploads AS u SET expires_at = 'infinity' WHERE u.upload_id = $1",
        &[&upload.upload_id.0],
    )
    .await?;
    Ok(Replacing::Accepted(Replacement { job_id: job.job_id, version_no, takes_upload: true }))
}

/// What is new about a version that is restored; `None`: nothing.
struct New<'a> {
    filename: Option<&'a String>,
    metadata: Option<&'a Value>,
}

/// Gives a version that was active a job that begins as late as what is kept of it allows: nothing is read again, and nothing
/// embedded that has a vector of the active model.
async fn restore(
    tx: &impl Session,
    user: UserId,
    id: DocumentId,
    version_no: i32,
    new: New<'_>,
    correlation_id: Option<Uuid>,
) -> Result<Replacing, DbError> {
    tx.exec(
        "-- prepare_restore
UPDATE upload_pipeline.document_versions AS v
SET filename = coalesce($3, v.filename), metadata = $4, updated_at = now()
WHERE v.document_id = $1 AND v.version_no = $2 AND v.user_id = $5",
        &[&id.0, &version_no, &new.filename, &new.metadata, &user.0],
    )
    .await?;
    let (chunks, kept) = count_kept(tx, id, version_no).await?;
    let status = match chunks {
        0 => Status::Uploaded,
        _ if kept < chunks => Status::ChunksStored,
        _ => Status::EmbeddingsStored,
    };
    let progress = json!({ "chunks": chunks, "embedded": kept, "kept": kept });
    let job = new_job(id, user, status, progress, correlation_id, version_no);
    enqueue_version_job(tx, &job, version_no).await?;
    Ok(Replacing::Accepted(Replacement { job_id: job.job_id, version_no, takes_upload: false }))
}

/// The chunks of a version that is not active, and those with a vector of the active model.
async fn count_kept(tx: &impl Session, id: DocumentId, version_no: i32) -> Result<(i64, i64), DbError> {
    tx.one(
        "-- count_kept
SELECT count(*) AS chunks, count(m.model) AS kept
FROM upload_pipeline.version_chunks AS c
LEFT JOIN upload_pipeline.active_model AS m
  ON m.model = c.embed_model AND m.version = c.embed_version AND m.vector_dim = c.vector_dim AND c.embedding IS NOT NULL
WHERE c.document_id = $1 AND c.version_no = $2",
        &[&id.0, &version_no],
    )
    .await
}

fn new_job(
    document_id: DocumentId,
    user_id: UserId,
    status: Status,
    progress: Value,
    correlation_id: Option<Uuid>,
    version_no: i32,
) -> NewJob {
    NewJob {
        job_id: JobId::generate(),
        document_id,
        user_id,
        status,
        progress,
        delay: Duration::ZERO,
        upload_expires_at: None,
        correlation_id,
        event: Some(json!({ "version_no": version_no })),
    }
}

async fn enqueue_version_job(tx: &impl Session, job: &NewJob, version_no: i32) -> Result<(), DbError> {
    name_version_of_jobs(tx, job.document_id).await?;
    enqueue_jobs(tx, std::slice::from_ref(job)).await?;
    tx.exec(
        "-- name_version\nUPDATE upload_pipeline.upload_jobs AS j SET version_no = $2 WHERE j.job_id = $1",
        &[&job.job_id.0, &version_no],
    )
    .await
}
