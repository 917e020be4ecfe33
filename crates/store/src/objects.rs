//! Which stored objects the tables name, for the checks that compare both.

use time::OffsetDateTime;
use uuid::Uuid;

use domain::DocumentId;
use pg::{DbError, Session};

/// The keys of `limit` complete documents and of their previous versions: half of the documents completed last, half from a random id on.
pub async fn list_stored_keys(db: &impl Session, limit: i64) -> Result<Vec<(DocumentId, String)>, DbError> {
    db.list(
        "-- list_stored_keys
WITH latest AS (
  SELECT j.document_id
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.status = 'complete'
  ORDER BY j.job_id DESC
  LIMIT $1 / 2
),
anywhere AS (
  SELECT d.document_id
  FROM upload_pipeline.documents AS d
  WHERE d.document_id >= $2 AND d.processing_status = 'complete'
  ORDER BY d.document_id
  LIMIT $1 / 2
),
sample AS (
  SELECT l.document_id FROM latest AS l
  UNION
  SELECT a.document_id FROM anywhere AS a
)
SELECT d.document_id, k.storage_key
FROM sample AS s
JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id AND d.processing_status = 'complete'
CROSS JOIN LATERAL (
  SELECT unnest(ARRAY[d.raw_path, d.parsed_path])
  UNION
  SELECT unnest(ARRAY[v.raw_path, v.parsed_path])
  FROM upload_pipeline.document_versions AS v
  WHERE v.document_id = d.document_id AND v.state = 'previous'
) AS k (storage_key)
WHERE k.storage_key <> ''",
        &[&limit, &Uuid::new_v4()],
    )
    .await
}

/// Whether the document, or a version of it, still names the object.
pub async fn names_object(db: &impl Session, document: DocumentId, key: &str) -> Result<bool, DbError> {
    db.one(
        "-- names_object
SELECT EXISTS (
  SELECT FROM upload_pipeline.documents AS d
  WHERE d.document_id = $1 AND $2 IN (d.raw_path, d.parsed_path)
  UNION ALL
  SELECT FROM upload_pipeline.document_versions AS v
  WHERE v.document_id = $1 AND $2 IN (v.raw_path, v.parsed_path)) AS is_named",
        &[&document.0, &key],
    )
    .await
}

/// Those of the keys that no row names: no document, no version, no upload, and no deletion under way.
pub async fn list_unknown_keys(db: &impl Session, keys: &[String]) -> Result<Vec<String>, DbError> {
    db.list(
        "-- list_unknown_keys
SELECT k.storage_key
FROM unnest($1::text[]) AS k (storage_key)
WHERE NOT EXISTS (SELECT FROM upload_pipeline.uploads AS u WHERE u.storage_key = k.storage_key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.documents AS d WHERE d.raw_path = k.storage_key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.documents AS d WHERE d.parsed_path = k.storage_key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.document_versions AS v WHERE v.raw_path = k.storage_key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.document_versions AS v WHERE v.parsed_path = k.storage_key)
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.storage_deletions AS s
    WHERE s.storage_key = k.storage_key AND s.deleted_at IS NULL)
ORDER BY k.storage_key",
        &[&keys],
    )
    .await
}

/// Those of the documents that are there, and were there before they were deleted.
pub async fn list_returned_documents(
    db: &impl Session,
    deleted: &[(DocumentId, OffsetDateTime)],
) -> Result<Vec<DocumentId>, DbError> {
    let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = deleted.iter().map(|(id, at)| (id.0, *at)).unzip();
    db.list(
        "-- list_returned_documents
SELECT DISTINCT d.document_id
FROM unnest($1::uuid[], $2::timestamptz[]) AS t (document_id, deleted_at)
JOIN upload_pipeline.documents AS d ON d.document_id = t.document_id AND d.created_at <= t.deleted_at
ORDER BY d.document_id",
        &[&ids, &times],
    )
    .await
}
