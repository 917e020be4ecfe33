//! The table `provider_calls`: requests to a provider that charges for them.
//!
//! A row is written before the call. A row that a crash leaves at `intended` may have been charged for; the next run
//! closes it as `uncertain` and writes an event to the job's timeline.

use uuid::Uuid;

use super::jobs::{FENCED, lock_lease};
use domain::{Code, Fence, Lease};
use pg::{DbError, Session, row_type};

/// A provider's job that a document waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
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

row_type!(OpenCall { call_id, provider, provider_job, kind, waited_seconds, forgotten });

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
    lock_lease(tx, lease.fence).await?;
    tx.run(
        "-- close_open_calls
WITH closed AS (
  UPDATE upload_pipeline.provider_calls AS c
  SET state = CASE c.state WHEN 'intended' THEN 'uncertain' ELSE 'abandoned' END, ended_at = now()
  WHERE c.job_id = $1 AND c.state IN ('intended', 'accepted')
  RETURNING c.call_id, c.job_id, c.provider, c.state, c.intended_at
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT j.job_id, j.document_id, 'retry', 'warn', $2, jsonb_build_object(
    'class', 'transient',
    'message', 'It is not known whether the provider took this document the last time. It is asked again, so it may charge twice.',
    'provider', closed.provider,
    'call_id', closed.call_id,
    'asked_at', closed.intended_at),
  j.correlation_id
FROM closed
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = closed.job_id
WHERE closed.state = 'uncertain'",
        &[&lease.fence.job_id.0, &Code::ProviderCallUncertain.as_str()],
    )
    .await?;
    let call_id = Uuid::new_v4();
    tx.run(
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
    tx.run(
        "-- accept_call
UPDATE upload_pipeline.provider_calls AS c
SET state = 'accepted', provider_job = $2, accepted_at = now()
WHERE c.call_id = $1 AND c.state = 'intended'",
        &[&call_id, &provider_job],
    )
    .await
    .map(drop)
}

/// Writes how a call ended. A job that the provider has forgotten is paid for again, so it gets an event. For a
/// transaction.
pub async fn end_call(tx: &impl Session, fence: Fence, call_id: Uuid, end: CallEnd) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    tx.run(
        "-- end_call
WITH ended AS (
  UPDATE upload_pipeline.provider_calls AS c
  SET state = $2, ended_at = now()
  WHERE c.call_id = $1 AND c.state IN ('intended', 'accepted')
  RETURNING c.call_id, c.job_id, c.provider, c.state, c.accepted_at
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT j.job_id, j.document_id, 'retry', 'warn', $3, jsonb_build_object(
    'class', 'transient',
    'message', 'The provider no longer knows the job that it had accepted.',
    'provider', ended.provider,
    'call_id', ended.call_id,
    'accepted_at', ended.accepted_at),
  j.correlation_id
FROM ended
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = ended.job_id
WHERE ended.state = 'gone'",
        &[&call_id, &end.as_str(), &Code::ProviderCallGone.as_str()],
    )
    .await
    .map(drop)
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
