//! Taking jobs, and knowing when to look for some again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{DocumentId, Fence, JobId, Lease, Status, Step, Timeline, UserId, WorkerId};
use pg::{
    DbError, Session,
    session::{column, parsed},
};
use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

/// A job taken over in the middle of a step this often has no neighbours at its next run: alone, it can hurt nobody.
const ALONE_AFTER_CRASHES: i32 = 2;
/// How long a worker trusts where its claims left off. Source: ours; a job that was committed late waits for so long.
const FLOORS_LAST: Duration = Duration::from_secs(1);
/// Users with a floor, each of whom a claim looks at, whether he has work or not. Source: ours; a fleet serves fewer in a second
/// unless their jobs are short and few, and then there is little to pass over.
const MAX_FLOORS: usize = 256;

/// How to claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Running jobs a user may have; 0 = no bound.
    pub max_running_per_user: u32,
    /// What is written of a job's way.
    pub timeline: Timeline,
    /// A test's clock; `None`: the database's.
    pub now: Option<OffsetDateTime>,
}

/// What a claim took.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The jobs, in no particular order; their first step has begun.
    pub leases: Vec<Lease>,
    /// Nothing was taken, though jobs wait: see [`get_outlook`].
    pub others_wait: bool,
}

/// Where a worker's claims have come to.
#[derive(Debug, Default)]
pub struct ClaimCursor {
    /// The user served last; the next claim goes on behind it.
    after: Option<UserId>,
    floors: Option<Floors>,
}

/// Below these nothing was left when last looked, so a claim begins there.
#[derive(Debug)]
struct Floors {
    since: Instant,
    priority: i16,
    due: BTreeMap<Uuid, OffsetDateTime>,
}

impl ClaimCursor {
    /// One that goes on behind this user and knows nothing else.
    pub fn after(user: UserId) -> Self {
        Self { after: Some(user), floors: None }
    }
}

impl Floors {
    /// What was taken (priority, user, when it was due) is the first of what was due, so the next claim goes on from its last.
    /// Floors are of one priority: `None` where more than one was served.
    fn raised(floors: Option<Self>, taken: &[(i16, Uuid, OffsetDateTime)]) -> Option<Self> {
        let &(priority, ..) = taken.first()?;
        if taken.iter().any(|(of_job, ..)| *of_job != priority) {
            return None;
        }
        let mut floors = floors.filter(|floors| floors.priority == priority).unwrap_or_else(|| Self {
            since: Instant::now(),
            priority,
            due: BTreeMap::new(),
        });
        for &(_, user, run_at) in taken {
            floors.due.entry(user).and_modify(|due| *due = run_at.max(*due)).or_insert(run_at);
        }
        (floors.due.len() <= MAX_FLOORS).then_some(floors)
    }
}

/// Claims up to `slots` jobs in one statement: writes owner, lease and epoch and notes that their steps begin. Fair across
/// users, going on from `cursor`. A job that has brought workers down is left to [`claim_suspect`].
///
/// The commit is asynchronous: after a crash of the server the claim may be gone, and then its fence fits nothing.
pub async fn claim_jobs(
    db: &impl Session,
    worker: WorkerId,
    slots: u32,
    cursor: &mut ClaimCursor,
    options: ClaimOptions,
) -> Result<Claimed, DbError> {
    cursor.floors.take_if(|floors| floors.since.elapsed() >= FLOORS_LAST);
    let began_above = cursor.floors.is_some();
    let claimed = claim_from(db, worker, slots, cursor, options).await?;
    if began_above && claimed.leases.is_empty() {
        return claim_from(db, worker, slots, cursor, options).await;
    }
    Ok(claimed)
}

/// One claim, and what the next one needs to know of it: floors only while each claim finds all that it has room for.
async fn claim_from(
    db: &impl Session,
    worker: WorkerId,
    slots: u32,
    cursor: &mut ClaimCursor,
    options: ClaimOptions,
) -> Result<Claimed, DbError> {
    let (statuses, steps) = claimable();
    let floors = cursor.floors.take();
    let (users, dues): (Vec<Uuid>, Vec<OffsetDateTime>) = floors.iter().flat_map(|floors| &floors.due).unzip();
    let rows = db
        .rows(
            "-- claim_jobs
SELECT c.*
FROM upload_pipeline.claim_jobs_from($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, now()), $10, $11, $12) AS c",
            &[
                (&worker.0, Type::UUID),
                (&i32::try_from(slots).unwrap_or(i32::MAX), Type::INT4),
                (&i32::try_from(options.max_running_per_user).unwrap_or(i32::MAX), Type::INT4),
                (&cursor.after.map(|user| user.0), Type::UUID),
                (&statuses, Type::TEXT_ARRAY),
                (&options.timeline.is_whole().then_some(steps), Type::TEXT_ARRAY),
                (&ALONE_AFTER_CRASHES, Type::INT4),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
                (&options.now, Type::TIMESTAMPTZ),
                (&floors.as_ref().map(|floors| floors.priority), Type::INT2),
                (&users, Type::UUID_ARRAY),
                (&dues, Type::TIMESTAMPTZ_ARRAY),
            ],
        )
        .await?;
    let mut claimed = Claimed::default();
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        cursor.after = column::<Option<Uuid>>(row, "served_last")?.map(UserId);
        match column::<Option<Uuid>>(row, "job_id")? {
            Some(_) => {
                // A moment written by hand may be none that fits, as -infinity: it makes no floor.
                if let Ok(run_at) = column(row, "run_at") {
                    taken.push((column(row, "priority")?, column(row, "user_id")?, run_at));
                }
                claimed.leases.push(lease(row, worker, options.timeline)?);
            }
            None => claimed.others_wait = true,
        }
    }
    if taken.len() >= usize::try_from(slots).unwrap_or(usize::MAX) {
        cursor.floors = Floors::raised(floors, &taken);
    }
    Ok(claimed)
}

