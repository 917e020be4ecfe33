//! The tables `document_chunks` and `version_chunks`, as the worker writes them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

use super::{
    beside::{insert_beside, known_vector},
    embed_calls::{Charged, store_embed_call},
    jobs::{FENCED, advance_job, lock_lease, save_progress},
    work::Target,
};
use domain::{
    ChunkId, Fence, Lease, Status, Step,
    document::PageBox,
    hex,
    ports::{Chunk, EmbedModel},
};
use pg::{Db, DbError, FromRow, Session};

/// Rows an INSERT carries: large enough that round trips do not count, small enough for one message.
const ROWS_PER_INSERT: usize = 500;

/// What cut the chunks.
#[derive(Debug, Clone, Copy)]
pub struct ChunkerId<'a> {
    /// For `chunker_name`.
    pub name: &'a str,
    /// For `chunker_version`.
    pub version: &'a str,
}

/// Makes `chunks` the only chunks of the version and writes the checkpoint, in one transaction under the lease. A chunk
/// whose text is what it was keeps its vector, and so does one of a staged version whose text the active one has.
pub async fn replace_chunks(
    db: &Db,
    lease: &Lease,
    target: Target,
    chunker: ChunkerId<'_>,
    chunks: &[Chunk],
    took: Duration,
) -> Result<(), DbError> {
    db.run_tx("replace_chunks", |tx| {
        Box::pin(async move {
            lock_lease(&tx, lease.fence).await?;
            delete_other_chunks(&tx, target, chunker, chunks.len()).await?;
            for (index, part) in chunks.chunks(ROWS_PER_INSERT).enumerate() {
                upsert_chunks(&tx, target, chunker, index * ROWS_PER_INSERT, part).await?;
            }
            let mut progress = json!({ "chunks": chunks.len(), "reused": null });
            if target.is_staged {
                progress["kept"] = json!(keep_vectors(&tx, target).await?);
            }
            advance_job(&tx, lease, Step::Chunk, Status::ChunksStored, &progress, took).await
        })
    })
    .await
}

async fn delete_other_chunks(
    tx: &impl Session,
    target: Target,
    chunker: ChunkerId<'_>,
    keep: usize,
) -> Result<(), DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$5"));
    tx.exec(
        &format!(
            "-- delete_other_chunks
DELETE FROM {chunks} AS c
WHERE {are_its} AND (c.chunker_name <> $2 OR c.chunker_version <> $3 OR c.chunk_ord >= $4)"
        ),
        &[&target.document_id.0, &chunker.name, &chunker.version, &ordinal(keep), &target.version_no],
    )
    .await
}

/// Gives the chunks of a staged version the vectors that the active one has for the same text, by the active model. How many
/// chunks have one from there.
async fn keep_vectors(tx: &impl Session, target: Target) -> Result<i64, DbError> {
    tx.one(
        "-- keep_vectors
WITH there AS (
  SELECT DISTINCT ON (a.chunk_sha) a.chunk_sha, a.embed_model, a.embed_version, a.vector_dim, a.embedding, a.embed_updated_at
  FROM upload_pipeline.document_chunks AS a
  JOIN upload_pipeline.active_model AS m
    ON m.model = a.embed_model AND m.version = a.embed_version AND m.vector_dim = a.vector_dim
  WHERE a.document_id = $1 AND a.embedding IS NOT NULL
  ORDER BY a.chunk_sha, a.chunk_ord
),
kept AS (
  UPDATE upload_pipeline.version_chunks AS c
  SET embedding = there.embedding, embed_model = there.embed_model, embed_version = there.embed_version,
      vector_dim = there.vector_dim, embed_updated_at = there.embed_updated_at
  FROM there
  WHERE c.document_id = $1 AND c.version_no = $2 AND c.chunk_sha = there.chunk_sha
  RETURNING c.chunk_id
)
SELECT count(*) AS kept
FROM kept",
        &[&target.document_id.0, &target.version_no],
    )
    .await
}

