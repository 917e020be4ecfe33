//! The table `documents` and its chunks, as their owner reads and deletes them.
//!
//! A transaction that locks more than one row locks the user's uploads first, then the document's jobs, then the
//! document. A worker's statements also lock a job before its document.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Cursor,
    deletions::{Deletion, get_deletion, insert_deletions},
    uploads::lock_user_uploads,
    versions::list_version_keys,
};
use crate::{filter::Condition, spending::bill_of};
use domain::{ChunkId, DocumentId, JobId, Status, UserId, filter::Filter, money::Cents};
use pg::{Db, DbError, FromRow, Param, Session};

/// A document.
#[derive(Debug, Clone, FromRow)]
pub struct Document {
    /// Its id.
    pub document_id: DocumentId,
    /// As the client named it.
    pub filename: String,
    /// Declared media type.
    pub mime: String,
    /// Size in bytes.
    pub bytes_len: i64,
    /// SHA-256 of the bytes.
    pub file_sha256: String,
    /// The status of its active version.
    pub processing_status: Option<String>,
    /// The number of that version.
    pub version_no: i32,
    /// What the file is by its content, once parsed.
    pub kind: Option<String>,
    /// Pages, once parsed.
    pub page_count: Option<i32>,
    /// How it was read, once parsed.
    pub record: Option<Value>,
    /// What the client says of it.
    pub metadata: Value,
    /// Chunks stored.
    pub chunks: i64,
    /// Its latest job.
    pub job_id: Option<JobId>,
    /// The state of that job.
    pub job_state: Option<String>,
    /// What providers charged for it, in all its jobs; `None`: for a part of it there was no price.
    pub cost: Option<Cents>,
    /// What they may have charged beside; `None` in the same way.
    pub uncertain: Option<Cents>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

const COLUMNS: &str =
    "d.document_id, d.filename, d.mime, d.bytes_len, d.file_sha256, d.processing_status, d.version_no, d.kind,
  d.page_count, d.record, d.metadata,
  (SELECT count(*) FROM upload_pipeline.document_chunks AS c WHERE c.document_id = d.document_id) AS chunks,
  latest.job_id, latest.state AS job_state, bill.cost, bill.uncertain, d.created_at, d.updated_at
FROM upload_pipeline.documents AS d
LEFT JOIN LATERAL (
  SELECT j.job_id, j.state
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.document_id = d.document_id
  ORDER BY j.created_at DESC, j.job_id DESC
  LIMIT 1) AS latest ON true";

/// A document's columns with its bill, as `SELECT` needs them.
fn columns() -> String {
    let jobs =
        "c.job_id IN (SELECT k.job_id FROM upload_pipeline.upload_jobs AS k WHERE k.document_id = d.document_id)";
    format!("{COLUMNS}\n{}", bill_of(jobs))
}

/// `user`'s document with this id.
pub async fn get_document(db: &impl Session, user: UserId, id: DocumentId) -> Result<Option<Document>, DbError> {
    let columns = columns();
    let sql = format!(
        "-- get_document
SELECT {columns}
WHERE d.document_id = $1 AND d.user_id = $2"
    );
    db.find(&sql, &[&id.0, &user.0]).await
}

/// Where a document's bytes and markdown are.
#[derive(Debug, Clone, FromRow)]
pub struct StoredFiles {
    /// As the client named it.
    pub filename: String,
    /// Key of the bytes; empty once they were removed.
    pub raw_path: String,
    /// Key of the markdown; `None` until the document was read.
    pub markdown_path: Option<String>,
}

/// Where the bytes and the markdown of `user`'s document are.
pub async fn get_stored_files(db: &impl Session, user: UserId, id: DocumentId) -> Result<Option<StoredFiles>, DbError> {
    db.find(
        "-- get_stored_files
SELECT d.filename, d.raw_path, CASE WHEN d.parsed_sha256 IS NOT NULL THEN nullif(d.parsed_path, '') END AS markdown_path
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND d.user_id = $2",
        &[&id.0, &user.0],
    )
    .await
}

/// What a picture of a page is made from.
#[derive(Debug, Clone, FromRow)]
pub struct PageSource {
    /// Key of the bytes; empty once they were removed.
    pub raw_path: String,
    /// What the file is by its content, once parsed.
    pub kind: Option<String>,
    /// Pages, once parsed.
    pub page_count: Option<i32>,
}

/// What pictures of pages of `user`'s document are made from.
pub async fn get_page_source(db: &impl Session, user: UserId, id: DocumentId) -> Result<Option<PageSource>, DbError> {
    db.find(
        "-- get_page_source
SELECT d.raw_path, d.kind, d.page_count
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND d.user_id = $2",
        &[&id.0, &user.0],
    )
    .await
}

/// Where a passage of `user`'s document stands, as JSON; the inner `None`: that is not known.
pub async fn get_chunk_boxes(
    db: &impl Session,
    user: UserId,
    id: DocumentId,
    chunk: Uuid,
) -> Result<Option<Option<Value>>, DbError> {
    db.find(
        "-- get_chunk_boxes
SELECT c.boxes
FROM upload_pipeline.document_chunks AS c
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE c.chunk_id = $3 AND c.document_id = $1 AND d.user_id = $2",
        &[&id.0, &user.0, &chunk],
    )
    .await
}

/// Filters a user's documents; `None` filters nothing.
#[derive(Debug, Clone, Default)]
pub struct DocumentFilter {
    /// Whose latest job is at this status.
    pub processing_status: Option<Status>,
    /// With this kind of content.
    pub kind: Option<String>,
    /// Whose file name holds this, whatever the case.
    pub filename: Option<String>,
    /// For which this holds.
    pub filter: Option<Filter>,
}

/// Up to `limit` of `user`'s documents behind `after`, newest first. A filter reads on through this user's documents
/// only, until the page is full.
pub async fn list_documents(
    db: &impl Session,
    user: UserId,
    filter: &DocumentFilter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Document>, DbError> {
    let (columns, condition) = (columns(), Condition::of(filter.filter.as_ref(), 8));
    let sql = format!(
        "-- list_documents
SELECT {columns}
WHERE d.user_id = $1
  AND (d.created_at, d.document_id) < (coalesce($2, 'infinity'), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
  AND ($4::text IS NULL OR d.processing_status = $4)
  AND ($5::text IS NULL OR d.kind = $5)
  AND ($6::text IS NULL OR strpos(lower(d.filename), lower($6)) > 0)
  AND {}
ORDER BY d.created_at DESC, d.document_id DESC
LIMIT $7",
        condition.sql
    );
    let (at, id) = (after.map(|cursor| cursor.created_at), after.map(|cursor| cursor.id));
    let status = filter.processing_status.map(Status::as_str);
    let mut params: Vec<&dyn Param> = vec![&user.0, &at, &id, &status, &filter.kind, &filter.filename, &limit];
    params.extend(condition.params());
    db.list(&sql, &params).await
}

/// What became of a change.
#[derive(Debug, Clone)]
pub enum Changing {
    /// The document as it is now.
    Done(Box<Document>),
    /// It has changed since it was seen.
    Changed,
    /// No such document of this user.
    NotFound,
}

/// Locks `user`'s document until the transaction ends.
pub(crate) async fn lock_document(tx: &impl Session, user: UserId, id: DocumentId) -> Result<(), DbError> {
    tx.exec(
        "-- lock_document
SELECT
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND d.user_id = $2
FOR UPDATE",
        &[&id.0, &user.0],
    )
    .await
}

/// Makes `metadata` what the client says of `user`'s document, if that is as `expected`.
pub async fn set_metadata(
    db: &Db,
    user: UserId,
    id: DocumentId,
    metadata: &Value,
    expected: &(dyn Fn(&Document) -> bool + Send + Sync),
) -> Result<Changing, DbError> {
    db.run_tx("set_metadata", move |tx| {
        Box::pin(async move {
            lock_document(&tx, user, id).await?;
            match get_document(&tx, user, id).await? {
                None => return Ok(Changing::NotFound),
                Some(document) if !expected(&document) => return Ok(Changing::Changed),
                Some(_) => {}
            }
            tx.exec(
                "-- set_metadata
UPDATE upload_pipeline.documents AS d
SET metadata = $3, updated_at = now()
WHERE d.document_id = $1 AND d.user_id = $2",
                &[&id.0, &user.0, metadata],
            )
            .await?;
            Ok(get_document(&tx, user, id).await?.map_or(Changing::NotFound, |now| Changing::Done(Box::new(now))))
        })
    })
    .await
}

/// A passage of a document.
#[derive(Debug, Clone, FromRow)]
pub struct StoredChunk {
    /// Its id.
    pub chunk_id: ChunkId,
    /// Its place, from 0.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// First page, where there are pages.
    pub page_first: Option<i32>,
    /// Last page.
    pub page_last: Option<i32>,
    /// What is printed on the first page as its number, where that is not the number.
    pub page_label: Option<String>,
    /// Where it stands, as JSON.
    pub boxes: Option<Value>,
    /// Whether it has a vector.
    pub embedded: bool,
}

/// Up to `limit` chunks of `user`'s document behind the place `after` (-1: from the first), in order of the text.
pub async fn list_chunks(
    db: &impl Session,
    user: UserId,
    id: DocumentId,
    after: i32,
    limit: i64,
) -> Result<Vec<StoredChunk>, DbError> {
    db.list(
        "-- list_chunks
SELECT c.chunk_id, c.chunk_ord AS ord, c.heading, c.text, c.page_first, c.page_last,
  c.page_label, c.boxes, c.embedding IS NOT NULL AS embedded
FROM upload_pipeline.document_chunks AS c
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE c.document_id = $1 AND d.user_id = $2 AND c.chunk_ord > $3
ORDER BY c.chunk_ord
LIMIT $4",
        &[&id.0, &user.0, &after, &limit],
    )
    .await
}

/// Locks all jobs of a document until the transaction ends.
pub async fn lock_jobs_of_document(tx: &impl Session, id: DocumentId) -> Result<u64, DbError> {
    tx.run(
        "-- lock_jobs_of_document
SELECT j.job_id
FROM upload_pipeline.upload_jobs AS j
WHERE j.document_id = $1
ORDER BY j.job_id
FOR UPDATE",
        &[&id.0],
    )
    .await
}

/// The result of a deletion.
#[derive(Debug, Clone, Copy)]
pub enum Deleting {
    /// Its rows are gone; the receipt.
    Deleted(Deletion),
    /// It has changed since it was seen.
    Changed,
    /// No such document of this user.
    NotFound,
}

/// Deletes `user`'s document with its jobs, versions, chunks and events, and hands all its objects to housekeeping, if it is as
/// `expected`, which is checked while no worker can change it. A running step can write nothing more, since its job's row
/// is gone.
pub async fn delete_document(
    db: &Db,
    user: UserId,
    id: DocumentId,
    expected: Option<&(dyn Fn(&Document) -> bool + Send + Sync)>,
) -> Result<Deleting, DbError> {
    let deletion_id = Uuid::now_v7();
    db.run_tx("delete_document", move |tx| {
        Box::pin(async move {
            lock_user_uploads(&tx, user).await?;
            lock_jobs_of_document(&tx, id).await?;
            if let Some(expected) = expected {
                let Some(document) = get_document(&tx, user, id).await? else { return Ok(Deleting::NotFound) };
                if !expected(&document) {
                    return Ok(Deleting::Changed);
                }
            }
            lock_document(&tx, user, id).await?;
            let of_versions = list_version_keys(&tx, id).await?;
            let Some(mut keys) = delete_document_row(&tx, user, id).await? else { return Ok(Deleting::NotFound) };
            keys.extend(of_versions);
            keys.extend(forget_uploads(&tx, user, id).await?);
            insert_deletions(&tx, deletion_id, user, id, &keys).await?;
            Ok(get_deletion(&tx, user, deletion_id).await?.map_or(Deleting::NotFound, Deleting::Deleted))
        })
    })
    .await
}

/// Deletes the row, and by cascade its jobs, versions, chunks and events; returns the keys of its own objects.
async fn delete_document_row(tx: &impl Session, user: UserId, id: DocumentId) -> Result<Option<Vec<String>>, DbError> {
    tx.find(
        "-- delete_document_row
DELETE FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND d.user_id = $2
RETURNING array_remove(ARRAY[d.raw_path, d.parsed_path], NULL) AS keys",
        &[&id.0, &user.0],
    )
    .await
}

/// Removes from a document's uploads what they say about it; returns their keys. The rows stay until they expire: they
/// count against the day's uploads, and with them housekeeping finds an object that a slow PUT stores only now.
async fn forget_uploads(tx: &impl Session, user: UserId, id: DocumentId) -> Result<Vec<String>, DbError> {
    tx.list(
        "-- forget_uploads
UPDATE upload_pipeline.uploads AS u
SET document_id = NULL, job_id = NULL, filename = '', mime = '', bytes_len = NULL, file_sha256 = NULL,
    expires_at = least(u.expires_at, now() + interval '1 day')
WHERE u.user_id = $1 AND u.document_id = $2
RETURNING u.storage_key",
        &[&user.0, &id.0],
    )
    .await
}
