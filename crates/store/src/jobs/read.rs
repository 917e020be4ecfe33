//! Jobs as their owner sees them.

use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::sql::LIVE;
use crate::{
    Cursor,
    spending::{Bill, bill_of},
};
use domain::{Code, DocumentId, JobId, State, Status, Step, UserId, progress::Counts, retry_needs};
use pg::{DbError, FromRow, Session, column};

/// A job, with the name of its file.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// The document.
    pub document_id: DocumentId,
    /// The file name of the version that it makes.
    pub filename: String,
    /// The number of that version; `None`: the active one.
    pub version_no: Option<i32>,
    /// The checkpoint.
    pub status: Status,
    /// Who has it.
    pub state: State,
    /// Failed tries since the last checkpoint.
    pub retry_count: i32,
    /// Pages, chunks and vectors so far.
    pub counts: Counts,
    /// How fast pages were read last.
    pub pages_per_second: Option<f64>,
    /// Chunks that have their vector from another version; `None`: there was none to take any from.
    pub kept: Option<i64>,
    /// What providers charged.
    pub bill: Bill,
    /// The last failure, with the first one of the job.
    pub last_error: Option<Value>,
    /// Lower goes first.
    pub priority: i16,
    /// When a worker may claim it, while it waits.
    pub run_at: OffsetDateTime,
    /// Until then the bytes may come; `None`: they came, or must be there already.
    pub upload_expires_at: Option<OffsetDateTime>,
    /// Where the bytes are; empty: they were removed, maybe with their version.
    pub raw_path: String,
    /// Whether the version that it made was removed.
    pub is_version_gone: bool,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When a worker first claimed it.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// Follows the upload through logs; `None`: another program's job.
    pub correlation_id: Option<Uuid>,
}

impl Job {
    /// The status that a `failed_*` replaced, if it is one to go on from.
    pub fn checkpoint(&self) -> Option<Status> {
        let written: Status = self.last_error.as_ref()?.get("checkpoint")?.as_str()?.parse().ok()?;
        Step::after(written).map(|_| written)
    }

    /// The code of the last failure.
    pub fn failed_with(&self) -> Option<Code> {
        Code::named(self.last_error.as_ref()?.get("code")?.as_str()?)
    }

    /// Why another try would end as the last did; `None`: it may not.
    pub fn retry_needs(&self) -> Option<Code> {
        if self.is_version_gone {
            return Some(Code::RetryNeedsUpload);
        }
        (self.state == State::Deadletter).then(|| retry_needs(self.failed_with(), self.raw_path.is_empty()))?
    }
}

const COLUMNS: &str = "j.job_id, j.document_id, coalesce(v.filename, d.filename) AS filename, j.version_no, j.status, j.state,
  j.retry_count, j.progress, bill.cost, bill.uncertain, j.last_error, j.priority, j.run_at, j.upload_expires_at,
  CASE WHEN v.document_id IS NOT NULL THEN v.raw_path WHEN coalesce(j.version_no, d.version_no) = d.version_no THEN d.raw_path ELSE '' END
    AS raw_path,
  v.document_id IS NULL AND coalesce(j.version_no, d.version_no) <> d.version_no AS is_version_gone,
  j.created_at, j.updated_at, j.started_at, j.finished_at, j.correlation_id
FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d ON d.document_id = j.document_id
LEFT JOIN upload_pipeline.document_versions AS v ON v.document_id = j.document_id AND v.version_no = j.version_no";

/// A job's columns with its bill, as `SELECT` needs them.
fn columns() -> String {
    format!("{COLUMNS}\n{}", bill_of("c.job_id = j.job_id"))
}

