//! Deleting what has been kept for long enough, a bounded batch a statement, each its own transaction.
//!
//! Nothing of a live job goes. A job goes only once a later job of its document has taken its place: the latest job
//! of a document, and the latest that completed it, stay for as long as the document, because the API shows it, a
//! retry needs it, and the same content uploaded again ends as its duplicate.
//!
//! `OFFSET 0` keeps a condition on the job a look-up for each row, and `= ANY (ARRAY(…))` the deletion one for each id: as
//! joins, the planner may take them for an occasion to read whole tables at each batch.

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::jobs::{ENDED, LIVE};
use pg::{DbError, Session, session::column};

/// How long what is kept for; in days, 0 = for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events of ended jobs.
    pub events_days: u32,
    /// The log of webhooks that were applied.
    pub webhooks_days: u32,
    /// Ended jobs that a later job of their document has superseded.
    pub jobs_days: u32,
    /// Receipts of deletions that are done.
    pub receipts_days: u32,
}

/// One batch.
#[derive(Debug, Clone, Copy)]
pub struct Swept<T> {
    /// Rows deleted.
    pub deleted: i64,
    /// Where the next batch goes on, so that it does not read again over what this one left dead or let stand;
    /// `None`: there is nothing more for now.
    pub next: Option<T>,
}

fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// Deletes up to `limit` events of ended jobs, or of none, that are older than `keep_days`, oldest first, from `from` on.
pub async fn delete_old_events(
    db: &impl Session,
    keep_days: u32,
    from: Option<OffsetDateTime>,
    limit: i64,
) -> Result<Swept<OffsetDateTime>, DbError> {
    let row = db
        .row(
            &format!(
                "-- delete_old_events
WITH due AS (
  SELECT e.event_id, e.ts
  FROM upload_pipeline.events AS e
  WHERE e.ts >= coalesce($2, '-infinity') AND e.ts < now() - make_interval(days => $1)
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS j
      WHERE j.job_id = e.job_id AND j.state IN {LIVE}
      OFFSET 0)
  ORDER BY e.ts
  LIMIT $3
),
gone AS (
  DELETE FROM upload_pipeline.events AS e
  WHERE e.event_id = ANY (ARRAY(SELECT due.event_id FROM due))
)
SELECT count(*) AS deleted, CASE WHEN count(*) = $3 THEN max(due.ts) END AS next
FROM due"
            ),
            &[(&days(keep_days), Type::INT4), (&from, Type::TIMESTAMPTZ), (&limit, Type::INT8)],
        )
        .await?
        .ok_or_else(|| DbError::row("delete_old_events", &"no row"))?;
    Ok(Swept { deleted: column(&row, "deleted")?, next: column(&row, "next")? })
}

/// Deletes up to `limit` entries of the log of webhooks that are older than `keep_days`, oldest first, from `from` on;
/// not those of a live job, whose webhook could still be played again.
pub async fn delete_old_webhooks(
    db: &impl Session,
    keep_days: u32,
    from: Option<OffsetDateTime>,
    limit: i64,
) -> Result<Swept<OffsetDateTime>, DbError> {
    let row = db
        .row(
            &format!(
                "-- delete_old_webhooks
WITH due AS (
  SELECT w.webhook_id, w.processed_at
  FROM upload_pipeline.webhook_log AS w
  WHERE w.processed_at >= coalesce($2, '-infinity') AND w.processed_at < now() - make_interval(days => $1)
    AND NOT EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS j
      WHERE j.job_id = w.job_id AND j.state IN {LIVE}
      OFFSET 0)
  ORDER BY w.processed_at
  LIMIT $3
),
gone AS (
  DELETE FROM upload_pipeline.webhook_log AS w
  WHERE w.webhook_id = ANY (ARRAY(SELECT due.webhook_id FROM due))
)
SELECT count(*) AS deleted, CASE WHEN count(*) = $3 THEN max(due.processed_at) END AS next
FROM due"
            ),
            &[(&days(keep_days), Type::INT4), (&from, Type::TIMESTAMPTZ), (&limit, Type::INT8)],
        )
        .await?
        .ok_or_else(|| DbError::row("delete_old_webhooks", &"no row"))?;
    Ok(Swept { deleted: column(&row, "deleted")?, next: column(&row, "next")? })
}

