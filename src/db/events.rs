//! The table `events`: the timeline of jobs. Rows are written by the statements of what happened.

use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};

use super::{DbError, Session, session::column};
use crate::domain::{JobId, UserId};

/// One thing that happened to a job.
#[derive(Debug, Clone)]
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

fn event(row: &Row) -> Result<Event, DbError> {
    Ok(Event {
        seq: column(row, "seq")?,
        ts: column(row, "ts")?,
        kind: column(row, "type")?,
        severity: column(row, "severity")?,
        code: column(row, "code")?,
        payload: column(row, "payload")?,
    })
}

/// Up to `limit` events of `user`'s job behind `after`, oldest first. Empty, too, for a job of somebody else.
pub async fn list_events(
    db: &impl Session,
    user: UserId,
    job: JobId,
    after: i64,
    limit: i64,
) -> Result<Vec<Event>, DbError> {
    let rows = db
        .rows(
            "-- list_events
SELECT e.seq, e.ts, e.type, e.severity, e.code, e.payload
FROM upload_pipeline.events AS e
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = e.job_id
WHERE e.job_id = $1 AND j.user_id = $2 AND e.seq > $3
ORDER BY e.seq
LIMIT $4",
            &[(&job.0, Type::UUID), (&user.0, Type::UUID), (&after, Type::INT8), (&limit, Type::INT8)],
        )
        .await?;
    rows.iter().map(event).collect()
}
