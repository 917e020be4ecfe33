//! Makes a version the active one, in one transaction with the end of its job.

use std::time::Duration;

use crate::{
    chunks::count_chunks,
    jobs::{FENCED, LET_GO, lock_lease},
    versions::drop_version,
    words::{IndexedWords, replace_words},
    work::Target,
};
use domain::{DocumentId, Fence, ports::EmbedModel};
use pg::{Db, DbError, Session};

/// What became of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switching {
    /// It is the active one.
    Done,
    /// Some chunks have no vector of the active model: it goes back to the embed step.
    Missing {
        /// Its chunks.
        chunks: i64,
        /// Those with a vector of the active model.
        embedded: i64,
    },
    /// Another document of the user has the same bytes by now.
    Taken(DocumentId),
}

/// Makes the staged version the active one, if each of its chunks has a vector of `model`, and ends its job: until the commit
/// everything reads the version before, and from then on this one. The one before is kept.
///
/// # Errors
///
/// The lease is lost, or the database does not answer; nothing is changed then.
pub async fn switch_version(
    db: &Db,
    fence: Fence,
    target: Target,
    words: Option<&IndexedWords>,
    model: &EmbedModel,
    took: Duration,
) -> Result<Switching, DbError> {
    db.run_tx("switch_version", |tx| {
        Box::pin(async move {
            lock_lease(&tx, fence).await?;
            let (chunks, embedded) = count_chunks(&tx, target, model).await?;
            if chunks == 0 || embedded < chunks {
                return Ok(Switching::Missing { chunks, embedded });
            }
            let document = target.document_id;
            let active = lock_active(&tx, fence, document).await?;
            if let Some(other) = find_taken(&tx, target).await? {
                return Ok(Switching::Taken(other));
            }
            if active == target.version_no {
                leave_markdown(&tx, target).await?;
            } else {
                // What a failed reading has left would be in the way.
                drop_version(&tx, document, active).await?;
                archive_version(&tx, document).await?;
            }
            activate_version(&tx, target).await?;
            end_version_job(&tx, fence, target, chunks, took).await?;
            if let Some(words) = words {
                replace_words(&tx, document, words).await?;
            }
            Ok(Switching::Done)
        })
    })
    .await
}

/// Locks the document; the number of its active version.
async fn lock_active(tx: &impl Session, fence: Fence, document: DocumentId) -> Result<i32, DbError> {
    tx.find(
        "-- lock_active
SELECT d.version_no
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1
FOR UPDATE",
        &[&document.0],
    )
    .await?
    .ok_or(DbError::LeaseLost { job_id: fence.job_id })
}

async fn find_taken(tx: &impl Session, target: Target) -> Result<Option<DocumentId>, DbError> {
    tx.find(
        "-- find_taken
SELECT d.document_id
FROM upload_pipeline.document_versions AS v
JOIN upload_pipeline.documents AS d ON d.user_id = v.user_id AND d.file_sha256 = v.file_sha256
WHERE v.document_id = $1 AND v.version_no = $2 AND d.document_id <> v.document_id",
        &[&target.document_id.0, &target.version_no],
    )
    .await
}

/// Hands the markdown of the reading before to housekeeping.
async fn leave_markdown(tx: &impl Session, target: Target) -> Result<(), DbError> {
    tx.run(
        "-- leave_markdown
INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
SELECT gen_random_uuid(), d.user_id, d.document_id, d.parsed_path
FROM upload_pipeline.documents AS d
JOIN upload_pipeline.document_versions AS v ON v.document_id = d.document_id AND v.version_no = $2
WHERE d.document_id = $1 AND d.parsed_path <> '' AND d.parsed_path IS DISTINCT FROM v.parsed_path",
        &[&target.document_id.0, &target.version_no],
    )
    .await
    .map(drop)
}

/// The columns that both tables of chunks have.
const CHUNK_COLUMNS: &str = "chunk_id, document_id, version_no, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
  embed_model, embed_version, vector_dim, embedding, embed_updated_at, created_at, updated_at, heading, page_first, page_last,
  token_count, boxes, page_label";

