//! By meaning: the packed vectors of the user's documents, and the real ones.

use super::{Candidate, CandidateRow, SearchIn, candidates};
use crate::beside::{dim, vector_of};
use domain::{DocumentId, ports::EmbedModel};
use pg::{DbError, FromRow, Session};

/// The best chunks by meaning, with their cosine. Every vector is compared.
pub async fn search_vectors(
    db: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn<'_>,
) -> Result<Vec<Candidate>, DbError> {
    let dim = dim(model);
    let vector_of = vector_of("c", "$5", "$6", &dim.to_string());
    let sql = format!(
        "-- search_vectors
SELECT c.chunk_id, c.document_id, c.chunk_ord AS ord, 1 - (e.embedding::vector({dim}) <=> $1::real[]::vector({dim})) AS score
FROM upload_pipeline.documents AS d
JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
CROSS JOIN LATERAL ({vector_of}) AS e
WHERE d.user_id = $2 AND d.processing_status = 'complete' AND ($3::uuid[] IS NULL OR d.document_id = ANY ($3))
ORDER BY score DESC, c.chunk_id
LIMIT $4"
    );
    let rows: Vec<CandidateRow> =
        db.list(&sql, &[&vector, &within.user.0, &within.ids(), &within.limit, &model.name, &model.version]).await?;
    Ok(candidates(rows))
}

/// A document that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct SearchedDocument {
    /// Its number.
    pub document_no: i32,
    /// How many passages it has.
    pub passages: i32,
}

/// The documents that are searched, as arrays: a user may have a hundred thousand.
pub async fn list_searched_documents(
    db: &impl Session,
    user_no: i32,
    within: SearchIn<'_>,
) -> Result<Vec<SearchedDocument>, DbError> {
    let (numbers, passages): (Vec<i32>, Vec<i32>) = db
        .one(
            "-- list_searched_documents
SELECT coalesce(array_agg(s.document_no), '{}') AS numbers, coalesce(array_agg(s.passages), '{}') AS passages
FROM upload_pipeline.search_documents AS s
WHERE s.user_no = $1 AND ($2::uuid[] IS NULL OR s.document_id = ANY ($2))",
            &[&user_no, &within.ids()],
        )
        .await?;
    let of = |(document_no, passages)| SearchedDocument { document_no, passages };
    Ok(numbers.into_iter().zip(passages).map(of).collect())
}

/// A document that is searched, and its language.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SpokenDocument {
    /// Its number.
    pub document_no: i32,
    /// The document.
    pub document_id: DocumentId,
    /// How many passages it has.
    pub passages: i32,
    /// ISO 639-1 code of its language; empty: none that words have a base form in.
    pub language: String,
}

/// All documents of a user with their languages, by number.
pub async fn list_spoken_documents(db: &impl Session, user_no: i32) -> Result<Vec<SpokenDocument>, DbError> {
    db.list(
        "-- list_spoken_documents
SELECT s.document_no, s.document_id, s.passages, s.language
FROM upload_pipeline.search_documents AS s
WHERE s.user_no = $1
ORDER BY s.document_no",
        &[&user_no],
    )
    .await
}

/// The packed means of documents, by number; those that have none of `model` are left out.
pub async fn list_means(
    db: &impl Session,
    model: &EmbedModel,
    documents: &[i32],
) -> Result<Vec<(i32, Vec<u8>)>, DbError> {
    let bytes = i32::try_from(vectors::mean_bytes(model.dim)).unwrap_or(i32::MAX);
    db.list(
        "-- list_means
SELECT v.document_no, substring(v.packed FROM 1 FOR $5) AS mean
FROM upload_pipeline.search_vectors AS v
WHERE v.document_no = ANY ($1) AND v.embed_model = $2 AND v.embed_version = $3 AND v.version = $4
UNION ALL
SELECT p.document_no, substring(p.packed FROM 1 FOR $5)
FROM upload_pipeline.packed_vectors AS p
WHERE p.document_no = ANY ($1) AND p.embed_model = $2 AND p.embed_version = $3 AND p.version = $4",
        &[&documents, &model.name, &model.version, &vectors::VERSION, &bytes],
    )
    .await
}

/// The packed vectors of documents, by number; those that have none of `model` are left out.
pub async fn list_packed(
    db: &impl Session,
    model: &EmbedModel,
    documents: &[i32],
) -> Result<Vec<(i32, Vec<u8>)>, DbError> {
    db.list(
        "-- list_packed
SELECT v.document_no, v.packed
FROM upload_pipeline.search_vectors AS v
WHERE v.document_no = ANY ($1) AND v.embed_model = $2 AND v.embed_version = $3 AND v.version = $4
UNION ALL
SELECT p.document_no, p.packed
FROM upload_pipeline.packed_vectors AS p
WHERE p.document_no = ANY ($1) AND p.embed_model = $2 AND p.embed_version = $3 AND p.version = $4",
        &[&documents, &model.name, &model.version, &vectors::VERSION],
    )
    .await
}

/// The nearest chunks at these places (number of the document, place in it), with their cosine, best first.
pub async fn list_cosines(
    db: &impl Session,
    model: &EmbedModel,
    vector: &[f32],
    within: SearchIn<'_>,
    places: &[(i32, i32)],
) -> Result<Vec<Candidate>, DbError> {
    let numbers: Vec<i32> = places.iter().map(|(number, _)| *number).collect();
    let ords: Vec<i32> = places.iter().map(|(_, ord)| *ord).collect();
    let rows: Vec<CandidateRow> = db
        .list(
            "-- list_cosines
SELECT c.chunk_id, c.document_id, c.ord, c.score
FROM upload_pipeline.search_cosines(
  p_user => $1, p_vector => $2, p_model => $3, p_version => $4, p_documents => $5, p_ords => $6, p_limit => $7) AS c
ORDER BY c.score DESC, c.chunk_id",
            &[&within.user.0, &vector, &model.name, &model.version, &numbers, &ords, &within.limit],
        )
        .await?;
    Ok(candidates(rows))
}
