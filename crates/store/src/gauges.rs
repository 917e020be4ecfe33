//! Figures about the queue and its tables, for `/metrics` and for housekeeping.
//!
//! None of them reads ended jobs: live and failed ones are counted through their partial indexes, the others
//! estimated from what the last vacuum or ANALYZE left in the catalog. What is counted costs as many rows as it counts.

use super::events::{RecentEvents, count_recent_events};
use pg::{DbError, FromRow, Session, column};

/// The tables whose dead rows slow the system down.
pub const WATCHED_TABLES: [&str; 4] = ["upload_jobs", "events", "document_chunks", "workers"];
/// A worker without a heartbeat for this long does not count as alive, in seconds: six default heartbeats.
const ALIVE_SECONDS: i32 = 60;
/// All figures, as of about one moment.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Live and failed jobs; a pair of state and status without jobs is left out.
    pub jobs: Vec<JobCount>,
    /// Users with a job that is due.
    pub users_waiting: i64,
    /// The tables of [`WATCHED_TABLES`].
    pub tables: Vec<TableGauge>,
    /// The transaction that has been open for longest in this database, other than our own; `None`: there is none.
    pub oldest_transaction: Option<OpenTransaction>,
    /// Live workers, by build.
    pub workers: Vec<WorkerCount>,
    /// What became of jobs in the last minutes.
    pub recent: Vec<RecentEvents>,
}

/// Jobs in one state at one status.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct JobCount {
    /// `queued`, `retryable`, `working` or `deadletter`.
    pub state: String,
    /// The checkpoint.
    pub status: String,
    /// How many.
    pub jobs: i64,
    /// Those that wait and could run now.
    pub due_jobs: i64,
    /// How long the first of them has been due, in whole seconds; `None`: none is due, or they do not wait.
    pub due_for_seconds: Option<i64>,
    /// How long ago the first of them was claimed, in whole seconds; `None`: no worker runs them.
    pub in_hand_for_seconds: Option<i64>,
}

/// What the server knows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct TableGauge {
    /// Its name.
    pub table: String,
    /// Rows, estimated at the last vacuum or ANALYZE; 0 before the first.
    pub rows: i64,
    /// Row versions that no vacuum has removed yet, estimated.
    pub dead_rows: i64,
    /// Since the last vacuum, automatic or by hand, in seconds; `None`: never since the server's statistics began.
    pub vacuumed_seconds_ago: Option<i64>,
}

/// A transaction that is open.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OpenTransaction {
    /// For `pg_terminate_backend`; 0 for a prepared transaction, which `ROLLBACK PREPARED` ends.
    pub pid: i32,
    /// `application_name` of the session, or the name of a prepared transaction.
    pub application_name: String,
    /// `active`, `idle in transaction` or `prepared`.
    pub state: String,
    /// How long it has been open, in whole seconds.
    pub open_for_seconds: i64,
}

impl OpenTransaction {
    /// The statement that ends it, for a person to run.
    pub fn end_statement(&self) -> String {
        match self.pid {
            0 => format!("ROLLBACK PREPARED '{}'", self.application_name.replace('\'', "''")),
            pid => format!("SELECT pg_terminate_backend({pid})"),
        }
    }
}

/// Workers of one build.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct WorkerCount {
    /// The commit that they were built from.
    pub commit: String,
    /// How many.
    pub workers: i64,
    /// Running jobs at their last heartbeats.
    pub running_jobs: i64,
    /// Jobs that they can run at once.
    pub slots: i64,
}

impl Gauges {
    /// Jobs in this state.
    pub fn jobs_in(&self, state: &str) -> i64 {
        self.jobs.iter().filter(|count| count.state == state).map(|count| count.jobs).sum()
    }

    /// How long the oldest due job has waited for a worker, in seconds; 0 when none is due.
    pub fn oldest_due_seconds(&self) -> i64 {
        self.jobs.iter().filter_map(|count| count.due_for_seconds).max().unwrap_or(0)
    }

    /// Jobs that wait and could run now.
    pub fn due_jobs(&self) -> i64 {
        self.jobs.iter().map(|count| count.due_jobs).sum()
    }

    /// How long ago the first of the running jobs was claimed, in seconds; 0 when none runs.
    pub fn longest_in_hand_seconds(&self) -> i64 {
        self.jobs.iter().filter_map(|count| count.in_hand_for_seconds).max().unwrap_or(0)
    }

    /// Live workers of all builds.
    pub fn workers_alive(&self) -> i64 {
        self.workers.iter().map(|build| build.workers).sum()
    }

    /// Jobs that are done or cancelled: what the table is estimated to hold, less what was counted.
    pub fn ended_jobs_estimate(&self) -> i64 {
        let rows = self.tables.iter().find(|table| table.table == "upload_jobs").map_or(0, |table| table.rows);
        let counted: i64 = self.jobs.iter().map(|count| count.jobs).sum();
        (rows - counted).max(0)
    }
}