/// JSON that cannot be read counts as none, so that a row edited by hand does not hide the other jobs of a list.
impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let progress: Value = column(row, "progress").unwrap_or_default();
        let count = |key: &str| progress.get(key).and_then(Value::as_i64);
        Ok(Self {
            job_id: column(row, "job_id")?,
            document_id: column(row, "document_id")?,
            filename: column(row, "filename")?,
            version_no: column(row, "version_no")?,
            status: column(row, "status")?,
            state: column(row, "state")?,
            retry_count: column(row, "retry_count")?,
            counts: Counts {
                pages: count("pages"),
                pages_read: count("pages_read"),
                chunks: count("chunks"),
                embedded: count("embedded"),
                reused: count("reused"),
            },
            pages_per_second: progress.get("pages_per_second").and_then(Value::as_f64),
            kept: count("kept"),
            bill: Bill::from_row(row)?,
            last_error: column(row, "last_error").unwrap_or_default(),
            priority: column(row, "priority")?,
            run_at: column(row, "run_at")?,
            upload_expires_at: column(row, "upload_expires_at")?,
            raw_path: column(row, "raw_path")?,
            is_version_gone: column(row, "is_version_gone")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
            started_at: column(row, "started_at")?,
            finished_at: column(row, "finished_at")?,
            correlation_id: column(row, "correlation_id")?,
        })
    }
}

/// `user`'s job with this id.
pub async fn get_job(db: &impl Session, user: UserId, job_id: JobId) -> Result<Option<Job>, DbError> {
    let columns = columns();
    let sql = format!(
        "-- get_job
SELECT {columns}
WHERE j.job_id = $1 AND j.user_id = $2"
    );
    db.find(&sql, &[&job_id.0, &user.0]).await
}

/// Filters a user's jobs; `None` filters nothing.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<State>,
    /// At this status.
    pub status: Option<Status>,
    /// With an id from the first to the second.
    pub ids: Option<(Uuid, Uuid)>,
    /// Of this document.
    pub document: Option<DocumentId>,
    /// Created after this moment.
    pub created_after: Option<OffsetDateTime>,
    /// Created before this moment.
    pub created_before: Option<OffsetDateTime>,
}

/// Up to `limit` of `user`'s jobs behind `after`, newest first.
pub async fn list_jobs(
    db: &impl Session,
    user: UserId,
    filter: &JobFilter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Job>, DbError> {
    let columns = columns();
    let sql = format!(
        "-- list_jobs
SELECT {columns}
WHERE j.user_id = $1
  AND (j.created_at, j.job_id) < (coalesce($2, 'infinity'), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
  AND ($4::text IS NULL OR j.state = $4)
  AND ($5::text IS NULL OR j.status = $5)
  AND ($6::uuid IS NULL OR j.document_id = $6)
  AND ($7::timestamptz IS NULL OR j.created_at > $7) AND ($8::timestamptz IS NULL OR j.created_at < $8)
  AND ($9::uuid IS NULL OR j.job_id BETWEEN $9 AND $10)
ORDER BY j.created_at DESC, j.job_id DESC
LIMIT $11"
    );
    db.list(
        &sql,
        &[
            &user.0,
            &after.map(|cursor| cursor.created_at),
            &after.map(|cursor| cursor.id),
            &filter.state.map(State::as_str),
            &filter.status.map(Status::as_str),
            &filter.document.map(|id| id.0),
            &filter.created_after,
            &filter.created_before,
            &filter.ids.map(|(first, _)| first),
            &filter.ids.map(|(_, last)| last),
            &limit,
        ],
    )
    .await
}

/// Another job of the same document that has not ended: two would do the same work twice.
pub async fn get_live_sibling(db: &impl Session, job_id: JobId) -> Result<Option<JobId>, DbError> {
    db.find(
        &format!(
            "-- get_live_sibling
SELECT other.job_id
FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.upload_jobs AS other ON other.document_id = j.document_id
WHERE j.job_id = $1 AND other.job_id <> j.job_id AND other.state IN {LIVE}
ORDER BY other.created_at DESC
LIMIT 1"
        ),
        &[&job_id.0],
    )
    .await
}
