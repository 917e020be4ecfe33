//! By words, from the index on words.

use super::{Candidate, SearchIn};
use crate::filter::Condition;
use domain::{DocumentId, filter::Filter};
use pg::{DbError, FromRow, Param, Session};
use uuid::Uuid;

/// A user as the index on words knows it, and how much there is to search.
#[derive(Debug, Clone, FromRow)]
pub struct WordUser {
    /// Its number in the index.
    pub user_no: i32,
    /// ISO 639-1 codes of its documents' languages.
    pub languages: Vec<String>,
    /// Whether every complete document is in the index.
    pub is_filled: bool,
    /// Documents that are searched.
    pub documents: i64,
    /// Their passages.
    pub passages: i64,
}

/// The user, with what there is within `within`; `None`: no document was ever put into the index.
pub async fn get_word_user(db: &impl Session, within: SearchIn<'_>) -> Result<Option<WordUser>, DbError> {
    db.find(
        "-- get_word_user
SELECT u.user_no, u.languages, u.is_filled, n.documents, n.passages
FROM upload_pipeline.search_users AS u
CROSS JOIN LATERAL (
  SELECT count(*) AS documents, coalesce(sum(s.passages), 0) AS passages
  FROM upload_pipeline.search_documents AS s
  WHERE s.user_no = u.user_no AND ($2::uuid[] IS NULL OR s.document_id = ANY ($2))
) AS n
WHERE u.user_id = $1",
        &[&within.user.0, &within.ids()],
    )
    .await
}

/// The postings of one term, side by side: documents, blocks, lengths in bytes; the entries one after the other.
#[derive(Debug, Clone, FromRow)]
pub struct Postings {
    /// The term.
    pub term: i32,
    /// The number of the document of each row.
    pub documents: Vec<i32>,
    /// Its block.
    pub blocks: Vec<i32>,
    /// The length of its entries.
    pub lengths: Vec<i32>,
    /// The entries of all rows.
    pub entries: Vec<u8>,
}

/// The postings of `terms`; each found term once.
pub async fn list_postings(
    db: &impl Session,
    user_no: i32,
    terms: &[i32],
    documents: Option<&[i32]>,
) -> Result<Vec<Postings>, DbError> {
    db.list(
        "-- list_postings
SELECT p.term, p.documents, p.blocks, p.lengths, p.entries
FROM upload_pipeline.word_postings(p_user_no => $1, p_terms => $2, p_documents => $3) AS p",
        &[&user_no, &terms, &documents],
    )
    .await
}

/// The documents that have a term in their name, as term and number; at most `limit`, since a term of many names says
/// nothing.
pub async fn list_title_documents(
    db: &impl Session,
    user_no: i32,
    terms: &[i32],
    limit: i64,
) -> Result<Vec<(i32, i32)>, DbError> {
    db.list(
        "-- list_title_documents
SELECT t.term, t.document_no
FROM upload_pipeline.search_titles AS t
WHERE t.user_no = $1 AND t.term = ANY ($2)
LIMIT $3",
        &[&user_no, &terms, &limit],
    )
    .await
}

/// A document by both its names.
pub type Numbered = (DocumentId, i32);

/// The numbers of documents.
pub async fn list_numbers(db: &impl Session, user_no: i32, documents: &[DocumentId]) -> Result<Vec<Numbered>, DbError> {
    let ids: Vec<Uuid> = documents.iter().map(|id| id.0).collect();
    db.list(
        "-- list_numbers
SELECT s.document_id, s.document_no
FROM upload_pipeline.search_documents AS s
WHERE s.user_no = $1 AND s.document_id = ANY ($2)",
        &[&user_no, &ids],
    )
    .await
}

/// The documents with these numbers.
pub async fn list_ids(db: &impl Session, user_no: i32, documents: &[i32]) -> Result<Vec<Numbered>, DbError> {
    db.list(
        "-- list_ids
SELECT s.document_id, s.document_no
FROM upload_pipeline.search_documents AS s
WHERE s.user_no = $1 AND s.document_no = ANY ($2)",
        &[&user_no, &documents],
    )
    .await
}

/// Passages of complete documents that were found by number and place, each with its position among `places`, from 1, and
/// its document's language.
pub async fn list_word_chunks(
    db: &impl Session,
    within: SearchIn<'_>,
    places: &[(i32, i32)],
) -> Result<Vec<(i64, Candidate, String)>, DbError> {
    #[derive(FromRow)]
    struct Row {
        i: i64,
        chunk_id: domain::ChunkId,
        document_id: DocumentId,
        ord: i32,
        language: String,
    }
    let numbers: Vec<i32> = places.iter().map(|(number, _)| *number).collect();
    let ords: Vec<i32> = places.iter().map(|(_, ord)| *ord).collect();
    let rows: Vec<Row> = db
        .list(
            "-- list_word_chunks
SELECT p.place AS i, p.chunk_id, p.document_id, p.ord, p.language
FROM upload_pipeline.search_places(p_user => $1, p_documents => $2, p_ords => $3) AS p",
            &[&within.user.0, &numbers, &ords],
        )
        .await?;
    let found = |Row { i, chunk_id, document_id, ord, language }| {
        (i, Candidate { chunk_id, document_id, ord, score: 0.0 }, language)
    };
    Ok(rows.into_iter().map(found).collect())
}

/// Complete documents whose file name contains each of `parts`, in any case, and for which `filter` holds.
pub async fn list_chosen(
    db: &impl Session,
    within: SearchIn<'_>,
    parts: &[String],
    filter: Option<&Filter>,
) -> Result<Vec<DocumentId>, DbError> {
    let condition = Condition::of(filter, 4);
    let (user, ids) = (within.user.0, within.ids());
    let mut params: Vec<&dyn Param> = vec![&user, &ids, &parts];
    params.extend(condition.params());
    let sql = format!(
        "-- list_chosen
SELECT coalesce(array_agg(d.document_id), '{{}}') AS documents
FROM upload_pipeline.documents AS d
WHERE d.user_id = $1 AND d.processing_status = 'complete' AND ($2::uuid[] IS NULL OR d.document_id = ANY ($2))
  AND NOT EXISTS (
    SELECT
    FROM unnest($3::text[]) AS p (part)
    WHERE strpos(lower(d.filename), lower(p.part)) = 0)
  AND {}",
        condition.sql
    );
    let documents: Vec<Uuid> = db.one(&sql, &params).await?;
    Ok(documents.into_iter().map(DocumentId).collect())
}
