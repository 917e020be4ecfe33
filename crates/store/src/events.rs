//! The table `events`: the timeline of jobs. The statement that changes a job writes its event.

use serde_json::Value;
use time::OffsetDateTime;

use domain::{JobId, UserId};
use pg::{DbError, FromRow, Session};

/// How far back events are counted, in seconds: short enough for a quick alert, long enough for a steady one.
pub const RECENT_SECONDS: u32 = 300;
/// Events read at the most: those of about 2,000 jobs; measured: 15 ms.
pub const RECENT_EVENTS: i64 = 20_000;

/// One thing that happened to a job.
#[derive(Debug, Clone, FromRow)]
pub struct Event {
    /// Ascending within a job.
    pub seq: i64,
    /// When.
    pub ts: OffsetDateTime,
    /// What kind of thing.
    pub kind: String,
    /// `info`, `warn` or `error`.
    pub severity: String,
    /// Status or failure code.
    pub code: String,
    /// Counts, durations, messages.
    pub payload: Option<Value>,
}

/// Up to `limit` events of `user`'s job behind `after`, oldest first. Also empty for another user's job.
pub async fn list_events(
    db: &impl Session,
    user: UserId,
    job: JobId,
    after: i64,
    limit: i64,
) -> Result<Vec<Event>, DbError> {
    db.list(
        "-- list_events
SELECT e.seq, e.ts, e.type AS kind, e.severity, e.code, e.payload
FROM upload_pipeline.events AS e
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = e.job_id
WHERE e.job_id = $1 AND j.user_id = $2 AND e.seq > $3
ORDER BY e.seq
LIMIT $4",
        &[&job.0, &user.0, &after, &limit],
    )
    .await
}

/// Events of one type and class of error, of the last [`RECENT_SECONDS`].
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RecentEvents {
    /// `finalized`, `retry`, `error`, `taken_over`, or `handed_back` by a worker that is set up wrongly.
    pub kind: String,
    /// `transient`, `quota`, `document` or `configuration`; empty where the event has none.
    pub class: String,
    /// How many.
    pub events: i64,
}

/// The statement that counts recent events; a test checks its plan. It reads a bounded number of the newest: where
/// there are more, the kinds can still be compared by their shares. A class that another program wrote is left out.
pub const COUNT_RECENT_EVENTS: &str = "-- count_recent_events
WITH recent AS MATERIALIZED (
  SELECT e.type, e.severity, e.payload
  FROM upload_pipeline.events AS e
  WHERE e.ts > now() - $1 * interval '1 second'
  ORDER BY e.ts DESC
  LIMIT $2
),
problem AS (
  SELECT r.type, r.payload ->> 'class' AS class
  FROM recent AS r
  WHERE r.type IN ('finalized', 'retry', 'error', 'taken_over') OR (r.type = 'handed_back' AND r.severity = 'error')
)
SELECT p.type AS kind, CASE WHEN p.class IN ('transient', 'quota', 'document', 'configuration') THEN p.class ELSE '' END AS class,
  count(*) AS events
FROM problem AS p
GROUP BY 1, 2
ORDER BY 1, 2";

/// Counts what became of jobs in the last minutes.
pub async fn count_recent_events(db: &impl Session) -> Result<Vec<RecentEvents>, DbError> {
    db.list(COUNT_RECENT_EVENTS, &[&f64::from(RECENT_SECONDS), &RECENT_EVENTS]).await
}

/// An event that says of a problem, without its payload.
#[derive(Debug, Clone, FromRow)]
pub struct ProblemEvent {
    /// When.
    pub ts: OffsetDateTime,
    /// What kind of thing.
    pub kind: String,
    /// `info`, `warn` or `error`.
    pub severity: String,
    /// Status or failure code.
    pub code: String,
    /// The class of the failure; empty where the event has none.
    pub class: String,
    /// Whose.
    pub job_id: JobId,
}

/// Up to `limit` problems among the newest [`RECENT_EVENTS`], newest first.
pub async fn list_problem_events(db: &impl Session, limit: i64) -> Result<Vec<ProblemEvent>, DbError> {
    db.list(
        "-- list_problem_events
SELECT r.ts, r.type AS kind, r.severity, r.code, coalesce(r.payload ->> 'class', '') AS class, r.job_id
FROM (
  SELECT e.ts, e.type, e.severity, e.code, e.payload, e.job_id
  FROM upload_pipeline.events AS e
  ORDER BY e.ts DESC
  LIMIT $1
) AS r
WHERE r.severity IN ('warn', 'error') OR r.type IN ('retry', 'error', 'taken_over')
ORDER BY r.ts DESC
LIMIT $2",
        &[&RECENT_EVENTS, &limit],
    )
    .await
}
