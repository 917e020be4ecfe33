//! The table `embed_calls`: requests to an embedding service that charges for them.
//!
//! A row is written before the request, and ends in the transaction that commits its vectors. A row that a crash leaves at
//! `intended` may have been charged for; the next run closes it as `uncertain` and writes an event to the job's timeline.

use uuid::Uuid;

use super::{
    jobs::lock_lease,
    spending::{Counted, PAYER, Purchase, TODAY, leave_uncertain, nanos, release, reserve, settle},
};
use domain::{
    Code, Fence, Lease,
    money::{CapReached, Caps, Cents},
};
use pg::{Db, DbError, Session};

/// A request that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct EmbedCall<'a> {
    /// The service.
    pub provider: &'a str,
    /// The model of the vectors.
    pub model: &'a str,
    /// Texts in it.
    pub inputs: usize,
    /// Their tokens, as they were reckoned.
    pub tokens: usize,
    /// What they cost; `None`: there is no price.
    pub cost: Option<Cents>,
}

/// What a request has brought besides its vectors.
#[derive(Debug, Clone, Copy)]
pub struct Charged {
    /// The request.
    pub call_id: Uuid,
    /// The tokens that were charged; `None`: the service did not say.
    pub tokens: Option<i64>,
    /// The price of a million; `None`: there is none.
    pub price: Option<Cents>,
    /// Texts of the request that brought no vector.
    pub wasted: Option<Wasted>,
}

/// Texts that are charged with others and brought no vector. They are sent again.
#[derive(Debug, Clone, Copy)]
pub struct Wasted {
    /// How many.
    pub inputs: usize,
    /// Their tokens, as they were reckoned.
    pub tokens: usize,
    /// Their part of what was reserved; `None`: there is no price.
    pub cost: Option<Cents>,
}

/// How a request ended without vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallLost {
    /// It cost nothing.
    Refused,
    /// It may have been charged for.
    Uncertain,
}

/// Reserves what a request costs and writes that the service is about to be asked for a leased job; returns the call's id, or
/// the cap that does not allow it.
///
/// # Errors
///
/// The lease is lost, or the database does not answer. Then the service must not be asked.
pub async fn begin_embed_call(
    db: &Db,
    lease: &Lease,
    caps: &Caps,
    call: EmbedCall<'_>,
) -> Result<Result<Uuid, CapReached>, DbError> {
    let call_id = Uuid::new_v4();
    let EmbedCall { provider, model, tokens, cost, .. } = call;
    let purchase = Purchase { provider, model, tokens: i64::from(whole(tokens)), pages: 0, cost };
    db.run_tx("begin_embed_call", |tx| {
        Box::pin(async move {
            lock_lease(&tx, lease.fence).await?;
            if let Err(reached) = reserve(&tx, lease, caps, purchase).await? {
                return Ok(Err(reached));
            }
            insert_embed_call(&tx, lease, call_id, call).await?;
            Ok(Ok(call_id))
        })
    })
    .await
}

async fn insert_embed_call(
    tx: &impl Session,
    lease: &Lease,
    call_id: Uuid,
    call: EmbedCall<'_>,
) -> Result<(), DbError> {
    tx.exec(
        &format!(
            "-- insert_embed_call
INSERT INTO upload_pipeline.embed_calls (call_id, job_id, provider, model, inputs, tokens, lease_epoch, day, reserved_cents)
VALUES ($1, $2, $3, $4, $5, $6, $7, {TODAY}, $8 * 0.000000001)"
        ),
        &[
            &call_id,
            &lease.fence.job_id.0,
            &call.provider,
            &call.model,
            &whole(call.inputs),
            &whole(call.tokens),
            &lease.fence.epoch,
            &call.cost.map(Cents::nanos),
        ],
    )
    .await
}

fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Ends a call whose vectors are written, and counts what it has cost. For the transaction that writes them.
pub async fn store_embed_call(tx: &impl Session, charged: Charged) -> Result<(), DbError> {
    let Some(mut call) = find_open_embed_call(tx, charged.call_id).await? else { return Ok(()) };
    if let Some(wasted) = charged.wasted {
        split_embed_call(tx, charged.call_id, wasted).await?;
        leave_uncertain(tx, &mut call, i64::from(whole(wasted.tokens)), wasted.cost).await?;
    }
    let tokens = charged.tokens.unwrap_or(call.tokens);
    let cost = charged.price.map(|price| price.of_tokens(tokens));
    tx.exec(
        "-- store_embed_call
UPDATE upload_pipeline.embed_calls AS c
SET state = 'stored', billed_tokens = $2, cost_cents = $3 * 0.000000001, ended_at = now()
WHERE c.call_id = $1",
        &[&charged.call_id, &charged.tokens, &cost.map(Cents::nanos)],
    )
    .await?;
    settle(tx, &call, tokens, 0, cost).await
}

