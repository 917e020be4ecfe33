//! The table `provider_calls`: requests to a provider that charges for them.
//!
//! A row is written before the call. A row that a crash leaves at `intended` may have been charged for; the next run
//! closes it as `uncertain` and writes an event to the job's timeline.

use uuid::Uuid;

use super::{
    jobs::{FENCED, lock_lease},
    spending::{Counted, Purchase, TODAY, nanos, release, reserve, settle},
};
use domain::{
    Code, Fence, Lease,
    money::{CapReached, Caps, Cents},
};
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
    Collected {
        /// The pages of the answer.
        pages: u32,
        /// The price of a page; `None`: there is none.
        price: Option<Cents>,
    },
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
            Self::Collected { .. } => "collected",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// A document that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct ProviderCall<'a> {
    /// The provider.
    pub provider: &'a str,
    /// How it reads: its tier.
    pub model: &'a str,
    /// What the file is by its content.
    pub kind: &'a str,
    /// Its pages, at least 1.
    pub pages: u32,
    /// What they cost; `None`: there is no price.
    pub cost: Option<Cents>,
}

/// Reserves what the call costs and writes that the provider is about to be called; returns the call's id, or the cap that does
/// not allow it. A call of an earlier run without a known end is closed as uncertain, with an event; an accepted one is
/// abandoned. For a transaction.
pub async fn begin_call(
    tx: &impl Session,
    lease: &Lease,
    caps: &Caps,
    call: ProviderCall<'_>,
) -> Result<Result<Uuid, CapReached>, DbError> {
    let message = "It is not known whether the provider took this document the last time. It is asked again, so it may \
        charge twice.";
    close_calls(tx, lease.fence, None, ["uncertain", "abandoned"], Code::ProviderCallUncertain, message).await?;
    let ProviderCall { provider, model, kind, pages, cost } = call;
    let purchase = Purchase { provider, model, tokens: 0, pages: pages.into(), cost };
    if let Err(reached) = reserve(tx, lease, caps, purchase).await? {
        return Ok(Err(reached));
    }
    let call_id = Uuid::new_v4();
    tx.exec(
        &format!(
            "-- insert_call
INSERT INTO upload_pipeline.provider_calls (call_id, job_id, provider, kind, lease_epoch, model, pages, day, reserved_cents)
VALUES ($1, $2, $3, $4, $5, $6, $7, {TODAY}, $8 * 0.000000001)"
        ),
        &[
            &call_id,
            &lease.fence.job_id.0,
            &provider,
            &kind,
            &lease.fence.epoch,
            &model,
            &i32::try_from(pages).unwrap_or(i32::MAX),
            &cost.map(Cents::nanos),
        ],
    )
    .await?;
    Ok(Ok(call_id))
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

/// Writes how a call ended, and counts what it has cost. What failed or was forgotten may have been charged, and stays counted as
/// uncertain. A job that the provider has forgotten is paid for again, so it gets an event. For a transaction.
pub async fn end_call(tx: &impl Session, fence: Fence, call_id: Uuid, end: CallEnd) -> Result<(), DbError> {
    lock_lease(tx, fence).await?;
    if let Some(call) = find_open_provider_call(tx, call_id).await? {
        match end {
            CallEnd::Collected { pages, price } => price_call(tx, call_id, &call, pages, price).await?,
            CallEnd::Refused => release(tx, &call).await?,
            CallEnd::Failed | CallEnd::Gone => {}
        }
    }
    let message = "The provider no longer knows the job that it had accepted.";
    close_calls(tx, fence, Some(call_id), [end.as_str(); 2], Code::ProviderCallGone, message).await
}

async fn price_call(
    tx: &impl Session,
    call_id: Uuid,
    call: &Counted,
    pages: u32,
    price: Option<Cents>,
) -> Result<(), DbError> {
    let cost = price.map(|price| price.times(pages.into()));
    tx.exec(
        "-- price_call
UPDATE upload_pipeline.provider_calls AS c
SET billed_pages = $2, cost_cents = $3 * 0.000000001
WHERE c.call_id = $1",
        &[&call_id, &i32::try_from(pages).unwrap_or(i32::MAX), &cost.map(Cents::nanos)],
    )
    .await?;
    settle(tx, call, 0, pages.into(), cost).await
}

/// A call that has no end yet, and how it is counted.
async fn find_open_provider_call(tx: &impl Session, call_id: Uuid) -> Result<Option<Counted>, DbError> {
    let reserved = nanos("c.reserved_cents");
    tx.find(
        &format!(
            "-- find_open_provider_call
SELECT j.user_id, c.day::text AS day, c.provider, coalesce(c.model, '') AS model, 0::bigint AS tokens,
  coalesce(c.pages, 0)::bigint AS pages, {reserved} AS reserved
FROM upload_pipeline.provider_calls AS c
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = c.job_id
WHERE c.call_id = $1 AND c.state IN ('intended', 'accepted')
FOR UPDATE OF c"
        ),
        &[&call_id],
    )
    .await
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
