//! The index of a document, as it is written: its words in `search_users`, `search_documents`, `search_words` and
//! `search_titles`, and its packed vectors.

use uuid::Uuid;

use crate::{
    beside::{dim, vector_of},
    packed::{PackedVectors, pack_vectors, write_packed},
    work::Target,
};
use domain::{DocumentId, ports::EmbedModel};
use pg::{Db, DbError, FromRow, Session};
use words::{Passage, VERSION, WordIndex, index};

/// Rows an INSERT carries: a few hundred kilobytes.
const ROWS_PER_INSERT: usize = 5000;

/// A document as its index is made: its name and its passages.
#[derive(Debug, Clone)]
pub struct Indexable {
    filename: String,
    chunker_name: String,
    chunker_version: String,
    /// Heading and text of each, in order, at its place.
    passages: Vec<(String, String)>,
    /// The vector of each passage, where it has one.
    pub(crate) vectors: Vec<Option<StoredVector>>,
    /// When it last changed, to see whether it is still the same.
    pub(crate) seen: time::OffsetDateTime,
}

/// A vector and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct StoredVector {
    /// Name and version of the model.
    pub(crate) model: (String, String),
    pub(crate) vector: Vec<f32>,
}

/// The rows of a document, ready to be written.
#[derive(Debug, Clone)]
pub struct IndexedWords {
    index: WordIndex,
    packed: Option<PackedVectors>,
    chunker_name: String,
    chunker_version: String,
}

/// Reads what the index of a document's active version is made of; `None`: there is no such document, or it has no passages.
pub async fn get_indexable(db: &impl Session, document: DocumentId) -> Result<Option<Indexable>, DbError> {
    get_version_indexable(db, Target::active(document)).await
}

/// The same with the vectors of `model`, which lie in the rows of the chunks or beside them.
pub async fn get_indexable_by(
    db: &impl Session,
    document: DocumentId,
    model: &EmbedModel,
) -> Result<Option<Indexable>, DbError> {
    read_indexable(db, Target::active(document), Some(model)).await
}

/// The same of the version that a job makes.
pub async fn get_version_indexable(db: &impl Session, target: Target) -> Result<Option<Indexable>, DbError> {
    read_indexable(db, target, None).await
}

/// `model`: whose vectors; `None`: those in the rows of the chunks.
async fn read_indexable(
    db: &impl Session,
    target: Target,
    model: Option<&EmbedModel>,
) -> Result<Option<Indexable>, DbError> {
    #[derive(FromRow)]
    struct Row {
        filename: String,
        seen: time::OffsetDateTime,
        chunker_name: String,
        chunker_version: String,
        ord: i32,
        heading: String,
        text: String,
        embed_model: Option<String>,
        embed_version: Option<String>,
        vector: Option<Vec<f32>>,
    }
    let (chunks, are_its) = (target.chunks(), target.is_of("$1", "$2"));
    let names = match target.is_staged {
        true => {
            "upload_pipeline.document_versions AS d ON d.document_id = c.document_id AND d.version_no = c.version_no"
        }
        false => "upload_pipeline.documents AS d ON d.document_id = c.document_id",
    };
    let of_model = vector_of("c", "$3", "$4", "$5");
    let columns = "CASE WHEN $3::text IS NULL THEN c.embed_model ELSE $3 END AS embed_model,
  CASE WHEN $3::text IS NULL THEN c.embed_version ELSE $4::text END AS embed_version,
  CASE WHEN $3::text IS NULL THEN c.embedding ELSE e.embedding END::real[] AS vector";
    let rows: Vec<Row> = db
        .list(
            &format!(
                "-- get_indexable
SELECT d.filename, d.updated_at AS seen, c.chunker_name, c.chunker_version, c.chunk_ord AS ord, c.heading, c.text,
  {columns}
FROM {chunks} AS c
JOIN {names}
LEFT JOIN LATERAL ({of_model}) AS e ON $3::text IS NOT NULL
WHERE {are_its}
ORDER BY c.chunker_name, c.chunker_version, c.chunk_ord"
            ),
            &[
                &target.document_id.0,
                &target.version_no,
                &model.map(|model| &model.name),
                &model.map(|model| &model.version),
                &model.map(dim),
            ],
        )
        .await?;
    let mut found: Option<Indexable> = None;
    for row in rows {
        let indexable = found.get_or_insert_with(|| Indexable {
            filename: row.filename.clone(),
            chunker_name: row.chunker_name.clone(),
            chunker_version: row.chunker_version.clone(),
            passages: Vec::new(),
            vectors: Vec::new(),
            seen: row.seen,
        });
        // Other programs may have left chunks of two chunkers, or a gap.
        let is_same =
            (&row.chunker_name, &row.chunker_version) == (&indexable.chunker_name, &indexable.chunker_version);
        let place = usize::try_from(row.ord).unwrap_or(0);
        if is_same && place < indexable.passages.len() + 10_000 {
            indexable.passages.resize(place, Default::default());
            indexable.passages.push((row.heading, row.text));
            let vector = row.embed_model.zip(row.embed_version).zip(row.vector);
            indexable.vectors.resize(place, None);
            indexable.vectors.push(vector.map(|(model, vector)| StoredVector { model, vector }));
        }
    }
    Ok(found)
}

