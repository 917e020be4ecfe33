//! The table `chunk_vectors`: vectors beside those in the rows of chunks, and the conditions that look in both places.
//!
//! A chunk's vector of a model lies in its row or beside it. Search reads those of one model, wherever they lie, so a change of the
//! active model moves no vector.

use uuid::Uuid;

use crate::{chunks::PendingChunk, jobs::FENCED};
use domain::{ChunkId, DocumentId, Fence, ports::EmbedModel};
use pg::{DbError, FromRow, Session};

/// The model's dimension, as columns hold it.
pub(crate) fn dim(model: &EmbedModel) -> i32 {
    i32::try_from(model.dim).unwrap_or(i32::MAX)
}

/// Selects the vector of the chunk `chunk` by a model: none or one row with `embedding`. The other arguments are SQL, too.
pub(crate) fn vector_of(chunk: &str, model: &str, version: &str, dim: &str) -> String {
    format!(
        "
  SELECT {chunk}.embedding
  WHERE {chunk}.embed_model = {model} AND {chunk}.embed_version = {version} AND {chunk}.vector_dim = {dim}
    AND {chunk}.embedding IS NOT NULL
  UNION ALL
  SELECT b.embedding
  FROM upload_pipeline.chunk_vectors AS b
  WHERE b.document_id = {chunk}.document_id AND b.chunk_sha = {chunk}.chunk_sha AND b.embed_model = {model}
    AND b.embed_version = {version} AND b.vector_dim = {dim}
  LIMIT 1"
    )
}

/// Whether the chunk `chunk` has no vector by a model, in neither place.
pub(crate) fn lacks_vector(chunk: &str, model: &str, version: &str, dim: &str) -> String {
    format!(
        "({chunk}.embedding IS NULL
    OR ({chunk}.embed_model, {chunk}.embed_version, {chunk}.vector_dim) IS DISTINCT FROM ({model}, {version}, {dim}))
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.chunk_vectors AS b
    WHERE b.document_id = {chunk}.document_id AND b.chunk_sha = {chunk}.chunk_sha AND b.embed_model = {model}
      AND b.embed_version = {version} AND b.vector_dim = {dim})"
    )
}

/// Whether the text of the chunk `chunk` was refused by the service of the new model.
pub(crate) fn is_refused(chunk: &str) -> String {
    format!(
        "EXISTS (
    SELECT FROM upload_pipeline.refused_texts AS r
    WHERE r.document_id = {chunk}.document_id AND r.chunk_sha = {chunk}.chunk_sha)"
    )
}

/// Selects a vector of the user's for an equal text, in either place: none or one row with `embedding`.
///
/// `OFFSET 0` keeps the search for each text a look-up by its hash.
pub(crate) fn known_vector(sha: &str, user: &str, model: &str, version: &str, dim: &str) -> String {
    format!(
        "
    SELECT k.embedding
    FROM (
      SELECT k.embedding, k.document_id
      FROM upload_pipeline.document_chunks AS k
      WHERE k.chunk_sha = {sha} AND k.embedding IS NOT NULL AND k.embed_model = {model} AND k.embed_version = {version}
        AND k.vector_dim = {dim}
      UNION ALL
      SELECT b.embedding, b.document_id
      FROM upload_pipeline.chunk_vectors AS b
      WHERE b.chunk_sha = {sha} AND b.embed_model = {model} AND b.embed_version = {version} AND b.vector_dim = {dim}
      OFFSET 0) AS k
    JOIN upload_pipeline.documents AS o ON o.document_id = k.document_id
    WHERE o.user_id = {user}
    LIMIT 1"
    )
}

/// The part of all documents that one job of a run goes over, by the last byte of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Part {
    /// Which one, from 0.
    pub part: i32,
    /// Of how many.
    pub parts: i32,
}

/// Whether the document `d` is of the part whose number and count are these parameters.
pub(crate) fn of_part(part: &str, parts: &str) -> String {
    format!("get_byte(uuid_send(d.document_id), 15) % {parts} = {part}")
}