/// Copies the active version to the others, where it can be restored from. One that never became complete stays a failed one.
async fn archive_version(tx: &impl Session, document: DocumentId) -> Result<(), DbError> {
    tx.exec(
        "-- archive_version
INSERT INTO upload_pipeline.document_versions (document_id, version_no, user_id, state, filename, mime, bytes_len, file_sha256,
  raw_path, parsed_path, parsed_sha256, kind, parser, page_count, record, layout, created_at)
SELECT d.document_id, d.version_no, d.user_id, CASE d.processing_status WHEN 'complete' THEN 'previous' ELSE 'staged' END,
  d.filename, d.mime, d.bytes_len, d.file_sha256, d.raw_path, d.parsed_path, d.parsed_sha256, d.kind, d.parser, d.page_count,
  d.record, d.layout, coalesce(d.version_at, d.created_at)
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1",
        &[&document.0],
    )
    .await?;
    // The numbers of chunks that other programs wrote are theirs.
    let columns = CHUNK_COLUMNS
        .replace("version_no", "(SELECT d.version_no FROM upload_pipeline.documents AS d WHERE d.document_id = $1)");
    tx.exec(
        &format!(
            "-- archive_chunks
INSERT INTO upload_pipeline.version_chunks ({CHUNK_COLUMNS})
SELECT {columns}
FROM upload_pipeline.document_chunks AS c
WHERE c.document_id = $1"
        ),
        &[&document.0],
    )
    .await?;
    // During a change of model the active one's vectors may lie beside.
    tx.run(
        "-- archive_vectors
UPDATE upload_pipeline.version_chunks AS c
SET embedding = b.embedding, embed_model = b.embed_model, embed_version = b.embed_version, vector_dim = b.vector_dim,
    embed_updated_at = b.created_at
FROM upload_pipeline.chunk_vectors AS b
JOIN upload_pipeline.active_model AS m ON m.model = b.embed_model AND m.version = b.embed_version
WHERE b.document_id = $1 AND c.document_id = $1 AND c.chunk_sha = b.chunk_sha
  AND c.version_no = (SELECT d.version_no FROM upload_pipeline.documents AS d WHERE d.document_id = $1)
  AND (c.embed_model, c.embed_version) IS DISTINCT FROM (m.model, m.version)",
        &[&document.0],
    )
    .await
    .map(drop)
}

/// Puts the version in the place of the active one.
async fn activate_version(tx: &impl Session, target: Target) -> Result<(), DbError> {
    let (document, version_no) = (target.document_id.0, target.version_no);
    tx.exec(
        "-- delete_active_chunks
DELETE FROM upload_pipeline.document_chunks AS c
WHERE c.document_id = $1",
        &[&document],
    )
    .await?;
    tx.exec(
        &format!(
            "-- activate_chunks
INSERT INTO upload_pipeline.document_chunks ({CHUNK_COLUMNS})
SELECT {CHUNK_COLUMNS}
FROM upload_pipeline.version_chunks AS c
WHERE c.document_id = $1 AND c.version_no = $2"
        ),
        &[&document, &version_no],
    )
    .await?;
    tx.exec(
        "-- activate_version
UPDATE upload_pipeline.documents AS d
SET filename = v.filename, mime = v.mime, bytes_len = v.bytes_len, file_sha256 = v.file_sha256, raw_path = v.raw_path,
    parsed_path = v.parsed_path, parsed_sha256 = v.parsed_sha256, kind = v.kind, parser = v.parser, page_count = v.page_count,
    record = v.record, layout = v.layout, metadata = coalesce(v.metadata, d.metadata), version_no = v.version_no,
    version_at = v.created_at, processing_status = 'complete', updated_at = now()
FROM upload_pipeline.document_versions AS v
WHERE d.document_id = $1 AND v.document_id = d.document_id AND v.version_no = $2",
        &[&document, &version_no],
    )
    .await?;
    tx.exec(
        "-- delete_staged
DELETE FROM upload_pipeline.document_versions AS v
WHERE v.document_id = $1 AND v.version_no = $2",
        &[&document, &version_no],
    )
    .await
}

async fn end_version_job(
    tx: &impl Session,
    fence: Fence,
    target: Target,
    chunks: i64,
    took: Duration,
) -> Result<(), DbError> {
    tx.exec(
        &format!(
            "-- end_version_job
WITH job AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET {LET_GO}, status = 'complete', state = 'done', retry_count = 0, finished_at = now(),
      progress = j.progress || jsonb_build_object('chunks', $4, 'embedded', $4)
  WHERE {FENCED}
  RETURNING j.job_id, j.document_id, j.progress, j.correlation_id
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT job.job_id, job.document_id, 'finalized', 'info', 'complete',
  jsonb_strip_nulls(jsonb_build_object('duration_ms', $5, 'version_no', $6, 'chunks', $4, 'kept', job.progress -> 'kept')),
  job.correlation_id
FROM job"
        ),
        &[
            &fence.job_id.0,
            &fence.worker.0,
            &fence.epoch,
            &chunks,
            &i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            &target.version_no,
        ],
    )
    .await
}