/// Makes the rows of a document. It computes: 20 MB of text take about a second.
pub fn index_words(document: Option<Indexable>) -> Option<IndexedWords> {
    let document = document?;
    let packed = pack_vectors(&document);
    let Indexable { filename, chunker_name, chunker_version, passages, .. } = document;
    let passages: Vec<Passage<'_>> = passages.iter().map(|(heading, text)| Passage { heading, text }).collect();
    Some(IndexedWords { index: index(&filename, &passages), packed, chunker_name, chunker_version })
}

/// Makes `words` the document's only rows. In the transaction that makes the document complete, or under its lock.
pub async fn replace_words(tx: &impl Session, document: DocumentId, words: &IndexedWords) -> Result<(), DbError> {
    let IndexedWords { index, packed, chunker_name, chunker_version } = words;
    ensure_search_user(tx, document, &index.language).await?;
    delete_words(tx, document).await?;
    let (document_no, user_no): (i32, i32) = tx
        .one(
            "-- insert_search_document
INSERT INTO upload_pipeline.search_documents
  (document_id, user_no, passages, language, chunker_name, chunker_version, version)
SELECT d.document_id, u.user_no, $2, $3, $4, $5, $6
FROM upload_pipeline.documents AS d
JOIN upload_pipeline.search_users AS u ON u.user_id = d.user_id
WHERE d.document_id = $1
RETURNING document_no, user_no",
            &[
                &document.0,
                &i32::try_from(index.passages).unwrap_or(i32::MAX),
                &index.language,
                chunker_name,
                chunker_version,
                &VERSION,
            ],
        )
        .await?;
    if let Some(packed) = packed {
        write_packed(tx, document, packed).await?;
    }
    for rows in index.postings.chunks(ROWS_PER_INSERT) {
        insert_postings(tx, user_no, document_no, rows).await?;
    }
    tx.exec(
        "-- insert_title_terms
INSERT INTO upload_pipeline.search_titles (user_no, term, document_no)
SELECT $1, t.term, $2
FROM unnest($3::int[]) AS t (term)",
        &[&user_no, &document_no, &index.title],
    )
    .await
}

/// Makes the owner's row, or adds the language to it. The row is updated for a new language only, so that two documents
/// of one user do not wait for each other. A user's first document finds whether others wait to be filled in; those that
/// end in the same transaction have its time.
async fn ensure_search_user(tx: &impl Session, document: DocumentId, language: &str) -> Result<(), DbError> {
    tx.run(
        "-- insert_search_user
INSERT INTO upload_pipeline.search_users (user_id, is_filled)
SELECT d.user_id, NOT EXISTS (
  SELECT
  FROM upload_pipeline.documents AS o
  WHERE o.user_id = d.user_id AND o.processing_status = 'complete' AND o.document_id <> d.document_id AND o.updated_at < now())
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND NOT EXISTS (SELECT FROM upload_pipeline.search_users AS u WHERE u.user_id = d.user_id)
ON CONFLICT (user_id) DO NOTHING",
        &[&document.0],
    )
    .await?;
    tx.run(
        "-- add_language
UPDATE upload_pipeline.search_users AS u
SET languages = u.languages || $2::text
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND u.user_id = d.user_id AND $2 <> '' AND NOT u.languages @> ARRAY[$2::text]",
        &[&document.0, &language],
    )
    .await
    .map(drop)
}