async fn upsert_chunks(
    tx: &impl Session,
    target: Target,
    chunker: ChunkerId<'_>,
    first: usize,
    chunks: &[Chunk],
) -> Result<(), DbError> {
    let ords: Vec<i32> = (first..first + chunks.len()).map(ordinal).collect();
    let id = |ord: &i32| ChunkId::of(target.document_id, target.version_no, chunker.name, chunker.version, *ord).0;
    let ids: Vec<Uuid> = ords.iter().map(id).collect();
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    let headings: Vec<&str> = chunks.iter().map(|chunk| chunk.heading.as_str()).collect();
    let shas: Vec<String> = chunks.iter().map(chunk_sha).collect();
    let page_firsts: Vec<Option<i32>> = chunks.iter().map(|chunk| chunk.page_first).collect();
    let page_lasts: Vec<Option<i32>> = chunks.iter().map(|chunk| chunk.page_last).collect();
    let page_labels: Vec<Option<&str>> = chunks.iter().map(|chunk| chunk.page_label.as_deref()).collect();
    let boxes: Vec<Option<Value>> = chunks.iter().map(|chunk| boxes_json(&chunk.boxes)).collect();
    let tokens: Vec<i32> = chunks.iter().map(|chunk| chunk.token_count).collect();
    let place = if target.is_staged { "document_id, version_no" } else { "document_id" };
    let chunks = target.chunks();
    tx.exec(
        &format!(
            "-- upsert_chunks
INSERT INTO {chunks} AS c
  (chunk_id, document_id, version_no, chunker_name, chunker_version, chunk_ord, text, heading, chunk_sha, page_first, page_last,
   token_count, page_label, boxes)
SELECT n.chunk_id, $1, $14, $2, $3, n.chunk_ord, n.text, n.heading, n.chunk_sha, n.page_first, n.page_last,
  n.token_count, n.page_label, n.boxes
FROM unnest($4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::int[], $10::int[], $11::int[],
    $12::text[], $13::jsonb[])
  AS n (chunk_id, chunk_ord, text, heading, chunk_sha, page_first, page_last, token_count, page_label, boxes)
ON CONFLICT ({place}, chunker_name, chunker_version, chunk_ord) DO UPDATE
SET text = excluded.text,
    heading = excluded.heading,
    chunk_sha = excluded.chunk_sha,
    page_first = excluded.page_first,
    page_last = excluded.page_last,
    page_label = excluded.page_label,
    boxes = excluded.boxes,
    token_count = excluded.token_count,
    embedding = CASE WHEN c.chunk_sha = excluded.chunk_sha THEN c.embedding END,
    embed_model = CASE WHEN c.chunk_sha = excluded.chunk_sha THEN c.embed_model END,
    embed_version = CASE WHEN c.chunk_sha = excluded.chunk_sha THEN c.embed_version END,
    vector_dim = CASE WHEN c.chunk_sha = excluded.chunk_sha THEN c.vector_dim END,
    embed_updated_at = CASE WHEN c.chunk_sha = excluded.chunk_sha THEN c.embed_updated_at END,
    updated_at = now()"
        ),
        &[
            &target.document_id.0,
            &chunker.name,
            &chunker.version,
            &ids,
            &ords,
            &texts,
            &headings,
            &shas,
            &page_firsts,
            &page_lasts,
            &tokens,
            &page_labels,
            &boxes,
            &target.version_no,
        ],
    )
    .await
}

/// The boxes as rows hold them: with the four digits that there are, behind which a longer float has noise.
fn boxes_json(boxes: &[PageBox]) -> Option<Value> {
    let edge = |edge: f32| (f64::from(edge) * 10_000.0).round() / 10_000.0;
    let json = |place: &PageBox| {
        let (left, top) = (edge(place.left), edge(place.top));
        json!({ "page": place.page, "left": left, "top": top, "right": edge(place.right), "bottom": edge(place.bottom) })
    };
    (!boxes.is_empty()).then(|| boxes.iter().map(json).collect())
}

/// SHA-256 of what is embedded, so that a chunk is embedded again only when that changed.
pub fn chunk_sha(chunk: &Chunk) -> String {
    hex(Sha256::digest(format!("{}\n{}", chunk.heading, chunk.text)))
}

fn ordinal(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// A chunk that has no vector of the active model yet.
#[derive(Debug, Clone, FromRow)]
pub struct PendingChunk {
    /// Its id.
    pub chunk_id: ChunkId,
    /// Headings above it.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// To see, when the vector is written, that the text is still the one that was embedded.
    pub chunk_sha: String,
    /// Tokens of what is embedded, as the chunker counts them.
    pub token_count: i32,
}

/// The first `limit` chunks, in order of the text, that have no vector of `model`.
pub async fn list_pending_chunks(
    db: &impl Session,
    target: Target,
    model: &EmbedModel,
    limit: i64,
) -> Result<Vec<PendingChunk>, DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$6"));
    db.list(
        &format!(
            "-- list_pending_chunks
SELECT c.chunk_id, c.heading, c.text, c.chunk_sha, coalesce(c.token_count, 0) AS token_count
FROM {chunks} AS c
WHERE {are_its}
  AND (c.embedding IS NULL OR c.embed_model <> $2 OR c.embed_version <> $3 OR c.vector_dim <> $4)
ORDER BY c.chunk_ord
LIMIT $5"
        ),
        &[&target.document_id.0, &model.name, &model.version, &ordinal(model.dim), &limit, &target.version_no],
    )
    .await
}