/// Makes of the texts that brought no vector a call of their own, which is uncertain.
async fn split_embed_call(tx: &impl Session, call_id: Uuid, wasted: Wasted) -> Result<(), DbError> {
    tx.exec(
        "-- split_embed_call
WITH others AS (
  UPDATE upload_pipeline.embed_calls AS c
  SET inputs = c.inputs - $3, tokens = c.tokens - $4, reserved_cents = c.reserved_cents - $5 * 0.000000001
  WHERE c.call_id = $1
  RETURNING c.job_id, c.provider, c.model, c.lease_epoch, c.intended_at, c.day
)
INSERT INTO upload_pipeline.embed_calls (call_id, job_id, provider, model, state, inputs, tokens, lease_epoch, intended_at, ended_at, day,
  reserved_cents)
SELECT $2, o.job_id, o.provider, o.model, 'uncertain', $3, $4, o.lease_epoch, o.intended_at, now(), o.day, $5 * 0.000000001
FROM others AS o",
        &[&call_id, &Uuid::new_v4(), &whole(wasted.inputs), &whole(wasted.tokens), &wasted.cost.map(Cents::nanos)],
    )
    .await
}

/// A call that has no end yet, and how it is counted.
async fn find_open_embed_call(tx: &impl Session, call_id: Uuid) -> Result<Option<Counted>, DbError> {
    let reserved = nanos("c.reserved_cents");
    tx.find(
        &format!(
            "-- find_open_embed_call
SELECT {PAYER} AS user_id, c.day::text AS day, c.provider, c.model, c.tokens::bigint AS tokens, 0::bigint AS pages,
  {reserved} AS reserved
FROM upload_pipeline.embed_calls AS c
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = c.job_id
WHERE c.call_id = $1 AND c.state = 'intended'
FOR UPDATE OF c"
        ),
        &[&call_id],
    )
    .await
}

/// Ends a call without vectors. One that may have been charged for gets an event, and stays counted; what was reserved for
/// another is given back.
pub async fn lose_embed_call(db: &Db, fence: Fence, call_id: Uuid, how: CallLost) -> Result<(), DbError> {
    db.run_tx("lose_embed_call", |tx| {
        Box::pin(async move {
            lock_lease(&tx, fence).await?;
            if how == CallLost::Refused
                && let Some(call) = find_open_embed_call(&tx, call_id).await?
            {
                release(&tx, &call).await?;
            }
            close_embed_calls(&tx, fence, Some(call_id), how).await
        })
    })
    .await
}

/// Closes the calls that an earlier run of the job has left open, with an event if there are any: their answers are lost.
pub async fn close_lost_calls(db: &Db, fence: Fence) -> Result<(), DbError> {
    db.run_tx("close_lost_calls", |tx| {
        Box::pin(async move {
            lock_lease(&tx, fence).await?;
            close_embed_calls(&tx, fence, None, CallLost::Uncertain).await
        })
    })
    .await
}

async fn close_embed_calls(
    tx: &impl Session,
    fence: Fence,
    call_id: Option<Uuid>,
    how: CallLost,
) -> Result<(), DbError> {
    let state = match how {
        CallLost::Refused => "refused",
        CallLost::Uncertain => "uncertain",
    };
    let message = "It is not known whether the embedding service has charged for these texts. They are sent again, so it may \
        charge twice.";
    tx.exec(
        "-- close_embed_calls
WITH closed AS (
  UPDATE upload_pipeline.embed_calls AS c
  SET state = $3, ended_at = now()
  WHERE c.job_id = $1 AND c.call_id = coalesce($2, c.call_id) AND c.state = 'intended'
  RETURNING c.job_id, c.provider, c.inputs, c.tokens, c.intended_at
),
lost AS (
  SELECT closed.job_id, closed.provider, count(*) AS calls, sum(closed.inputs) AS inputs, sum(closed.tokens) AS tokens,
    min(closed.intended_at) AS asked_at
  FROM closed
  GROUP BY closed.job_id, closed.provider
)
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
SELECT j.job_id, j.document_id, 'retry', 'warn', $4,
  jsonb_build_object('class', 'transient', 'message', $5::text, 'provider', lost.provider, 'calls', lost.calls,
    'inputs', lost.inputs, 'tokens', lost.tokens, 'asked_at', lost.asked_at),
  j.correlation_id
FROM lost
JOIN upload_pipeline.upload_jobs AS j ON j.job_id = lost.job_id
WHERE $3 = 'uncertain'",
        &[&fence.job_id.0, &call_id, &state, &Code::ProviderCallUncertain.as_str(), &message],
    )
    .await
}
