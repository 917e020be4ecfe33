//! What `app verify` compares: a document's rows, and what the server itself can say of its chunks and vectors.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    beside::{dim, vector_of},
    jobs::LIVE,
    work::Target,
};
use domain::{DocumentId, ports::EmbedModel};
use pg::{DbError, FromRow, Session};

/// How far the length of a vector may be from 1: what single precision loses in some thousand components.
const LENGTH_TOLERANCE: f64 = 0.001;

/// What the row of a document, or of one of its previous versions, says.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct AuditedDocument {
    /// Its id.
    pub document_id: DocumentId,
    /// The number of the version.
    pub version_no: i32,
    /// Whether it is a previous one.
    pub is_previous: bool,
    /// Declared size in bytes.
    pub bytes_len: i64,
    /// Declared SHA-256.
    pub file_sha256: String,
    /// Key of the bytes; empty once they were removed.
    pub raw_path: String,
    /// Key of the markdown.
    pub parsed_path: Option<String>,
    /// SHA-256 of the markdown, once it was normalised.
    pub parsed_sha256: Option<String>,
    /// How it was read.
    pub record: Option<Value>,
    /// Whether its bytes were found and read.
    pub read: bool,
    /// Whether search sees it, or did, and no job changes it.
    pub complete: bool,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl AuditedDocument {
    /// Where its chunks are.
    pub fn target(&self) -> Target {
        let Self { document_id, version_no, is_previous, .. } = *self;
        Target { document_id, version_no, is_staged: is_previous, reading: None }
    }
}

/// The previous versions of a document; `complete` unless a job restores it.
pub async fn list_audited_versions(db: &impl Session, document: DocumentId) -> Result<Vec<AuditedDocument>, DbError> {
    let sql = format!(
        "-- list_audited_versions
SELECT v.document_id, v.version_no, true AS is_previous, v.bytes_len, v.file_sha256, v.raw_path,
  nullif(v.parsed_path, '') AS parsed_path, v.parsed_sha256, v.record, v.kind IS NOT NULL AS read,
  NOT EXISTS (
    SELECT FROM upload_pipeline.upload_jobs AS j
    WHERE j.document_id = v.document_id AND j.version_no = v.version_no AND j.state IN {LIVE}) AS complete, v.updated_at
FROM upload_pipeline.document_versions AS v
WHERE v.document_id = $1 AND v.state = 'previous'
ORDER BY v.version_no"
    );
    db.list(&sql, &[&document.0]).await
}

/// Up to `limit` documents of all users behind `after`, by id; with `ids`, only those.
pub async fn list_audited_documents(
    db: &impl Session,
    ids: Option<&[Uuid]>,
    after: DocumentId,
    limit: i64,
) -> Result<Vec<AuditedDocument>, DbError> {
    let sql = format!(
        "-- list_audited_documents
SELECT d.document_id, d.version_no, false AS is_previous, d.bytes_len, d.file_sha256, d.raw_path, nullif(d.parsed_path, '') AS parsed_path, d.parsed_sha256,
  d.record, d.kind IS NOT NULL AS read, coalesce(d.processing_status = 'complete', false)
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS j
      WHERE j.document_id = d.document_id AND j.state IN {LIVE}
        AND NOT EXISTS (
          SELECT FROM upload_pipeline.document_versions AS v
          WHERE v.document_id = j.document_id AND v.version_no = j.version_no)) AS complete, d.updated_at
FROM upload_pipeline.documents AS d
WHERE ($1::uuid[] IS NULL OR d.document_id = ANY ($1)) AND d.document_id > $2
ORDER BY d.document_id
LIMIT $3"
    );
    db.list(&sql, &[&ids, &after.0, &limit]).await
}

/// How many judgements of a document are of another user, or of another user's question.
pub async fn count_misplaced_judgements(db: &impl Session, document: DocumentId) -> Result<i64, DbError> {
    db.one(
        "-- count_misplaced_judgements
SELECT count(*)
FROM upload_pipeline.search_judgements AS j
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
JOIN upload_pipeline.search_questions AS q ON q.question_id = j.question_id
WHERE j.document_id = $1 AND (j.user_id <> d.user_id OR q.user_id <> d.user_id)",
        &[&document.0],
    )
    .await
}

/// What the server finds in the chunks of a version.
#[derive(Debug, Clone, Default, FromRow)]
pub struct ChunkFacts {
    /// How many there are.
    pub chunks: i64,
    /// How many sets of one chunker they are.
    pub sets: i64,
    /// The last ordinal, from 0; -1 without chunks.
    pub last_ord: i32,
    /// Ordinals of those whose text is not what their hash says, the first 5.
    pub changed: Vec<i32>,
    /// Ordinals of those without a vector, the first 5.
    pub without_vector: Vec<i32>,
    /// Ordinals of those whose vector has another dimension than the row says, or not length 1; the first 5.
    pub wrong_vector: Vec<i32>,
    /// How many models the vectors are of.
    pub models: i64,
}

