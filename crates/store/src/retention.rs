//! Deletes what has been kept for long enough: a bounded batch for each statement, which is its own transaction.
//!
//! Nothing of a live job is deleted. A job is deleted only if a later job of its document exists. The latest job of a
//! document, and the latest that completed it, stay as long as the document: the API shows them, a retry needs them,
//! and the same content uploaded again ends as a duplicate of them.
//!
//! `OFFSET 0` keeps the condition on the job a look-up for each row, and `= ANY (ARRAY(…))` keeps the deletion a
//! look-up for each id: as joins, the planner might read whole tables for each batch.

use time::OffsetDateTime;
use uuid::Uuid;

use super::jobs::{ENDED, LIVE};
use pg::{DbError, Session};

/// How long rows are kept, in days; 0 = for ever.
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
    /// Versions of documents that are not active.
    pub versions_days: u32,
    /// Judgements of hits.
    pub judgements_days: u32,
    /// Sums of what was bought.
    pub usage_days: u32,
}

/// Rows of one table that are deleted by age.
#[derive(Debug, Clone, Copy)]
pub struct Aged {
    table: &'static str,
    id: &'static str,
    at: &'static str,
    /// Whether rows of live jobs stay.
    of_jobs: bool,
}

/// Events of ended jobs, or of none.
pub const EVENTS: Aged = Aged { table: "events", id: "event_id", at: "ts", of_jobs: true };
/// The log of webhooks; not those of a live job, whose webhook could still be replayed.
pub const WEBHOOKS: Aged = Aged { table: "webhook_log", id: "webhook_id", at: "processed_at", of_jobs: true };
/// Receipts of deletions that are done.
pub const RECEIPTS: Aged = Aged { table: "storage_deletions", id: "deletion_id", at: "deleted_at", of_jobs: false };
/// Judgements of hits, with the questions that have no others.
pub const JUDGEMENTS: Aged = Aged { table: "search_judgements", id: "judgement_id", at: "judged_at", of_jobs: false };

/// How many rows one statement deleted, and where the next batch starts, so that it does not read the dead and the spared
/// rows of this one again; `None`: nothing is left for now.
pub type Batch<T> = (i64, Option<T>);

fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// Deletes about `limit` rows that are older than `keep_days`, oldest first, from `from` on.
pub async fn delete_aged(
    db: &impl Session,
    aged: Aged,
    keep_days: u32,
    from: Option<OffsetDateTime>,
    limit: i64,
) -> Result<Batch<OffsetDateTime>, DbError> {
    let Aged { table, id, at, of_jobs } = aged;
    let live = format!(
        "SELECT FROM upload_pipeline.upload_jobs AS j WHERE j.job_id = t.job_id AND j.state IN {LIVE} OFFSET 0"
    );
    let spare = if of_jobs { format!("AND NOT EXISTS ({live})") } else { String::new() };
    db.one(
        &format!(
            "-- delete_aged_{table}
WITH due AS (
  SELECT t.{id}, t.{at}
  FROM upload_pipeline.{table} AS t
  WHERE t.{at} >= coalesce($2, '-infinity') AND t.{at} < now() - make_interval(days => $1) {spare}
  ORDER BY t.{at}
  LIMIT $3
),
gone AS (
  DELETE FROM upload_pipeline.{table} AS t
  WHERE t.{id} = ANY (ARRAY(SELECT due.{id} FROM due)) AND t.{at} < now() - make_interval(days => $1)
  RETURNING t.{id}
)
SELECT (SELECT count(*) FROM gone) AS deleted, CASE WHEN count(*) = $3 THEN max(due.{at}) END AS next
FROM due"
        ),
        &[&days(keep_days), &from, &limit],
    )
    .await
}

/// Reads up to `limit` jobs after `behind`, by id, and deletes those that ended `keep_days` ago and have a later job, or
/// no document: those of a change of model.
///
/// By id, because most jobs stay: by age, each batch would read all of those again. Jobs that another statement has
/// locked are left for the next round.
pub async fn delete_superseded_jobs(
    db: &impl Session,
    keep_days: u32,
    behind: Option<Uuid>,
    limit: i64,
) -> Result<Batch<Uuid>, DbError> {
    db.one(
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
    AND (l.document_id IS NULL OR EXISTS (
      SELECT FROM upload_pipeline.upload_jobs AS newer
      WHERE newer.document_id = l.document_id AND (newer.created_at, newer.job_id) > (l.created_at, l.job_id)
        AND (l.status <> 'complete' OR newer.status = 'complete')))
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
        &[&days(keep_days), &behind, &limit],
    )
    .await
}

/// Where the sweep over ended jobs continues. `None`: it is not due; `Some(None)`: at the start.
pub async fn get_jobs_position(db: &impl Session) -> Result<Option<Option<Uuid>>, DbError> {
    db.find(
        "-- get_jobs_position
SELECT h.position
FROM upload_pipeline.housekeeping AS h
WHERE h.task = 'ended_jobs' AND h.next_run_at <= now()",
        &[],
    )
    .await
}

/// Saves where the sweep over ended jobs has stopped; at its end, the next starts a day later.
pub async fn save_jobs_position(db: &impl Session, position: Option<Uuid>) -> Result<(), DbError> {
    db.exec(
        "-- save_jobs_position
UPDATE upload_pipeline.housekeeping AS h
SET position = $1, last_run_at = now(), next_run_at = CASE WHEN $1 IS NULL THEN now() + interval '1 day' ELSE now() END
WHERE h.task = 'ended_jobs'",
        &[&position],
    )
    .await
}
