//! What is spent: a purchase is counted before it is made, in the transaction that writes its call, and corrected in the one
//! that writes its end.
//!
//! A call that has begun counts as uncertain, and what is uncertain counts as spent. So nothing has to be cleared up after a
//! crash: a call without an end stays what it is. `usage_days` holds the sums by user and day, against which the caps of a day
//! are held; a document's cap is held against the calls of its jobs.

use std::time::Duration;

use domain::{
    JobId, Lease, UserId,
    money::{CapReached, Caps, Cents, Spent},
};
use pg::{DbError, FromRow, Session};
use uuid::Uuid;

/// A day in UTC, as SQL: that on which the transaction began.
pub(crate) const TODAY: &str = "(now() AT TIME ZONE 'UTC')::date";
/// An amount in cents in the unit of [`Cents::nanos`], as SQL. Statements write `nanos * 0.000000001`. Both are exact: `numeric`
/// keeps all decimals of a product.
pub(crate) fn nanos(cents: &str) -> String {
    format!("({cents} * 1000000000)::bigint")
}

/// What is about to be bought, or was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purchase<'a> {
    /// Who charges.
    pub provider: &'a str,
    /// The model, or the tier.
    pub model: &'a str,
    /// Tokens.
    pub tokens: i64,
    /// Pages.
    pub pages: i64,
    /// What it costs; `None`: there is no price.
    pub cost: Option<Cents>,
}

/// The row of `usage_days` in which a call is counted.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Counted {
    /// The owner of the document.
    pub user_id: UserId,
    /// The day, as `YYYY-MM-DD`; `None`: the call was not counted.
    pub day: Option<String>,
    /// Who charges.
    pub provider: String,
    /// The model, or the tier.
    pub model: String,
    /// Tokens that were counted before.
    pub tokens: i64,
    /// Pages that were counted before.
    pub pages: i64,
    /// What was reserved.
    pub reserved: Option<Cents>,
}

impl Counted {
    fn purchase(&self) -> Purchase<'_> {
        let Self { provider, model, tokens, pages, reserved, .. } = self;
        Purchase { provider, model, tokens: *tokens, pages: *pages, cost: *reserved }
    }
}

/// Reserves a purchase for a leased job, unless a cap does not allow it. For the transaction that writes the call, under the
/// job's lock. `Err` inside: nothing is reserved.
pub(crate) async fn reserve(
    tx: &impl Session,
    lease: &Lease,
    caps: &Caps,
    purchase: Purchase<'_>,
) -> Result<Result<(), CapReached>, DbError> {
    let caps = &caps_of(lease, caps);
    if caps.are_set() {
        // A cap that is for all users makes all wait for each other.
        let whose = if caps.day.is_some() { "all".to_owned() } else { payer(lease).to_string() };
        lock_spending(tx, &whose).await?;
        let spent = get_spent(tx, lease, caps).await?;
        if let Some(reached) = caps.reached(&spent, purchase.cost.unwrap_or_default()) {
            return Ok(Err(reached));
        }
    }
    count_uncertain(tx, payer(lease), None, purchase, 1).await?;
    Ok(Ok(()))
}

/// The cap that does not allow `cost` now; `None`: there is room, which nothing reserves. It saves work before a purchase that would be
/// refused.
pub async fn find_reached_cap(
    db: &impl Session,
    lease: &Lease,
    caps: &Caps,
    cost: Option<Cents>,
) -> Result<Option<CapReached>, DbError> {
    let caps = caps_of(lease, caps);
    if !caps.are_set() {
        return Ok(None);
    }
    let spent = get_spent(db, lease, &caps).await?;
    Ok(caps.reached(&spent, cost.unwrap_or_default()))
}

/// The caps that are held against the job's purchases.
fn caps_of(lease: &Lease, caps: &Caps) -> Caps {
    Caps { user_day: caps.user_day.filter(|_| !lease.is_reembedding()), ..*caps }
}

/// In whose name a call is counted: that of the document's owner. A change of model is the operator's, whom user zero stands for.
fn payer(lease: &Lease) -> UserId {
    if lease.is_reembedding() { UserId(Uuid::nil()) } else { lease.user_id }
}

/// The same for the job `j`, as SQL.
pub(crate) const PAYER: &str =
    "CASE WHEN j.document_id IS NULL THEN '00000000-0000-0000-0000-000000000000'::uuid ELSE j.user_id END";

