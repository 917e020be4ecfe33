//! Claims jobs, and reads when the next claim makes sense.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::sql::WAITING;
use crate::model_switch::REEMBED_PRIORITY;
use domain::{ALONE_AFTER_CRASHES, DocumentId, Fence, Lease, Status, Step, UserId, WorkerId};
use pg::{DbError, FromRow, Session, column};

/// How to claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Running jobs a user may have; 0 = no bound.
    pub max_running_per_user: u32,
    /// A test's clock; `None`: the database's.
    pub now: Option<OffsetDateTime>,
}

/// Claims up to `slots` jobs in one statement, which writes owner, lease, epoch and the events of the steps that begin.
/// Fair across users, starting after `after`, the user served last. It may claim fewer jobs than are due; only a claim of
/// none says that none is left. A job that must run alone is left to [`claim_suspect`].
pub async fn claim_jobs(
    db: &impl Session,
    worker: WorkerId,
    slots: u32,
    after: Option<UserId>,
    options: ClaimOptions,
) -> Result<Vec<Lease>, DbError> {
    let (statuses, steps) = claimable();
    let rows = db
        .rows(
            "-- claim_jobs
SELECT c.*
FROM set_config('upload_pipeline.knows_versions', 'on', true) AS known (versions)
CROSS JOIN set_config('upload_pipeline.knows_reembed', 'on', true) AS also (reembed)
CROSS JOIN LATERAL upload_pipeline.claim_jobs(
  -- Refers to the settings, so that they are made first.
  p_worker => CASE WHEN known.versions = 'on' AND also.reembed = 'on' THEN $1 END, p_slots => $2, p_max_per_user => $3, p_after => $4, p_statuses => $5, p_steps => $6,
  p_alone_from => $7, p_lease => $8, p_now => coalesce($9, now())) AS c",
            &[
                &worker.0,
                &i32::try_from(slots).unwrap_or(i32::MAX),
                &i32::try_from(options.max_running_per_user).unwrap_or(i32::MAX),
                &after.map(|user| user.0),
                &statuses,
                &steps,
                &ALONE_AFTER_CRASHES,
                &options.lease.as_secs_f64(),
                &options.now,
            ],
        )
        .await?;
    rows.iter().map(|row| lease(row, worker)).collect()
}

/// The user served last by a claim that started after `after`: users take turns in the order of their ids, and the first
/// follows the last.
pub fn served_last(after: Option<UserId>, leases: &[Lease]) -> Option<UserId> {
    leases
        .iter()
        .map(|lease| lease.user_id)
        .max_by_key(|user| (Some(user.0) <= after.map(|after| after.0), user.0))
        .or(after)
}

/// The statuses that this build can continue from, and the step that each begins.
fn claimable() -> (Vec<&'static str>, Vec<&'static str>) {
    Status::ALL.iter().filter_map(|status| Some((status.as_str(), Step::after(*status)?.as_str()))).unzip()
}

/// Due jobs that must run alone: what the index `ix_upload_jobs_suspect` holds. `$1`: statuses.
fn suspects() -> String {
    format!("s.crash_count >= {ALONE_AFTER_CRASHES} AND s.state IN {WAITING} AND s.status = ANY ($1)")
}

/// Claims one job in whose steps workers died too often to run it beside others. Call it only when no other job runs in
/// this process, and claim nothing more until the job has ended.
pub async fn claim_suspect(
    db: &impl Session,
    worker: WorkerId,
    options: ClaimOptions,
) -> Result<Option<Lease>, DbError> {
    let (statuses, steps) = claimable();
    let suspects = suspects();
    let row = db
        .row(
            &format!(
                "-- claim_suspect
WITH picked AS (
  SELECT s.job_id
  FROM upload_pipeline.upload_jobs AS s
  WHERE {suspects} AND s.run_at <= coalesce($2, now())
  ORDER BY s.run_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
),
claimed AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'working', claimed_by = CASE
        WHEN set_config('upload_pipeline.knows_versions', 'on', true) = set_config('upload_pipeline.knows_reembed', 'on', true)
        THEN $3 END,
      claimed_at = coalesce($2, now()),
      lease_expires_at = coalesce($2, now()) + $4 * interval '1 second', lease_epoch = j.lease_epoch + 1,
      step_started_at = coalesce($2, now()), updated_at = coalesce($2, now())
  FROM picked
  WHERE j.job_id = picked.job_id
  RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.correlation_id
),
started AS (
  INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
  SELECT c.job_id, c.document_id, 'stage_started', 'info', ($5::text[])[array_position($1, c.status)], c.correlation_id
  FROM claimed AS c
)
SELECT c.*
FROM claimed AS c"
            ),
            &[&statuses, &options.now, &worker.0, &options.lease.as_secs_f64(), &steps],
        )
        .await?;
    row.as_ref().map(|row| lease(row, worker)).transpose()
}

/// What an idle worker waits for.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Outlook {
    /// Until the next job that waits becomes due; `None`: nothing waits.
    pub next_due: Option<Duration>,
    /// A job that must run alone is due: see [`claim_suspect`].
    pub suspect: bool,
}