/// Deletes about `limit` rows of receipts that were done `keep_days` ago, oldest first, from `from` on.
pub async fn delete_old_receipts(
    db: &impl Session,
    keep_days: u32,
    from: Option<OffsetDateTime>,
    limit: i64,
) -> Result<Swept<OffsetDateTime>, DbError> {
    let row = db
        .row(
            "-- delete_old_receipts
WITH due AS (
  SELECT s.deletion_id, s.deleted_at
  FROM upload_pipeline.storage_deletions AS s
  WHERE s.deleted_at >= coalesce($2, '-infinity') AND s.deleted_at < now() - make_interval(days => $1)
  ORDER BY s.deleted_at
  LIMIT $3
),
gone AS (
  DELETE FROM upload_pipeline.storage_deletions AS s
  WHERE s.deletion_id = ANY (ARRAY(SELECT due.deletion_id FROM due)) AND s.deleted_at < now() - make_interval(days => $1)
  RETURNING s.deletion_id
)
SELECT (SELECT count(*) FROM gone) AS deleted, CASE WHEN count(*) = $3 THEN max(due.deleted_at) END AS next
FROM due",
            &[(&days(keep_days), Type::INT4), (&from, Type::TIMESTAMPTZ), (&limit, Type::INT8)],
        )
        .await?
        .ok_or_else(|| DbError::row("delete_old_receipts", &"no row"))?;
    Ok(Swept { deleted: column(&row, "deleted")?, next: column(&row, "next")? })
}

/// Looks at up to `limit` jobs behind `behind`, by id, and deletes those that ended `keep_days` ago and were superseded.
///
/// By id, because the jobs that stay are most of them: by age, every look would read all of those again. Jobs that
/// another statement holds are left for the next round.
pub async fn delete_superseded_jobs(
    db: &impl Session,
    keep_days: u32,
    behind: Option<Uuid>,
    limit: i64,
) -> Result<Swept<Uuid>, DbError> {
    let row = db
        .row(
            &format!("-- delete_superseded_jobs
WITH looked AS MATERIALIZED (
  SELECT j.job_id, j.document_id, j.created_at, j.status, j.state, coalesce(j.finished_at, j.updated_at) AS ended_at
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.job_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
  ORDER BY j.job_id
  LIMIT $3
),
due AS MATERIALIZED (
  SELECT j.job_id
  FROM looked AS l
  JOIN upload_pipeline.upload_jobs AS j ON j.job_id = l.job_id
  WHERE l.state IN {ENDED} AND l.ended_at < now() - make_interval(days => $1)
    AND EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS newer
      WHERE newer.document_id = l.document_id AND (newer.created_at, newer.job_id) > (l.created_at, l.job_id)
        AND (l.status <> 'complete' OR newer.status = 'complete'))
  FOR UPDATE OF j SKIP LOCKED
),
gone AS (
  DELETE FROM upload_pipeline.upload_jobs AS j
  USING due
  WHERE j.job_id = due.job_id AND j.state IN {ENDED}
  RETURNING j.job_id
)
SELECT (SELECT count(*) FROM gone) AS deleted,
  CASE WHEN (SELECT count(*) FROM looked) = $3 THEN (SELECT l.job_id FROM looked AS l ORDER BY l.job_id DESC LIMIT 1) END AS next"),
            &[(&days(keep_days), Type::INT4), (&behind, Type::UUID), (&limit, Type::INT8)],
        )
        .await?
        .ok_or_else(|| DbError::row("delete_superseded_jobs", &"no row"))?;
    Ok(Swept { deleted: column(&row, "deleted")?, next: column(&row, "next")? })
}

/// Where the look over ended jobs goes on: `None`: not due; `Some(None)`: from the start.
pub async fn get_jobs_position(db: &impl Session) -> Result<Option<Option<Uuid>>, DbError> {
    let row = db
        .row(
            "-- get_jobs_position
SELECT h.position
FROM upload_pipeline.housekeeping AS h
WHERE h.task = 'ended_jobs' AND h.next_run_at <= now()",
            &[],
        )
        .await?;
    row.map(|row| column(&row, "position")).transpose()
}

/// Notes where the look over ended jobs has come to; at its end the next begins a day later.
pub async fn save_jobs_position(db: &impl Session, position: Option<Uuid>) -> Result<(), DbError> {
    db.run(
        "-- save_jobs_position
UPDATE upload_pipeline.housekeeping AS h
SET position = $1, last_run_at = now(), next_run_at = CASE WHEN $1 IS NULL THEN now() + interval '1 day' ELSE now() END
WHERE h.task = 'ended_jobs'",
        &[(&position, Type::UUID)],
    )
    .await
    .map(drop)
}