/// Turns what was reserved for a call into what it has cost. For the transaction that writes the call's end.
pub(crate) async fn settle(
    tx: &impl Session,
    call: &Counted,
    tokens: i64,
    pages: i64,
    cost: Option<Cents>,
) -> Result<(), DbError> {
    release(tx, call).await?;
    let bought = Purchase { tokens, pages, cost, ..call.purchase() };
    count_bought(tx, call.user_id, call.day.as_deref(), bought).await
}

/// Leaves a part of what was reserved for a call as it is counted, as a call of its own. `call` is what is left.
pub(crate) async fn leave_uncertain(
    tx: &impl Session,
    call: &mut Counted,
    tokens: i64,
    cost: Option<Cents>,
) -> Result<(), DbError> {
    call.tokens -= tokens;
    call.reserved = call.reserved.map(|reserved| reserved.minus(cost.unwrap_or_default()));
    let Some(day) = &call.day else { return Ok(()) };
    // Its tokens and cents are in the sums already.
    let another = Purchase { tokens: 0, pages: 0, cost: call.reserved.map(|_| Cents::ZERO), ..call.purchase() };
    count_uncertain(tx, call.user_id, Some(day), another, 1).await
}

/// Gives back what was reserved for a call that cost nothing. For the transaction that writes the call's end.
pub(crate) async fn release(tx: &impl Session, call: &Counted) -> Result<(), DbError> {
    match &call.day {
        Some(day) => count_uncertain(tx, call.user_id, Some(day), call.purchase(), -1).await,
        // An earlier build has begun it.
        None => Ok(()),
    }
}

/// Makes reservations that share a cap wait for each other until the transaction ends.
async fn lock_spending(tx: &impl Session, whose: &str) -> Result<(), DbError> {
    tx.exec(
        "-- lock_spending
SELECT pg_advisory_xact_lock(hashtextextended('spending:' || $1::text, 0))::text AS locked",
        &[&whose],
    )
    .await
}

#[derive(FromRow)]
struct SpentRow {
    user_day: Cents,
    day: Cents,
    document: Cents,
    day_left: Duration,
}

/// What was spent by the job's user today, by all today, and for its document since that was last complete.
async fn get_spent(tx: &impl Session, lease: &Lease, caps: &Caps) -> Result<Spent, DbError> {
    let (of_days, of_calls) =
        (nanos("coalesce(sum(u.cost_cents + u.uncertain_cents), 0)"), nanos("coalesce(sum(calls.cents), 0)"));
    let SpentRow { user_day, day, document, day_left } = tx
        .one(
            &format!(
                "-- get_spent
WITH jobs AS (
  SELECT j.job_id
  FROM upload_pipeline.upload_jobs AS j
  WHERE $5 AND j.document_id = $2 AND (j.job_id = $3 OR j.status <> 'complete')
),
calls AS (
  SELECT coalesce(c.cost_cents, c.reserved_cents) AS cents
  FROM jobs
  JOIN upload_pipeline.embed_calls AS c ON c.job_id = jobs.job_id AND c.state <> 'refused'
  UNION ALL
  SELECT coalesce(c.cost_cents, c.reserved_cents)
  FROM jobs
  JOIN upload_pipeline.provider_calls AS c ON c.job_id = jobs.job_id AND c.state <> 'refused'
)
SELECT
  (SELECT {of_days} FROM upload_pipeline.usage_days AS u WHERE u.user_id = $1 AND u.day = {TODAY}) AS user_day,
  (SELECT {of_days} FROM upload_pipeline.usage_days AS u WHERE $4 AND u.day = {TODAY}) AS day,
  (SELECT {of_calls} FROM calls) AS document,
  extract(epoch FROM ({TODAY} + 1)::timestamp - (now() AT TIME ZONE 'UTC'))::float8 AS day_left"
            ),
            &[
                &payer(lease).0,
                &lease.document_id.0,
                &lease.fence.job_id.0,
                &caps.day.is_some(),
                &caps.document.is_some(),
            ],
        )
        .await?;
    Ok(Spent { user_day, day, document, day_left })
}

