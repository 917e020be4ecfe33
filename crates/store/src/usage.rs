//! The table `usage_days`, as its users and the operator read it: what was bought, by user, day, provider and model.

use pg::{DbError, FromRow, Session};

use crate::{
    jobs::capped,
    spending::{TODAY, nanos},
};
use domain::{Code, UserId, money::Cents};

/// What was bought for a user on a day from one provider, of one model.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UsageDay {
    /// The user.
    pub user_id: UserId,
    /// The day in UTC, as `YYYY-MM-DD`.
    pub day: String,
    /// Who charges.
    pub provider: String,
    /// The model, or the tier.
    pub model: String,
    /// Requests whose answer is stored.
    pub requests: i64,
    /// Their tokens.
    pub tokens: i64,
    /// Their pages.
    pub pages: i64,
    /// What they have cost; `None`: for a part of them there was no price.
    pub cost: Option<Cents>,
    /// Requests that may be charged beside.
    pub uncertain_requests: i64,
    /// Their tokens.
    pub uncertain_tokens: i64,
    /// Their pages.
    pub uncertain_pages: i64,
    /// What they may cost; `None` as above.
    pub uncertain: Option<Cents>,
}

/// The days that are asked for, as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy)]
pub struct Days<'a> {
    /// The first; `None`: 29 days before the last.
    pub from: Option<&'a str>,
    /// The last; `None`: today.
    pub to: Option<&'a str>,
}

/// What was bought for one user, or for all, newest day first; at most `limit` rows.
pub async fn list_usage(
    db: &impl Session,
    user: Option<UserId>,
    days: Days<'_>,
    limit: i64,
) -> Result<Vec<UsageDay>, DbError> {
    let (cost, uncertain) = (nanos("u.cost_cents"), nanos("u.uncertain_cents"));
    db.list(
        &format!(
            "-- list_usage
SELECT u.user_id, u.day::text AS day, u.provider, u.model, u.requests, u.tokens, u.pages,
  CASE WHEN u.unpriced_requests > 0 THEN NULL ELSE {cost} END AS cost,
  u.uncertain_requests, u.uncertain_tokens, u.uncertain_pages,
  CASE WHEN u.uncertain_unpriced > 0 THEN NULL ELSE {uncertain} END AS uncertain
FROM upload_pipeline.usage_days AS u
WHERE ($1::uuid IS NULL OR u.user_id = $1)
  AND u.day BETWEEN coalesce($2::text::date, coalesce($3::text::date, {TODAY}) - 29) AND coalesce($3::text::date, {TODAY})
ORDER BY u.day DESC, u.user_id, u.provider, u.model
LIMIT $4"
        ),
        &[&user.map(|user| user.0), &days.from, &days.to, &limit],
    )
    .await
}

/// What a user has spent today, what may be charged included.
pub async fn get_spent_today(db: &impl Session, user: UserId) -> Result<Cents, DbError> {
    let spent = nanos("coalesce(sum(u.cost_cents + u.uncertain_cents), 0)");
    db.one(
        &format!(
            "-- get_spent_today
SELECT {spent}
FROM upload_pipeline.usage_days AS u
WHERE u.user_id = $1 AND u.day = {TODAY}"
        ),
        &[&user.0],
    )
    .await
}

/// Jobs that wait for the next day because a cap is used up, and their users; of those, whose cap is of all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Blocked {
    /// Jobs.
    pub jobs: i64,
    /// Their users.
    pub users: i64,
    /// Jobs that the cap of all users stops.
    pub by_all: i64,
}

/// The jobs that a cap of the day stops now.
pub async fn count_blocked_jobs(db: &impl Session) -> Result<Blocked, DbError> {
    let (capped, by_all) = (capped(), Code::DayCapReached.as_str());
    db.one(
        &format!(
            "-- count_blocked_jobs
SELECT count(*) AS jobs, count(DISTINCT j.user_id) AS users,
  count(*) FILTER (WHERE j.last_error ->> 'code' = '{by_all}') AS by_all
FROM upload_pipeline.upload_jobs AS j
WHERE {capped}"
        ),
        &[],
    )
    .await
}

/// Makes the jobs due that a cap of the day has stopped; returns how many. For the start of a worker, whose caps may be others.
/// Those that are stopped again cost a claim.
pub async fn wake_blocked_jobs(db: &impl Session) -> Result<u64, DbError> {
    let capped = capped();
    db.run(
        &format!(
            "-- wake_blocked_jobs
UPDATE upload_pipeline.upload_jobs AS j
SET run_at = now(), updated_at = now()
WHERE {capped}"
        ),
        &[],
    )
    .await
}

/// Deletes days that are older than `keep_days`; 0: none.
pub async fn delete_old_usage(db: &impl Session, keep_days: u32) -> Result<u64, DbError> {
    if keep_days == 0 {
        return Ok(0);
    }
    db.run(
        &format!(
            "-- delete_old_usage
DELETE FROM upload_pipeline.usage_days AS u
WHERE u.day < {TODAY} - $1::integer"
        ),
        &[&i32::try_from(keep_days).unwrap_or(i32::MAX)],
    )
    .await
}