/// Reads all figures: five statements.
pub async fn get_gauges(db: &impl Session) -> Result<Gauges, DbError> {
    let (jobs, users_waiting) = count_jobs(db).await?;
    Ok(Gauges {
        jobs,
        users_waiting,
        tables: list_table_gauges(db).await?,
        oldest_transaction: get_oldest_transaction(db).await?,
        workers: count_workers(db).await?,
        recent: count_recent_events(db).await?,
    })
}

/// The statement that counts jobs of documents; a test checks its plan.
pub const COUNT_JOBS: &str = "-- count_jobs
WITH counted AS (
  SELECT j.state, j.status, j.user_id, count(*) AS jobs, count(*) FILTER (WHERE j.run_at <= now()) AS due_jobs,
    min(greatest(j.run_at, '2000-01-01Z')) AS first_run_at, NULL::timestamptz AS first_claimed_at
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.state IN ('queued', 'retryable') AND j.document_id IS NOT NULL
  GROUP BY j.state, j.status, j.user_id
  UNION ALL
  SELECT j.state, j.status, NULL, count(*), 0, NULL, min(least(greatest(j.claimed_at, '2000-01-01Z'), now())) FILTER (WHERE j.claimed_at IS NOT NULL)
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.state = 'working' AND j.document_id IS NOT NULL
  GROUP BY j.state, j.status
  UNION ALL
  SELECT j.state, j.status, NULL, count(*), 0, NULL, NULL
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.state = 'deadletter' AND j.document_id IS NOT NULL
  GROUP BY j.state, j.status
)
SELECT c.state, c.status, sum(c.jobs)::bigint AS jobs, sum(c.due_jobs)::bigint AS due_jobs,
  extract(epoch FROM now() - min(c.first_run_at) FILTER (WHERE c.first_run_at <= now()))::bigint AS due_for_seconds,
  extract(epoch FROM now() - min(c.first_claimed_at))::bigint AS in_hand_for_seconds,
  (SELECT count(DISTINCT w.user_id) FROM counted AS w WHERE w.first_run_at <= now()) AS users_waiting
FROM counted AS c
GROUP BY c.state, c.status
ORDER BY c.state, c.status";

async fn count_jobs(db: &impl Session) -> Result<(Vec<JobCount>, i64), DbError> {
    let rows = db.rows(COUNT_JOBS, &[]).await?;
    let users_waiting = rows.first().map_or(Ok(0), |row| column(row, "users_waiting"))?;
    Ok((rows.iter().map(JobCount::from_row).collect::<Result<_, _>>()?, users_waiting))
}

/// Rows and dead rows of the watched tables.
pub async fn list_table_gauges(db: &impl Session) -> Result<Vec<TableGauge>, DbError> {
    db.list(
        "-- list_table_gauges
SELECT c.relname::text AS table, greatest(c.reltuples, 0)::bigint AS rows,
  pg_stat_get_dead_tuples(c.oid) AS dead_rows,
  extract(epoch FROM now() - greatest(pg_stat_get_last_autovacuum_time(c.oid), pg_stat_get_last_vacuum_time(c.oid)))::bigint
    AS vacuumed_seconds_ago
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'upload_pipeline' AND c.relname = ANY ($1) AND c.relkind = 'r'
ORDER BY c.relname",
        &[&WATCHED_TABLES.as_slice()],
    )
    .await
}

/// The transaction that has been open for longest in this database. Sessions of other roles are seen only with the right
/// to (`pg_read_all_stats`); prepared transactions are seen by all.
pub async fn get_oldest_transaction(db: &impl Session) -> Result<Option<OpenTransaction>, DbError> {
    db.find(
        "-- get_oldest_transaction
SELECT t.pid, t.application_name, t.state, extract(epoch FROM clock_timestamp() - t.began_at)::bigint AS open_for_seconds
FROM (
  SELECT a.pid, coalesce(a.application_name, '') AS application_name, coalesce(a.state, '') AS state, a.xact_start AS began_at
  FROM pg_stat_activity AS a
  WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    AND a.xact_start IS NOT NULL
  UNION ALL
  SELECT 0, p.gid, 'prepared', p.prepared
  FROM pg_prepared_xacts AS p
  WHERE p.database = current_database()
) AS t
ORDER BY t.began_at
LIMIT 1",
        &[],
    )
    .await
}

async fn count_workers(db: &impl Session) -> Result<Vec<WorkerCount>, DbError> {
    db.list(
        "-- count_workers
SELECT w.commit, count(*) AS workers, sum(w.running_jobs)::bigint AS running_jobs, sum(w.slots)::bigint AS slots
FROM upload_pipeline.workers AS w
WHERE w.last_seen_at > now() - $1 * interval '1 second'
GROUP BY w.commit
ORDER BY w.commit",
        &[&f64::from(ALIVE_SECONDS)],
    )
    .await
}

/// Counts running jobs whose lease expired over two minutes ago and which no worker has taken over.
pub async fn count_overdue_leases(db: &impl Session) -> Result<i64, DbError> {
    db.one(
        "-- count_overdue_leases
SELECT count(*) AS jobs
FROM upload_pipeline.upload_jobs AS j
WHERE j.state = 'working' AND coalesce(j.lease_expires_at, j.updated_at) < now() - interval '2 minutes'",
        &[],
    )
    .await
}