async fn delete_words(tx: &impl Session, document: DocumentId) -> Result<(), DbError> {
    tx.run(
        "-- delete_words
DELETE FROM upload_pipeline.search_documents AS s
WHERE s.document_id = $1",
        &[&document.0],
    )
    .await
    .map(drop)
}

async fn insert_postings(
    tx: &impl Session,
    user_no: i32,
    document_no: i32,
    rows: &[(i32, i32, Vec<u8>)],
) -> Result<(), DbError> {
    let terms: Vec<i32> = rows.iter().map(|(term, _, _)| *term).collect();
    let blocks: Vec<i32> = rows.iter().map(|(_, block, _)| *block).collect();
    let entries: Vec<&Vec<u8>> = rows.iter().map(|(_, _, entries)| entries).collect();
    tx.exec(
        "-- insert_postings
INSERT INTO upload_pipeline.search_words (user_no, term, document_no, block, entries)
SELECT $1, n.term, $2, n.block, n.entries
FROM unnest($3::int[], $4::int[], $5::bytea[]) AS n (term, block, entries)",
        &[&user_no, &document_no, &terms, &blocks, &entries],
    )
    .await
}

/// Complete documents that are not in the index, or by older rules, user by user; at most `limit`.
pub async fn list_unindexed(db: &impl Session, limit: i64) -> Result<Vec<DocumentId>, DbError> {
    db.list(
        "-- list_unindexed
SELECT d.document_id
FROM upload_pipeline.documents AS d
LEFT JOIN upload_pipeline.search_documents AS s ON s.document_id = d.document_id
WHERE d.processing_status = 'complete' AND (s.document_id IS NULL OR s.version < $1)
  AND EXISTS (SELECT FROM upload_pipeline.document_chunks AS c WHERE c.document_id = d.document_id)
ORDER BY d.user_id, d.document_id
LIMIT $2",
        &[&VERSION, &limit],
    )
    .await
}

/// How many complete documents are not in the index, or by older rules.
pub async fn count_unindexed(db: &impl Session) -> Result<i64, DbError> {
    db.one(
        "-- count_unindexed
SELECT count(*)
FROM upload_pipeline.documents AS d
LEFT JOIN upload_pipeline.search_documents AS s ON s.document_id = d.document_id
WHERE d.processing_status = 'complete' AND (s.document_id IS NULL OR s.version < $1)
  AND EXISTS (SELECT FROM upload_pipeline.document_chunks AS c WHERE c.document_id = d.document_id)",
        &[&VERSION],
    )
    .await
}

/// Locks a complete document, if it is as it was when it was read.
pub(crate) async fn lock_unchanged(tx: &impl Session, document: DocumentId, seen: &Indexable) -> Result<bool, DbError> {
    let same: Option<Uuid> = tx
        .find(
            "-- lock_unchanged
SELECT d.document_id
FROM upload_pipeline.documents AS d
WHERE d.document_id = $1 AND d.processing_status = 'complete' AND d.updated_at = $2
FOR UPDATE",
            &[&document.0, &seen.seen],
        )
        .await?;
    Ok(same.is_some())
}

/// Puts a complete document into the index, unless it has changed since it was read: then its job does.
pub async fn fill_words(
    db: &Db,
    document: DocumentId,
    seen: &Indexable,
    words: &IndexedWords,
) -> Result<bool, DbError> {
    db.run_tx("fill_words", |tx| {
        Box::pin(async move {
            let unchanged = lock_unchanged(&tx, document, seen).await?;
            if unchanged {
                replace_words(&tx, document, words).await?;
            }
            Ok(unchanged)
        })
    })
    .await
}

/// Lets the index answer for those users whose every complete document is in it; how many.
pub async fn mark_filled_users(db: &impl Session) -> Result<u64, DbError> {
    db.run(
        "-- mark_filled_users
UPDATE upload_pipeline.search_users AS u
SET is_filled = true
WHERE NOT u.is_filled AND NOT EXISTS (
  SELECT
  FROM upload_pipeline.documents AS d
  LEFT JOIN upload_pipeline.search_documents AS s ON s.document_id = d.document_id
  WHERE d.user_id = u.user_id AND d.processing_status = 'complete' AND s.document_id IS NULL
    AND EXISTS (SELECT FROM upload_pipeline.document_chunks AS c WHERE c.document_id = d.document_id))",
        &[],
    )
    .await
}