/// Counts the chunks of a version, and compares each with its own row.
pub async fn get_chunk_facts(db: &impl Session, target: Target) -> Result<ChunkFacts, DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$3"));
    // A vector that is not finite has no length, so it is not close to 1. Other programs hash the text alone.
    db.one(
        &format!(
            "-- get_chunk_facts
WITH looked_at AS (
  SELECT c.chunk_ord, c.chunker_name, c.chunker_version, c.embed_model, c.embed_version, c.embedding IS NULL AS is_bare,
    lower(c.chunk_sha) NOT IN (
      encode(sha256(convert_to(c.heading || E'\\n' || c.text, 'UTF8')), 'hex'),
      encode(sha256(convert_to(c.text, 'UTF8')), 'hex')
    ) AS is_changed,
    c.embedding IS NOT NULL
      AND NOT (vector_dims(c.embedding) = c.vector_dim AND abs(vector_norm(c.embedding) - 1) <= $2) IS TRUE
      OR EXISTS (
        SELECT FROM upload_pipeline.chunk_vectors AS b
        WHERE b.document_id = c.document_id AND b.chunk_sha = c.chunk_sha AND NOT (abs(vector_norm(b.embedding) - 1) <= $2) IS TRUE
      ) AS is_wrong
  FROM {chunks} AS c
  WHERE {are_its}
)
SELECT count(*) AS chunks, count(DISTINCT (l.chunker_name, l.chunker_version)) AS sets,
  coalesce(max(l.chunk_ord), -1) AS last_ord,
  coalesce((array_agg(l.chunk_ord ORDER BY l.chunk_ord) FILTER (WHERE l.is_changed))[1:5], '{{}}') AS changed,
  coalesce((array_agg(l.chunk_ord ORDER BY l.chunk_ord) FILTER (WHERE l.is_bare))[1:5], '{{}}') AS without_vector,
  coalesce((array_agg(l.chunk_ord ORDER BY l.chunk_ord) FILTER (WHERE l.is_wrong))[1:5], '{{}}') AS wrong_vector,
  count(DISTINCT (l.embed_model, l.embed_version)) FILTER (WHERE NOT l.is_bare) AS models
FROM looked_at AS l"
        ),
        &[&target.document_id.0, &LENGTH_TOLERANCE, &target.version_no],
    )
    .await
}

/// The hashes of the chunks that this chunker made, and no other model than `model` embedded, in order of the text.
pub async fn list_chunk_hashes(
    db: &impl Session,
    target: Target,
    chunker: (&str, &str),
    model: &EmbedModel,
) -> Result<Vec<String>, DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$6"));
    db.list(
        &format!(
            "-- list_chunk_hashes
SELECT c.chunk_sha
FROM {chunks} AS c
WHERE {are_its} AND c.chunker_name = $2 AND c.chunker_version = $3
  AND (c.embed_model IS NULL OR c.embed_model = $4 AND c.embed_version = $5 OR EXISTS (
    SELECT FROM upload_pipeline.chunk_vectors AS b
    WHERE b.document_id = c.document_id AND b.chunk_sha = c.chunk_sha AND b.embed_model = $4 AND b.embed_version = $5))
ORDER BY c.chunk_ord"
        ),
        &[&target.document_id.0, &chunker.0, &chunker.1, &model.name, &model.version, &target.version_no],
    )
    .await
}

/// A chunk that is embedded again.
#[derive(Debug, Clone, FromRow)]
pub struct SampledChunk {
    /// Its place, from 0.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// Its vector.
    pub vector: Vec<f32>,
}

/// About `size` chunks with a vector of `model`, evenly spaced.
pub async fn list_chunk_sample(
    db: &impl Session,
    target: Target,
    model: &EmbedModel,
    size: i64,
) -> Result<Vec<SampledChunk>, DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$5"));
    let vector_of = vector_of("c", "$2", "$3", "$6");
    db.list(
        &format!(
            "-- list_chunk_sample
SELECT s.ord, s.heading, s.text, s.vector
FROM (
  SELECT c.chunk_ord AS ord, c.heading, c.text, e.embedding::real[] AS vector,
    row_number() OVER (ORDER BY c.chunk_ord) - 1 AS place, count(*) OVER () AS chunks
  FROM {chunks} AS c
  CROSS JOIN LATERAL ({vector_of}) AS e
  WHERE {are_its}
) AS s
WHERE s.place % greatest(s.chunks / $4, 1) = 0
ORDER BY s.ord
LIMIT $4"
        ),
        &[&target.document_id.0, &model.name, &model.version, &size, &target.version_no, &dim(model)],
    )
    .await
}