/// Counts a purchase as uncertain (`sign` 1), or no longer (-1). `day`: as `YYYY-MM-DD`; `None`: today.
async fn count_uncertain(
    tx: &impl Session,
    user: UserId,
    day: Option<&str>,
    purchase: Purchase<'_>,
    sign: i64,
) -> Result<(), DbError> {
    let cost = purchase.cost.unwrap_or_default().nanos() * sign;
    tx.exec(
        &format!(
            "-- count_uncertain
INSERT INTO upload_pipeline.usage_days AS u (user_id, day, provider, model, uncertain_requests, uncertain_tokens, uncertain_pages,
  uncertain_cents, uncertain_unpriced)
VALUES ($1, coalesce($2::text::date, {TODAY}), $3, $4, $5, $6, $7, $8 * 0.000000001, $9)
ON CONFLICT (user_id, day, provider, model) DO UPDATE
SET uncertain_requests = u.uncertain_requests + $5, uncertain_tokens = u.uncertain_tokens + $6,
    uncertain_pages = u.uncertain_pages + $7, uncertain_cents = u.uncertain_cents + $8 * 0.000000001,
    uncertain_unpriced = u.uncertain_unpriced + $9, updated_at = now()"
        ),
        &[
            &user.0,
            &day,
            &purchase.provider,
            &purchase.model,
            &sign,
            &(purchase.tokens * sign),
            &(purchase.pages * sign),
            &cost,
            &(i64::from(purchase.cost.is_none()) * sign),
        ],
    )
    .await
}

/// Counts a purchase whose answer is stored.
async fn count_bought(tx: &impl Session, user: UserId, day: Option<&str>, bought: Purchase<'_>) -> Result<(), DbError> {
    tx.exec(
        &format!(
            "-- count_bought
INSERT INTO upload_pipeline.usage_days AS u (user_id, day, provider, model, requests, tokens, pages, cost_cents, unpriced_requests)
VALUES ($1, coalesce($2::text::date, {TODAY}), $3, $4, 1, $5, $6, $7 * 0.000000001, $8)
ON CONFLICT (user_id, day, provider, model) DO UPDATE
SET requests = u.requests + 1, tokens = u.tokens + $5, pages = u.pages + $6,
    cost_cents = u.cost_cents + $7 * 0.000000001, unpriced_requests = u.unpriced_requests + $8, updated_at = now()"
        ),
        &[
            &user.0,
            &day,
            &bought.provider,
            &bought.model,
            &bought.tokens,
            &bought.pages,
            &bought.cost.unwrap_or_default().nanos(),
            &i64::from(bought.cost.is_none()),
        ],
    )
    .await
}

/// Joins `bill` to a statement: what the calls of some jobs have cost. `jobs` is the condition on `c.job_id`.
pub(crate) fn bill_of(jobs: &str) -> String {
    let cost = nanos("coalesce(sum(c.cost_cents), 0)");
    let uncertain = nanos("coalesce(sum(c.reserved_cents) FILTER (WHERE NOT c.is_paid), 0)");
    format!(
        "CROSS JOIN LATERAL (
  SELECT CASE WHEN coalesce(bool_or(c.is_paid AND c.cost_cents IS NULL), false) THEN NULL ELSE {cost} END AS cost,
    CASE WHEN coalesce(bool_or(NOT c.is_paid AND c.reserved_cents IS NULL), false) THEN NULL ELSE {uncertain} END AS uncertain
  FROM (
    SELECT c.state = 'stored' AS is_paid, c.cost_cents, c.reserved_cents
    FROM upload_pipeline.embed_calls AS c
    WHERE {jobs} AND c.state <> 'refused'
    UNION ALL
    SELECT c.state = 'collected', c.cost_cents, c.reserved_cents
    FROM upload_pipeline.provider_calls AS c
    WHERE {jobs} AND c.state <> 'refused'
  ) AS c
) AS bill"
    )
}

/// What was charged, and what may be charged beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Bill {
    /// What was charged; `None`: for a part of it there was no price.
    pub cost: Option<Cents>,
    /// What may be charged for calls that have no end yet, or whose answer is lost; `None` in the same way.
    pub uncertain: Option<Cents>,
}

/// What a job has cost so far.
pub(crate) async fn get_job_bill(db: &impl Session, job: JobId) -> Result<Bill, DbError> {
    let bill = bill_of("c.job_id = j.job_id");
    db.one(
        &format!(
            "-- get_job_bill
SELECT bill.cost, bill.uncertain
FROM (VALUES ($1::uuid)) AS j (job_id)
{bill}"
        ),
        &[&job.0],
    )
    .await
}
