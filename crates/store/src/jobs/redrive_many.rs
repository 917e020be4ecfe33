//! Lists the jobs of a user for a redrive of many; each is then redriven on its own.

use uuid::Uuid;

use super::sql::LIVE;
use domain::{Code, JobId, State, Status, UserId};
use pg::{DbError, FromRow, Session};

/// A job to redrive, and what prevents it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Candidate {
    /// The job.
    pub job_id: JobId,
    /// Who has it.
    pub state: State,
    /// Another job of its document has not ended.
    pub busy: bool,
    /// A later job of its document has taken its place.
    pub superseded: bool,
    /// The code of its last failure, of any build.
    pub code: Option<String>,
    /// Where its bytes are; empty: they were removed.
    pub raw_path: String,
}

impl Candidate {
    /// The code of its last failure.
    pub fn failed_with(&self) -> Option<Code> {
        self.code.as_deref().and_then(Code::named)
    }
}

/// Filters failed jobs; `None` filters nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailedFilter<'a> {
    /// The code of the last failure.
    pub code: Option<&'a str>,
    /// `failed_parse`, `failed_chunking` or `failed_embedding`.
    pub status: Option<Status>,
}

/// The rest of a statement whose jobs are `picked`.
fn candidates() -> String {
    format!(
        "
SELECT p.job_id, p.state,
  EXISTS (
    SELECT FROM upload_pipeline.upload_jobs AS live
    WHERE live.document_id = p.document_id AND live.job_id <> p.job_id AND live.state IN {LIVE}
  ) AS busy,
  EXISTS (
    SELECT FROM upload_pipeline.upload_jobs AS newer
    WHERE newer.document_id = p.document_id AND (newer.created_at, newer.job_id) > (p.created_at, p.job_id)
  ) AS superseded,
  p.last_error ->> 'code' AS code,
  CASE WHEN v.document_id IS NOT NULL THEN v.raw_path WHEN coalesce(p.version_no, d.version_no) = d.version_no THEN d.raw_path ELSE '' END
    AS raw_path
FROM picked AS p
JOIN upload_pipeline.documents AS d ON d.document_id = p.document_id
LEFT JOIN upload_pipeline.document_versions AS v ON v.document_id = p.document_id AND v.version_no = p.version_no
ORDER BY p.job_id"
    )
}

/// Up to `limit` of `user`'s failed jobs behind `behind`, by id. Reads that user's failed jobs only.
pub async fn list_failed_jobs(
    db: &impl Session,
    user: UserId,
    filter: FailedFilter<'_>,
    behind: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Candidate>, DbError> {
    let sql = format!(
        "-- list_failed_jobs
WITH picked AS MATERIALIZED (
  SELECT j.job_id, j.document_id, j.version_no, j.created_at, j.state, j.last_error
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.user_id = $1 AND j.state = 'deadletter'
    AND j.job_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
    AND ($3::text IS NULL OR j.last_error ->> 'code' = $3)
    AND ($4::text IS NULL OR j.status = $4)
  ORDER BY j.job_id
  LIMIT $5
){}",
        candidates()
    );
    db.list(&sql, &[&user.0, &behind, &filter.code, &filter.status.map(Status::as_str), &limit]).await
}

/// Up to `limit` of `user`'s jobs behind `behind`, by id, whose complete documents were read here by readers of a version
/// below `before`: of each document the latest that is complete, which made its active version. What a remote parser read would be paid again.
pub async fn list_jobs_read_before(
    db: &impl Session,
    user: UserId,
    before: u32,
    behind: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Candidate>, DbError> {
    let sql = format!(
        "-- list_jobs_read_before
WITH picked AS MATERIALIZED (
  SELECT j.job_id, j.document_id, j.version_no, j.created_at, j.state, j.last_error
  FROM upload_pipeline.upload_jobs AS j
  JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
  WHERE j.user_id = $1 AND j.state = 'done' AND j.status = 'complete'
    AND j.job_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
    AND coalesce(j.version_no, d.version_no) = d.version_no
    AND d.processing_status = 'complete' AND coalesce(d.parser, 'local') = 'local'
    AND CASE WHEN jsonb_typeof(d.record -> 'reader_version') = 'number'
      THEN (d.record ->> 'reader_version')::numeric ELSE 1 END < $3::bigint
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS later
      WHERE later.document_id = j.document_id AND later.status = 'complete'
        AND (later.created_at, later.job_id) > (j.created_at, j.job_id))
  ORDER BY j.job_id
  LIMIT $4
){}",
        candidates()
    );
    db.list(&sql, &[&user.0, &behind, &i64::from(before), &limit]).await
}

/// Those of `jobs` that are `user`'s.
pub async fn list_candidates(db: &impl Session, user: UserId, jobs: &[Uuid]) -> Result<Vec<Candidate>, DbError> {
    let sql = format!(
        "-- list_candidates
WITH picked AS MATERIALIZED (
  SELECT j.job_id, j.document_id, j.version_no, j.created_at, j.state, j.last_error
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.job_id = ANY ($2) AND j.user_id = $1
){}",
        candidates()
    );
    db.list(&sql, &[&user.0, &jobs]).await
}