/// How many chunks a version has, and how many have a vector of `model`.
pub async fn count_chunks(db: &impl Session, target: Target, model: &EmbedModel) -> Result<(i64, i64), DbError> {
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$5"));
    db.one(
        &format!(
            "-- count_chunks
SELECT count(*) AS chunks,
  count(*) FILTER (WHERE c.embedding IS NOT NULL AND c.embed_model = $2 AND c.embed_version = $3 AND c.vector_dim = $4) AS embedded
FROM {chunks} AS c
WHERE {are_its}"
        ),
        &[&target.document_id.0, &model.name, &model.version, &ordinal(model.dim), &target.version_no],
    )
    .await
}

/// Gives those of `pending`, which are chunks of the leased job, the vector of an equal text of the same user that has
/// one of `model`, and counts them in the job's `reused`. Returns the ids of the chunks that have one now; none, and nothing is
/// written, if the lease is lost.
pub async fn copy_known_vectors(
    db: &impl Session,
    fence: Fence,
    target: Target,
    model: &EmbedModel,
    pending: &[PendingChunk],
) -> Result<Vec<ChunkId>, DbError> {
    let (chunks, known) = (target.chunks(), known_vector("n.chunk_sha", "d.user_id", "$6", "$7", "$8"));
    let ids: Vec<Uuid> = pending.iter().map(|chunk| chunk.chunk_id.0).collect();
    let shas: Vec<&str> = pending.iter().map(|chunk| chunk.chunk_sha.as_str()).collect();
    db.list(
        &format!(
            "-- copy_known_vectors
WITH copied AS (
  UPDATE {chunks} AS c
  SET embedding = known.embedding,
      embed_model = $6,
      embed_version = $7,
      vector_dim = $8,
      embed_updated_at = now(),
      updated_at = now()
  FROM unnest($4::uuid[], $5::text[]) AS n (chunk_id, chunk_sha)
  JOIN upload_pipeline.upload_jobs AS j ON {FENCED}
  JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
  CROSS JOIN LATERAL ({known}) AS known
  WHERE c.chunk_id = n.chunk_id AND c.chunk_sha = n.chunk_sha
  RETURNING c.chunk_id
),
counted AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET progress = j.progress
    || jsonb_build_object('reused', coalesce((j.progress ->> 'reused')::bigint, 0) + (SELECT count(*) FROM copied))
  WHERE {FENCED} AND EXISTS (SELECT FROM copied)
)
SELECT copied.chunk_id
FROM copied"
        ),
        &[
            &fence.job_id.0,
            &fence.worker.0,
            &fence.epoch,
            &ids,
            &shas,
            &model.name,
            &model.version,
            &ordinal(model.dim),
        ],
    )
    .await
}

/// Where vectors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the rows of a version's chunks.
    Rows(Target),
    /// Beside the rows of the active version, for a change of model.
    Beside,
}

/// Commits one batch of vectors, the counts and the end of the request that bought them, in one transaction under the
/// lease: what was embedded is never embedded again.
pub async fn save_vectors(
    db: &Db,
    fence: Fence,
    place: Place,
    model: &EmbedModel,
    batch: &[(PendingChunk, Vec<f32>)],
    bought: Option<Charged>,
    progress: &Value,
) -> Result<(), DbError> {
    db.run_tx("save_vectors", |tx| {
        Box::pin(async move {
            lock_lease(&tx, fence).await?;
            match place {
                Place::Rows(target) => update_vectors(&tx, target, model, batch).await?,
                Place::Beside => insert_beside(&tx, model, batch).await?,
            }
            if let Some(charged) = bought {
                store_embed_call(&tx, charged).await?;
            }
            save_progress(&tx, fence, Step::Embed, Status::EmbeddingInProgress, progress).await
        })
    })
    .await
}

/// The vectors go as one flat array and are cut up again by the server: nested arrays have no built-in parameter form.
async fn update_vectors(
    tx: &impl Session,
    target: Target,
    model: &EmbedModel,
    batch: &[(PendingChunk, Vec<f32>)],
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = batch.iter().map(|(chunk, _)| chunk.chunk_id.0).collect();
    let shas: Vec<&str> = batch.iter().map(|(chunk, _)| chunk.chunk_sha.as_str()).collect();
    let flat: Vec<f32> = batch.iter().flat_map(|(_, vector)| vector.iter().copied()).collect();
    let chunks = target.chunks();
    tx.exec(
        &format!(
            "-- update_vectors
UPDATE {chunks} AS c
SET embedding = ($3::real[])[(n.i - 1) * $6 + 1 : n.i * $6]::vector,
    embed_model = $4,
    embed_version = $5,
    vector_dim = $6,
    embed_updated_at = now(),
    updated_at = now()
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS n (chunk_id, chunk_sha, i)
WHERE c.chunk_id = n.chunk_id AND c.chunk_sha = n.chunk_sha"
        ),
        &[&ids, &shas, &flat, &model.name, &model.version, &ordinal(model.dim)],
    )
    .await
}