/// The part of a leased job of a run.
///
/// # Errors
///
/// The lease is lost, or the database does not answer.
pub async fn get_part(db: &impl Session, fence: Fence) -> Result<Part, DbError> {
    db.find(
        &format!(
            "-- get_part
SELECT (j.progress ->> 'part')::int AS part, (j.progress ->> 'parts')::int AS parts
FROM upload_pipeline.upload_jobs AS j
WHERE {FENCED}"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await?
    .ok_or(DbError::LeaseLost { job_id: fence.job_id })
}

/// Up to `limit` chunks of complete documents behind `after` that lack a vector of `model` and were not refused, document by document.
pub async fn list_lacking_chunks(
    db: &impl Session,
    model: &EmbedModel,
    part: Part,
    after: DocumentId,
    limit: i64,
) -> Result<Vec<(DocumentId, PendingChunk)>, DbError> {
    #[derive(FromRow)]
    struct Row {
        document_id: DocumentId,
        chunk_id: ChunkId,
        heading: String,
        text: String,
        chunk_sha: String,
        token_count: i32,
    }
    let (lacks, refused, of_part) = (lacks_vector("c", "$1", "$2", "$3"), is_refused("c"), of_part("$4", "$5"));
    let rows: Vec<Row> = db
        .list(
            &format!(
                "-- list_lacking_chunks
SELECT l.document_id, l.chunk_id, l.heading, l.text, l.chunk_sha, l.token_count
FROM upload_pipeline.documents AS d
CROSS JOIN LATERAL (
  SELECT c.document_id, c.chunk_id, c.heading, c.text, c.chunk_sha, coalesce(c.token_count, 0) AS token_count, c.chunk_ord
  FROM upload_pipeline.document_chunks AS c
  WHERE c.document_id = d.document_id AND {lacks}
    AND NOT {refused}
  OFFSET 0
) AS l
WHERE d.document_id > $6 AND d.processing_status = 'complete' AND {of_part}
ORDER BY d.document_id, l.chunk_ord
LIMIT $7"
            ),
            &[&model.name, &model.version, &dim(model), &part.part, &part.parts, &after.0, &limit],
        )
        .await?;
    let pending = |row: Row| {
        let Row { document_id, chunk_id, heading, text, chunk_sha, token_count } = row;
        (document_id, PendingChunk { chunk_id, heading, text, chunk_sha, token_count })
    };
    Ok(rows.into_iter().map(pending).collect())
}

/// Writes beside `pending`, chunks of complete documents, the vectors that their users have for equal texts. Returns the ids of the
/// chunks that have one now; none, and nothing is written, if the lease is lost.
pub async fn copy_known_beside(
    db: &impl Session,
    fence: Fence,
    model: &EmbedModel,
    pending: &[PendingChunk],
) -> Result<Vec<ChunkId>, DbError> {
    let ids: Vec<Uuid> = pending.iter().map(|chunk| chunk.chunk_id.0).collect();
    let shas: Vec<&str> = pending.iter().map(|chunk| chunk.chunk_sha.as_str()).collect();
    let known = known_vector("n.chunk_sha", "d.user_id", "$6", "$7", "$8");
    db.list(
        &format!(
            "-- copy_known_beside
WITH known AS MATERIALIZED (
  SELECT c.chunk_id, c.document_id, c.chunk_sha, known.embedding
  FROM unnest($4::uuid[], $5::text[]) AS n (chunk_id, chunk_sha)
  JOIN upload_pipeline.upload_jobs AS j ON {FENCED}
  JOIN upload_pipeline.document_chunks AS c ON c.chunk_id = n.chunk_id AND c.chunk_sha = n.chunk_sha
  JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
  CROSS JOIN LATERAL ({known}) AS known
),
copied AS (
  INSERT INTO upload_pipeline.chunk_vectors (document_id, chunk_sha, embed_model, embed_version, vector_dim, embedding)
  SELECT DISTINCT ON (k.document_id, k.chunk_sha) k.document_id, k.chunk_sha, $6, $7, $8, k.embedding
  FROM known AS k
  ON CONFLICT (document_id, chunk_sha, embed_model, embed_version) DO NOTHING
)
SELECT k.chunk_id
FROM known AS k"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch, &ids, &shas, &model.name, &model.version, &dim(model)],
    )
    .await
}

/// Writes the vectors of a batch beside its chunks. A chunk that was deleted or has another text by now gets none. For the
/// transaction that holds the lease.
pub(crate) async fn insert_beside(
    tx: &impl Session,
    model: &EmbedModel,
    batch: &[(PendingChunk, Vec<f32>)],
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = batch.iter().map(|(chunk, _)| chunk.chunk_id.0).collect();
    let shas: Vec<&str> = batch.iter().map(|(chunk, _)| chunk.chunk_sha.as_str()).collect();
    let flat: Vec<f32> = batch.iter().flat_map(|(_, vector)| vector.iter().copied()).collect();
    tx.run(
        "-- insert_beside
INSERT INTO upload_pipeline.chunk_vectors (document_id, chunk_sha, embed_model, embed_version, vector_dim, embedding)
SELECT DISTINCT ON (c.document_id, c.chunk_sha) c.document_id, c.chunk_sha, $4, $5, $6,
  ($3::real[])[(n.i - 1) * $6 + 1 : n.i * $6]::vector
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS n (chunk_id, chunk_sha, i)
JOIN upload_pipeline.document_chunks AS c ON c.chunk_id = n.chunk_id AND c.chunk_sha = n.chunk_sha
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
ON CONFLICT (document_id, chunk_sha, embed_model, embed_version) DO UPDATE
SET embedding = excluded.embedding, vector_dim = excluded.vector_dim, created_at = now()",
        &[&ids, &shas, &flat, &model.name, &model.version, &dim(model)],
    )
    .await
    .map(drop)
}

/// Writes that the service of the new model refuses the texts of these chunks.
pub async fn insert_refused_texts(db: &impl Session, chunks: &[ChunkId], code: &str) -> Result<(), DbError> {
    let ids: Vec<Uuid> = chunks.iter().map(|chunk| chunk.0).collect();
    db.run(
        "-- insert_refused_texts
INSERT INTO upload_pipeline.refused_texts (document_id, chunk_sha, code)
SELECT DISTINCT c.document_id, c.chunk_sha, $2
FROM upload_pipeline.document_chunks AS c
WHERE c.chunk_id = ANY ($1)
ON CONFLICT (document_id, chunk_sha) DO UPDATE
SET code = excluded.code, refused_at = now()",
        &[&ids, &code],
    )
    .await
    .map(drop)
}

/// The indexed documents whose vectors by a model lie beside, are all there, and are not packed. `$1` to `$3`: the model; `$4`: the
/// version of the packing.
pub(crate) fn unpacked_beside() -> String {
    let (lacks, refused) = (lacks_vector("c", "$1", "$2", "$3"), is_refused("c"));
    format!(
        "FROM upload_pipeline.search_documents AS s
JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id
WHERE d.processing_status = 'complete'
  AND EXISTS (
    SELECT FROM upload_pipeline.chunk_vectors AS k
    WHERE k.document_id = d.document_id AND k.embed_model = $1 AND k.embed_version = $2)
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.packed_vectors AS p
    WHERE p.document_no = s.document_no AND p.embed_model = $1 AND p.embed_version = $2 AND p.version >= $4)
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.search_vectors AS v
    WHERE v.document_no = s.document_no AND v.embed_model = $1 AND v.embed_version = $2 AND v.version >= $4)
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.document_chunks AS c
    WHERE c.document_id = d.document_id AND {lacks}
      AND NOT {refused})"
    )
}

/// Up to `limit` documents of the part whose vectors by `model` are to be packed.
pub async fn list_unpacked_beside(
    db: &impl Session,
    model: &EmbedModel,
    part: Part,
    limit: i64,
) -> Result<Vec<DocumentId>, DbError> {
    let (unpacked, of_part) = (unpacked_beside(), of_part("$5", "$6"));
    db.list(
        &format!("-- list_unpacked_beside\nSELECT d.document_id\n{unpacked}\n  AND {of_part}\nLIMIT $7"),
        &[&model.name, &model.version, &dim(model), &vectors::VERSION, &part.part, &part.parts, &limit],
    )
    .await
}

/// How many documents' vectors by `model` are to be packed.
pub async fn count_unpacked_beside(db: &impl Session, model: &EmbedModel) -> Result<i64, DbError> {
    db.one(
        &format!("-- count_unpacked_beside\nSELECT count(*)\n{}", unpacked_beside()),
        &[&model.name, &model.version, &dim(model), &vectors::VERSION],
    )
    .await
}
