//! The table `provider_calls`: requests to a provider that charges for them.
//!
//! A row is written before the call. A row that a crash leaves at `intended` may have been charged for; the next run
//! closes it as `uncertain` and writes an event to the job's timeline.

use uuid::Uuid;

use super::jobs::{FENCED, lock_lease};
use domain::{Code, Fence, Lease};
use pg::{DbError, FromRow, Session};

/// A provider's job that a document waits for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OpenCall {
    /// Its id.
    pub call_id: Uuid,
    /// The provider.
    pub provider: String,
    /// The provider's id of the job.
    pub provider_job: String,
    /// What the file is by its content.
    pub kind: String,
    /// Seconds since the provider accepted.
    pub waited_seconds: i64,
    /// Calls for this job that the provider has forgotten.
    pub forgotten: i64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// Its answer is stored.
    Collected,
    /// The provider took nothing.
    Refused,
    /// The provider could not read the document.
    Failed,
    /// The provider has forgotten the job.
    Gone,
}

impl CallEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Collected => "collected",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// Writes that `provider` is about to be called; returns the call's id. A call of an earlier run without a known end is
/// closed as uncertain, with an event; an accepted one is abandoned. For a transaction.
pub async fn begin_call(tx: &impl Session, lease: &Lease, provider: &str, kind: &str) -> Result<Uuid, DbError> {
    let message = "It is not known whether the provider took this document the last time. It is asked again, so it may \
        charge twice.";
    close_calls(tx, lease.fence, None, ["uncertain", "abandoned"], Code::ProviderCallUncertain, message).await?;
    let call_id = Uuid::new_v4();
    tx.exec(
        "-- insert_call
INSERT INTO upload_pipeline.provider_calls (call_id, job_id, provider, kind, lease_epoch)
VALUES ($1, $2, $3, $4, $5)",
        &[&call_id, &lease.fence.job_id.0, &provider, &kind, &lease.fence.epoch],
    )
    .await?;
    Ok(call_id)
}

/// Writes that the provider has accepted the document. For a transaction, with the job's next checkpoint.
pub async fn accept_call(tx: &impl Session, fence: Fence, call_id: Uuid, provider_job: &str) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    tx.exec(
        "-- accept_call
UPDATE upload_pipeline.provider_calls AS c
SET state = 'accepted', provider_job = $2, accepted_at = now()
WHERE c.call_id = $1 AND c.state = 'intended'",
        &[&call_id, &provider_job],
    )
    .await
}

/// Writes how a call ended. A job that the provider has forgotten is paid for again, so it gets an event. For a
/// transaction.
pub async fn end_call(tx: &impl Session, fence: Fence, call_id: Uuid, end: CallEnd) -> Result<(), DbError> {
    let message = "The provider no longer knows the job that it had accepted.";
    close_calls(tx, fence, Some(call_id), [end.as_str(); 2], Code::ProviderCallGone, message).await
}

/// Closes one open call of the job, or all: the first of `ends` is for a call that was only intended, the second for one
/// that was accepted. A call that may be charged for again gets an event.
async fn close_calls(
    tx: &impl Session,
    fence: Fence,
    call_id: Option<Uuid>,
    ends: [&str; 2],
    code: Code,
    message: &str,
) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    tx.exec(
        "-- close_calls
WITH closed AS (
  UPDATE upload_pipeline.provider_calls AS c
  SET state = CASE c.state WHEN 'intended' THEN $3 ELSE $4 END, ended_at = now()
  WHERE c.job_id = $1 AND c.call_id = coalesce($2, c.call_id) AND c.state IN ('intended', 'accepted')
  RETURNING c.call_id, c.job_id, c.provider, c.state, c.intended_at, c.accepted_at
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT j.job_id, j.document_id, 'retry', 'warn', $5,
  jsonb_build_object('class', 'transient', 'message', $6::text, 'provider', closed.provider, 'call_id', closed.call_id)
    || CASE closed.state WHEN 'gone' THEN jsonb_build_object('accepted_at', closed.accepted_at)
       ELSE jsonb_build_object('asked_at', closed.intended_at) END,
  j.correlation_id
FROM closed
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = closed.job_id
WHERE closed.state IN ('uncertain', 'gone')",
        &[&fence.job_id.0, &call_id, &ends[0], &ends[1], &code.as_str(), &message],
    )
    .await
}

/// The provider's job that a leased job waits for; `None`: there is none, or the lease is lost.
pub async fn get_open_call(db: &impl Session, fence: Fence) -> Result<Option<OpenCall>, DbError> {
    db.find(
        &format!(
            "-- get_open_call
SELECT c.call_id, c.provider, c.provider_job, c.kind,
  floor(extract(epoch FROM now() - c.accepted_at))::bigint AS waited_seconds,
  (SELECT count(*) FROM upload_pipeline.provider_calls AS g WHERE g.job_id = c.job_id AND g.state = 'gone') AS forgotten
FROM upload_pipeline.provider_calls AS c
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = c.job_id
WHERE {FENCED} AND c.state = 'accepted'"
        ),
        &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
    )
    .await
}
