//! The packed vectors, as they are written: `search_vectors`.

use crate::words::{Indexable, lock_unchanged};
use domain::{DocumentId, ports::EmbedModel};
use pg::{Db, DbError, FromRow, Session};
use vectors::{VERSION, pack};

/// The packed vectors of a document, ready to be written.
#[derive(Debug, Clone)]
pub struct PackedVectors {
    model: String,
    version: String,
    packed: Vec<u8>,
}

/// Packs a document's vectors; `None`: it has none. Of two models, that of the first counts.
pub fn pack_vectors(document: &Indexable) -> Option<PackedVectors> {
    let (model, version, dim) = document.vectors.iter().flatten().next().map(|first| {
        let (model, version) = first.model.clone();
        (model, version, first.vector.len())
    })?;
    let is_same = |model_of: &(String, String)| (&model_of.0, &model_of.1) == (&model, &version);
    let of_model: Vec<Option<&[f32]>> = document
        .vectors
        .iter()
        .map(|vector| vector.as_ref().filter(|it| is_same(&it.model)).map(|it| it.vector.as_slice()))
        .collect();
    Some(PackedVectors { packed: pack(dim, &of_model), model, version })
}

/// Makes `packed` the packed vectors of an indexed document. In the transaction that indexes it, or under its lock.
pub(crate) async fn write_packed(
    tx: &impl Session,
    document: DocumentId,
    packed: &PackedVectors,
) -> Result<(), DbError> {
    tx.exec(
        "-- write_packed
INSERT INTO upload_pipeline.search_vectors (document_no, embed_model, embed_version, version, packed)
SELECT s.document_no, $2, $3, $4, $5
FROM upload_pipeline.search_documents AS s
WHERE s.document_id = $1
ON CONFLICT (document_no) DO UPDATE
SET embed_model = excluded.embed_model, embed_version = excluded.embed_version, version = excluded.version,
    packed = excluded.packed",
        &[&document.0, &packed.model, &packed.version, &VERSION, &packed.packed],
    )
    .await
}

/// What `list_unpacked` and `count_unpacked` look for: indexed documents with vectors of the active model that are not
/// packed, or by an older packing.
const UNPACKED: &str = "FROM upload_pipeline.active_model AS a
CROSS JOIN upload_pipeline.search_documents AS s
JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id
LEFT JOIN upload_pipeline.search_vectors AS v
  ON v.document_no = s.document_no AND v.embed_model = a.model AND v.embed_version = a.version AND v.version >= $1
WHERE d.processing_status = 'complete' AND v.document_no IS NULL AND EXISTS (
  SELECT
  FROM upload_pipeline.document_chunks AS c
  WHERE c.document_id = s.document_id AND c.embed_model = a.model AND c.embed_version = a.version)";

/// Indexed documents whose vectors are not packed, user by user; at most `limit`.
pub async fn list_unpacked(db: &impl Session, limit: i64) -> Result<Vec<DocumentId>, DbError> {
    let sql =
        format!("-- list_unpacked\nSELECT d.document_id\n{UNPACKED}\nORDER BY d.user_id, d.document_id\nLIMIT $2");
    db.list(&sql, &[&VERSION, &limit]).await
}

/// How many indexed documents have vectors that are not packed.
pub async fn count_unpacked(db: &impl Session) -> Result<i64, DbError> {
    db.one(&format!("-- count_unpacked\nSELECT count(*)\n{UNPACKED}"), &[&VERSION]).await
}

/// Packs a complete document's vectors, unless it has changed since it was read: then its job does.
pub async fn fill_packed(
    db: &Db,
    document: DocumentId,
    seen: &Indexable,
    packed: &PackedVectors,
) -> Result<bool, DbError> {
    db.run_tx("fill_packed", |tx| {
        Box::pin(async move {
            let unchanged = lock_unchanged(&tx, document, seen).await?;
            if unchanged {
                write_packed(&tx, document, packed).await?;
            }
            Ok(unchanged)
        })
    })
    .await
}

/// The same for the vectors of a model that lie beside those in the rows of chunks.
pub async fn fill_packed_beside(
    db: &Db,
    document: DocumentId,
    seen: &Indexable,
    packed: &PackedVectors,
) -> Result<bool, DbError> {
    db.run_tx("fill_packed_beside", |tx| {
        Box::pin(async move {
            let unchanged = lock_unchanged(&tx, document, seen).await?;
            if unchanged {
                write_packed_beside(&tx, document, packed).await?;
            }
            Ok(unchanged)
        })
    })
    .await
}

async fn write_packed_beside(tx: &impl Session, document: DocumentId, packed: &PackedVectors) -> Result<(), DbError> {
    tx.exec(
        "-- write_packed_beside
INSERT INTO upload_pipeline.packed_vectors (document_no, embed_model, embed_version, version, packed)
SELECT s.document_no, $2, $3, $4, $5
FROM upload_pipeline.search_documents AS s
WHERE s.document_id = $1
ON CONFLICT (document_no, embed_model, embed_version) DO UPDATE
SET version = excluded.version, packed = excluded.packed",
        &[&document.0, &packed.model, &packed.version, &VERSION, &packed.packed],
    )
    .await
}

/// A stored vector, and where it is packed.
#[derive(Debug, Clone, FromRow)]
pub struct StoredVector {
    /// The number of its document in the index.
    pub document_no: i32,
    /// Its document.
    pub document_id: DocumentId,
    /// Its place in the document.
    pub ord: i32,
    /// The components.
    pub vector: Vec<f32>,
}

/// A vector of each of up to `limit` packed documents, from a random one on.
pub async fn sample_vectors(db: &impl Session, model: &EmbedModel, limit: i64) -> Result<Vec<StoredVector>, DbError> {
    db.list(
        "-- sample_vectors
WITH sample AS MATERIALIZED (
  SELECT v.document_no
  FROM upload_pipeline.search_vectors AS v
  WHERE v.embed_model = $2 AND v.embed_version = $3 AND v.version = $4
    AND v.document_no > (SELECT (max(x.document_no) - $1) * random() FROM upload_pipeline.search_vectors AS x)
  ORDER BY v.document_no
  LIMIT $1
)
SELECT s.document_no, s.document_id, c.ord, c.vector
FROM sample AS p
JOIN upload_pipeline.search_documents AS s ON s.document_no = p.document_no
CROSS JOIN LATERAL (
  SELECT k.chunk_ord AS ord, k.embedding::real[] AS vector
  FROM upload_pipeline.document_chunks AS k
  WHERE k.document_id = s.document_id AND k.chunker_name = s.chunker_name AND k.chunker_version = s.chunker_version
    AND k.embed_model = $2 AND k.embed_version = $3 AND k.embedding IS NOT NULL
  ORDER BY random()
  LIMIT 1
) AS c",
        &[&limit, &model.name, &model.version, &VERSION],
    )
    .await
}