/// Reads when to claim again. It reads one row for each user that has waiting jobs, not all of their rows.
pub async fn get_outlook(db: &impl Session) -> Result<Outlook, DbError> {
    let suspects = suspects();
    db.one(
        &format!(
            "-- get_outlook
WITH RECURSIVE waiting AS (
  (SELECT j.priority, j.user_id
   FROM upload_pipeline.upload_jobs AS j
   WHERE j.state IN {WAITING}
   ORDER BY j.priority, j.user_id
   LIMIT 1)
  UNION ALL
  SELECT following.priority, following.user_id
  FROM waiting AS w
  CROSS JOIN LATERAL (
    SELECT j.priority, j.user_id
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN {WAITING} AND (j.priority, j.user_id) > (w.priority, w.user_id)
    ORDER BY j.priority, j.user_id
    LIMIT 1
  ) AS following
)
SELECT
  -- No difference to an infinity: servers before version 17 refuse it.
  (SELECT extract(epoch FROM min(least(due.run_at, now() + interval '1 day')) - now())::float8
   FROM waiting AS w
   CROSS JOIN LATERAL (
     SELECT j.run_at
     FROM upload_pipeline.upload_jobs AS j
     WHERE j.state IN {WAITING} AND j.priority = w.priority AND j.user_id = w.user_id AND j.run_at > now()
     ORDER BY j.run_at
     LIMIT 1
   ) AS due) AS next_due,
  EXISTS (SELECT FROM upload_pipeline.upload_jobs AS s WHERE {suspects} AND s.run_at <= now()) AS suspect"
        ),
        &[&Status::claimable()],
    )
    .await
}

/// The most users that [`list_users_ahead`] looks at.
const LOOKED_AT: i32 = 1000;

/// Users whose jobs go before a running one: they have a due job of its priority or a more urgent one, and fewer running
/// jobs than its user. Before a job of a change of model goes each that is due. Up to `limit`, the fewest running first.
pub async fn list_users_ahead(db: &impl Session, fence: Fence, limit: i64) -> Result<Vec<UserId>, DbError> {
    db.list(
        &format!(
            "-- list_users_ahead
WITH RECURSIVE mine AS (
  SELECT j.user_id, j.priority, {RUNNING} AS running
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.job_id = $1
),
waiting AS (
  (SELECT j.priority, j.user_id, 1 AS n
   FROM upload_pipeline.upload_jobs AS j
   WHERE j.state IN {WAITING}
   ORDER BY j.priority, j.user_id
   LIMIT 1)
  UNION ALL
  SELECT following.priority, following.user_id, w.n + 1
  FROM waiting AS w
  CROSS JOIN LATERAL (
    SELECT j.priority, j.user_id
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN {WAITING} AND (j.priority, j.user_id) > (w.priority, w.user_id)
    ORDER BY j.priority, j.user_id
    LIMIT 1
  ) AS following
  WHERE w.n < {LOOKED_AT}
)
SELECT j.user_id
FROM mine
JOIN waiting AS j ON j.priority <= mine.priority AND j.user_id <> mine.user_id
WHERE ({RUNNING} < mine.running OR mine.priority >= {REEMBED_PRIORITY} AND j.priority < mine.priority)
  AND EXISTS (
    SELECT FROM upload_pipeline.upload_jobs AS due
    WHERE due.state IN {WAITING} AND due.priority = j.priority AND due.user_id = j.user_id AND due.run_at <= now()
      AND due.status = ANY ($2) AND due.crash_count < {ALONE_AFTER_CRASHES})
ORDER BY {RUNNING}
LIMIT $3"
        ),
        &[&fence.job_id.0, &Status::claimable(), &limit],
    )
    .await
}

/// How many jobs of the user of `j` run.
const RUNNING: &str =
    "(SELECT count(*) FROM upload_pipeline.upload_jobs AS r WHERE r.state = 'working' AND r.user_id = j.user_id)";

/// Whether a job that must run alone has waited for at least `patience`.
pub async fn suspect_waits(db: &impl Session, patience: Duration) -> Result<bool, DbError> {
    let suspects = suspects();
    db.one(
        &format!(
            "-- suspect_waits
SELECT EXISTS (
  SELECT FROM upload_pipeline.upload_jobs AS s WHERE {suspects} AND s.run_at <= now() - $2 * interval '1 second'
) AS waits"
        ),
        &[&Status::claimable(), &patience.as_secs_f64()],
    )
    .await
}

/// Reads only columns that the claim or a CHECK has filled: a value that cannot be read would fail the whole claim.
fn lease(row: &Row, worker: WorkerId) -> Result<Lease, DbError> {
    let fence = Fence { job_id: column(row, "job_id")?, worker, epoch: column(row, "lease_epoch")? };
    Ok(Lease {
        fence,
        document_id: column::<Option<DocumentId>>(row, "document_id")?.unwrap_or(Lease::NO_DOCUMENT),
        user_id: column(row, "user_id")?,
        status: column(row, "status")?,
        retry_count: column(row, "retry_count")?,
        correlation_id: column(row, "correlation_id")?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use domain::JobId;

    fn lease_of(user: u128) -> Lease {
        Lease {
            fence: Fence { job_id: JobId(Uuid::nil()), worker: WorkerId(Uuid::nil()), epoch: 1 },
            document_id: DocumentId(Uuid::nil()),
            user_id: UserId(Uuid::from_u128(user)),
            status: Status::Uploaded,
            retry_count: 0,
            correlation_id: None,
        }
    }

    #[test]
    fn the_user_served_last_is_the_last_of_the_round_that_began_behind_the_one_before() {
        let user = |n| Some(UserId(Uuid::from_u128(n)));
        let leases = [2, 7, 4].map(lease_of);
        assert_eq!(served_last(None, &leases), user(7));
        assert_eq!(served_last(user(3), &leases), user(2));
        assert_eq!(served_last(user(9), &leases), user(7));
        assert_eq!(served_last(user(4), &leases), user(4));
        assert_eq!(served_last(user(4), &[]), user(4));
    }
}
