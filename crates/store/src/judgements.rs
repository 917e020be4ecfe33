//! The tables `search_questions` and `search_judgements`: places in documents that users called right or wrong answers to a
//! question. A question goes with its last judgement, by a trigger.

use time::OffsetDateTime;

use super::Cursor;
use domain::{ChunkId, DocumentId, JudgementId, QuestionId, UserId};
use pg::{Db, DbError, FromRow, Session};

/// A judgement to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewJudgement<'a> {
    /// Who judges.
    pub user: UserId,
    /// The question.
    pub question: &'a str,
    /// The document.
    pub document: DocumentId,
    /// The page, from 1.
    pub page: Option<i32>,
    /// Words of the document.
    pub text: Option<&'a str>,
    /// `right` or `wrong`.
    pub verdict: &'a str,
}

/// A judgement.
#[derive(Debug, Clone, FromRow)]
pub struct Judgement {
    /// Its id.
    pub judgement_id: JudgementId,
    /// The question.
    pub question: String,
    /// The document.
    pub document_id: DocumentId,
    /// Its file name.
    pub filename: String,
    /// The page, from 1.
    pub page: Option<i32>,
    /// Words of the document.
    pub text: Option<String>,
    /// `right` or `wrong`.
    pub verdict: String,
    /// When the place was first judged.
    pub created_at: OffsetDateTime,
    /// When it was last judged.
    pub judged_at: OffsetDateTime,
}

const COLUMNS: &str =
    "j.judgement_id, q.question, j.document_id, d.filename, j.page, j.text, j.verdict, j.created_at, j.judged_at
FROM upload_pipeline.search_judgements AS j
JOIN upload_pipeline.search_questions AS q ON q.question_id = j.question_id
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id";

/// Keeps a judgement, or the new verdict of a place that was judged before; `None`: the user has no such document.
pub async fn put_judgement(db: &Db, new: NewJudgement<'_>) -> Result<Option<Judgement>, DbError> {
    db.run_tx("put_judgement", |tx| {
        Box::pin(async move {
            let question = QuestionId::of(new.user, new.question);
            let id = JudgementId::of(question, new.document, new.page, new.text);
            lock_question(&tx, question, new).await?;
            let kept = write_judgement(&tx, id, question, new).await?;
            if kept == 0 {
                delete_unjudged_question(&tx, question).await?;
                return Ok(None);
            }
            get_judgement(&tx, new.user, id).await
        })
    })
    .await
}

/// The lock keeps the question from going with another judgement of it.
async fn lock_question(tx: &impl Session, id: QuestionId, new: NewJudgement<'_>) -> Result<(), DbError> {
    tx.exec(
        "-- lock_question
INSERT INTO upload_pipeline.search_questions AS q (question_id, user_id, question)
VALUES ($1, $2, $3)
ON CONFLICT (question_id) DO UPDATE
SET question = q.question",
        &[&id.0, &new.user.0, &new.question],
    )
    .await
}

async fn write_judgement(
    tx: &impl Session,
    id: JudgementId,
    question: QuestionId,
    new: NewJudgement<'_>,
) -> Result<u64, DbError> {
    tx.run(
        "-- write_judgement
INSERT INTO upload_pipeline.search_judgements (judgement_id, question_id, user_id, document_id, page, text, verdict)
SELECT $1, $2, d.user_id, d.document_id, $5, $6, $7
FROM upload_pipeline.documents AS d
WHERE d.document_id = $4 AND d.user_id = $3
ON CONFLICT (judgement_id) DO UPDATE
SET verdict = excluded.verdict, judged_at = now()",
        &[&id.0, &question.0, &new.user.0, &new.document.0, &new.page, &new.text, &new.verdict],
    )
    .await
}

async fn delete_unjudged_question(tx: &impl Session, id: QuestionId) -> Result<(), DbError> {
    tx.exec(
        "-- delete_unjudged_question
DELETE FROM upload_pipeline.search_questions AS q
WHERE q.question_id = $1
  AND NOT EXISTS (SELECT FROM upload_pipeline.search_judgements AS j WHERE j.question_id = q.question_id)",
        &[&id.0],
    )
    .await
}

async fn get_judgement(db: &impl Session, user: UserId, id: JudgementId) -> Result<Option<Judgement>, DbError> {
    let sql = format!(
        "-- get_judgement
SELECT {COLUMNS}
WHERE j.judgement_id = $1 AND j.user_id = $2"
    );
    db.find(&sql, &[&id.0, &user.0]).await
}

/// Up to `limit` of the user's judgements behind `after`, those of the latest places first.
pub async fn list_judgements(
    db: &impl Session,
    user: UserId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Judgement>, DbError> {
    let (at, id) = (after.map(|cursor| cursor.created_at), after.map(|cursor| cursor.id));
    let sql = format!(
        "-- list_judgements
SELECT {COLUMNS}
WHERE j.user_id = $1
  AND (j.created_at, j.judgement_id) < (coalesce($2, 'infinity'), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
ORDER BY j.created_at DESC, j.judgement_id DESC
LIMIT $4"
    );
    db.list(&sql, &[&user.0, &at, &id, &limit]).await
}

/// Deletes the user's judgement; whether there was one.
pub async fn delete_judgement(db: &impl Session, user: UserId, id: JudgementId) -> Result<bool, DbError> {
    let deleted = db
        .run(
            "-- delete_judgement
DELETE FROM upload_pipeline.search_judgements AS j
WHERE j.judgement_id = $1 AND j.user_id = $2",
            &[&id.0, &user.0],
        )
        .await?;
    Ok(deleted > 0)
}

/// The page of a passage, where it stands on one, and its text; `None`: the user's document has no such passage.
pub async fn get_place(
    db: &impl Session,
    user: UserId,
    document: DocumentId,
    chunk: ChunkId,
) -> Result<Option<(Option<i32>, String)>, DbError> {
    db.find(
        "-- get_place
SELECT CASE WHEN c.page_first = coalesce(c.page_last, c.page_first) THEN c.page_first END AS page, c.text
FROM upload_pipeline.document_chunks AS c
JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
WHERE c.chunk_id = $3 AND c.document_id = $2 AND d.user_id = $1",
        &[&user.0, &document.0, &chunk.0],
    )
    .await
}