/// The statuses that this build knows how to go on from, and the step that each begins.
fn claimable() -> (Vec<&'static str>, Vec<&'static str>) {
    Status::ALL.iter().filter_map(|status| Some((status.as_str(), Step::after(*status)?.as_str()))).unzip()
}

/// Claims one job that was taken over in a step too often to run beside others. Ask only when nothing else runs here,
/// and claim nothing more until it has ended.
pub async fn claim_suspect(
    db: &impl Session,
    worker: WorkerId,
    options: ClaimOptions,
) -> Result<Option<Lease>, DbError> {
    let (statuses, steps) = claimable();
    let row = db
        .row(
            "-- claim_suspect
WITH picked AS (
  SELECT s.job_id
  FROM upload_pipeline.upload_jobs AS s
  WHERE s.crash_count > 1 AND s.state IN ('queued', 'retryable') AND s.run_at <= coalesce($1, now())
    AND s.status = ANY ($2)
  ORDER BY s.run_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
),
claimed AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'working',
      claimed_by = $3,
      claimed_at = coalesce($1, now()),
      lease_expires_at = coalesce($1, now()) + $4 * interval '1 second',
      lease_epoch = j.lease_epoch + 1,
      step_started_at = coalesce($1, now()),
      updated_at = coalesce($1, now())
  FROM picked
  WHERE j.job_id = picked.job_id
  RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.correlation_id
),
started AS (
  INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
  SELECT c.job_id, c.document_id, 'stage_started', 'info', ($5::text[])[array_position($2, c.status)], c.correlation_id
  FROM claimed AS c
)
SELECT c.*
FROM claimed AS c",
            &[
                (&options.now, Type::TIMESTAMPTZ),
                (&statuses, Type::TEXT_ARRAY),
                (&worker.0, Type::UUID),
                (&options.lease.as_secs_f64(), Type::FLOAT8),
                (&steps, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    row.as_ref().map(|row| lease(row, worker, Timeline::Whole)).transpose()
}

/// What an idle worker looks out for.
#[derive(Debug, Clone, Copy)]
pub struct Outlook {
    /// Until the next job that waits becomes due; `None`: nothing waits.
    pub next_due: Option<Duration>,
    /// A job that must run alone is due: see [`claim_suspect`].
    pub suspect: bool,
}

/// When to look again, at the price of the users that have waiting jobs, not of their rows.
pub async fn get_outlook(db: &impl Session) -> Result<Outlook, DbError> {
    let row = db
        .row(
            "-- get_outlook
WITH RECURSIVE waiting AS (
  (SELECT j.priority, j.user_id
   FROM upload_pipeline.upload_jobs AS j
   WHERE j.state IN ('queued', 'retryable')
   ORDER BY j.priority, j.user_id
   LIMIT 1)
  UNION ALL
  SELECT following.priority, following.user_id
  FROM waiting AS w
  CROSS JOIN LATERAL (
    SELECT j.priority, j.user_id
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND (j.priority, j.user_id) > (w.priority, w.user_id)
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
     WHERE j.state IN ('queued', 'retryable') AND j.priority = w.priority AND j.user_id = w.user_id AND j.run_at > now()
     ORDER BY j.run_at
     LIMIT 1
   ) AS due) AS seconds,
  EXISTS (
    SELECT FROM upload_pipeline.upload_jobs AS s
    WHERE s.crash_count > 1 AND s.state IN ('queued', 'retryable') AND s.run_at <= now() AND s.status = ANY ($1)
  ) AS suspect",
            &[(&Status::claimable(), Type::TEXT_ARRAY)],
        )
        .await?;
    let Some(row) = row else { return Ok(Outlook { next_due: None, suspect: false }) };
    let seconds: Option<f64> = column(&row, "seconds")?;
    Ok(Outlook {
        next_due: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        suspect: column(&row, "suspect")?,
    })
}

/// Whether a job that must run alone has waited for at least `patience`.
pub async fn suspect_waits(db: &impl Session, patience: Duration) -> Result<bool, DbError> {
    let row = db
        .row(
            "-- suspect_waits
SELECT EXISTS (
  SELECT FROM upload_pipeline.upload_jobs AS s
  WHERE s.crash_count > 1 AND s.state IN ('queued', 'retryable') AND s.run_at <= now() - $1 * interval '1 second'
    AND s.status = ANY ($2)
) AS waits",
            &[(&patience.as_secs_f64(), Type::FLOAT8), (&Status::claimable(), Type::TEXT_ARRAY)],
        )
        .await?;
    row.map_or(Ok(false), |row| column(&row, "waits"))
}

/// Of columns that hold what a claim or a CHECK has put there: one that could not be read would fail the claim of all its neighbours.
fn lease(row: &Row, worker: WorkerId, timeline: Timeline) -> Result<Lease, DbError> {
    let fence = Fence { job_id: JobId(column(row, "job_id")?), worker, epoch: column(row, "lease_epoch")? };
    Ok(Lease {
        fence,
        document_id: DocumentId(column(row, "document_id")?),
        user_id: UserId(column(row, "user_id")?),
        status: parsed(row, "status")?,
        retry_count: column(row, "retry_count")?,
        correlation_id: column(row, "correlation_id")?,
        timeline,
    })
}
