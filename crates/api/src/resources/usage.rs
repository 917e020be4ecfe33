//! What the caller has bought, by day, provider and model.

use actix_web::web;
use time::{Date, Duration, OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use crate::http::{ApiError, ApiState, Call, HttpResult, UsageQuery, codes, conditions};
use domain::{Code, UserId};
use messages::{Bought, DayCap, Usage, UsageOfDay};
use pg::Conn;
use store::usage::{Days, UsageDay, get_spent_today, list_usage};

/// The most days of an answer.
const MOST_DAYS: i64 = 366;
/// More rows than a user has of these days: a few models a day.
const MOST_ROWS: i64 = 10_000;
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// Read what was bought.
///
/// Tokens and pages that providers have charged the caller for, by day, provider and model, and what that cost. What is deleted
/// stays counted. The questions of searches are not counted.
#[utoipa::path(
    get,
    path = "/usage",
    tag = "Usage",
    params(UsageQuery),
    responses((status = 200, description = "The days, and their sums.", body = Usage)),
    extensions(("x-codes" = json!(codes(&[Code::DayInvalid]))))
)]
pub async fn get_usage(Call { state, caller, request }: Call, query: web::Query<UsageQuery>) -> HttpResult {
    let (from, to) = checked(&query)?;
    let conn = state.conn().await?;
    let days = Days { from: from.as_deref(), to: to.as_deref() };
    let rows = list_usage(&conn, Some(caller.user), days, MOST_ROWS).await?;
    let today = day_cap(&state, &conn, caller.user).await?;
    conditions::json(&request, &Usage::of(rows.into_iter().map(|row| usage_of_day(row, false)).collect(), today))
}

/// A row as answers show it, with its user if it is one of several users'.
pub fn usage_of_day(row: UsageDay, with_user: bool) -> UsageOfDay {
    UsageOfDay {
        day: row.day,
        user_id: with_user.then_some(row.user_id.0),
        provider: row.provider,
        model: row.model,
        bought: Bought { requests: row.requests, tokens: row.tokens, pages: row.pages, cost_cents: row.cost },
        uncertain: Bought {
            requests: row.uncertain_requests,
            tokens: row.uncertain_tokens,
            pages: row.uncertain_pages,
            cost_cents: row.uncertain,
        },
    }
}

/// What the user may still spend today.
async fn day_cap(state: &ApiState, conn: &Conn, user: UserId) -> Result<Option<DayCap>, ApiError> {
    let Some(cap_cents) = state.settings.caps.user_day else { return Ok(None) };
    let spent = get_spent_today(conn, user).await?;
    Ok(Some(DayCap { cap_cents, left_cents: cap_cents.minus(spent), ends_at: next_day(OffsetDateTime::now_utc()) }))
}

fn next_day(now: OffsetDateTime) -> OffsetDateTime {
    now.replace_time(time::Time::MIDNIGHT) + Duration::DAY
}

/// The days as the database reads them.
fn checked(query: &UsageQuery) -> Result<(Option<String>, Option<String>), ApiError> {
    let (from, to) = (query.from.as_deref().map(day).transpose()?, query.to.as_deref().map(day).transpose()?);
    let last = to.unwrap_or_else(|| OffsetDateTime::now_utc().date());
    if let Some(days) = from.map(|from| (last - from).whole_days())
        && !(0..MOST_DAYS).contains(&days)
    {
        let message = format!("`from` must not be after `to`, nor more than {MOST_DAYS} days before it.");
        return Err(ApiError::new(Code::DayInvalid, message));
    }
    Ok((query.from.clone(), query.to.clone()))
}

fn day(text: &str) -> Result<Date, ApiError> {
    Date::parse(text, DAY).map_err(|_form| ApiError::of(Code::DayInvalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates_in_order_and_not_too_many() {
        let query = |from: &str, to: &str| {
            let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            checked(&UsageQuery { from: given(from), to: given(to) }).is_ok()
        };
        assert!(query("", "") && query("2026-01-01", "2026-12-31") && query("2026-02-03", "2026-02-03"));
        for (from, to) in
            [("2026-02-30", ""), ("2026-02-03", "2026-02-02"), ("2025-01-01", "2026-02-01"), ("", "today")]
        {
            assert!(!query(from, to), "{from} to {to} was taken");
        }
    }
}
