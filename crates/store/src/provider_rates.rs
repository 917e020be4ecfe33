//! The table `provider_rates`: how many requests all workers together may send to a service.
//!
//! A reservation moves the moment at which the next request may be sent by what it takes of a minute, so that requests are
//! spaced evenly and no worker has to know of the others.

use std::time::Duration;

use pg::{DbError, FromRow, Session};

/// What a minute allows; 0 = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests a minute.
    pub requests: u32,
    /// Tokens a minute.
    pub tokens: u32,
}

impl Rates {
    /// Seconds of the limits that one request with `tokens` uses up.
    fn cost(self, tokens: usize) -> (f64, f64) {
        let share = |of: f64, limit: u32| if limit == 0 { 0.0 } else { 60.0 * of / f64::from(limit) };
        (share(1.0, self.requests), share(u32::try_from(tokens).unwrap_or(u32::MAX).into(), self.tokens))
    }
}

/// The answer to a reservation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reserved {
    /// The request may be sent after this time.
    After(Duration),
    /// It would have to wait longer than it can. Nothing is reserved; ask again after this time.
    Not(Duration),
}

#[derive(FromRow)]
struct Reservation {
    is_reserved: bool,
    wait: Duration,
}

/// Reserves one request with `tokens`, if it can be sent within `patience`.
pub async fn reserve_request(
    db: &impl Session,
    provider: &str,
    rates: Rates,
    tokens: usize,
    patience: Duration,
) -> Result<Reserved, DbError> {
    let (requests, tokens) = rates.cost(tokens);
    let Reservation { is_reserved, wait } = db
        .one(
            "-- reserve_request
WITH reserved AS (
  INSERT INTO upload_pipeline.provider_rates AS r (provider, requests_at, tokens_at)
  VALUES ($1, clock_timestamp() + $2 * interval '1 second', clock_timestamp() + $3 * interval '1 second')
  ON CONFLICT (provider) DO UPDATE
  SET requests_at = greatest(r.requests_at, clock_timestamp()) + $2 * interval '1 second',
      tokens_at = greatest(r.tokens_at, clock_timestamp()) + $3 * interval '1 second'
  WHERE greatest(r.requests_at, r.tokens_at, r.paused_until) <= clock_timestamp() + $4 * interval '1 second'
  RETURNING greatest(r.requests_at - $2 * interval '1 second', r.tokens_at - $3 * interval '1 second', r.paused_until) AS free_at
),
free AS (
  SELECT coalesce(
    (SELECT reserved.free_at FROM reserved),
    (SELECT greatest(r.requests_at, r.tokens_at, r.paused_until) FROM upload_pipeline.provider_rates AS r WHERE r.provider = $1)) AS free_at
)
SELECT EXISTS (SELECT FROM reserved) AS is_reserved,
  greatest(extract(epoch FROM free.free_at - clock_timestamp()), 0)::float8 AS wait,
  -- What a crash of the server takes back are places in the queue of the last moment.
  set_config('synchronous_commit', 'off', true) AS commits
FROM free",
            &[&provider, &requests, &tokens, &patience.as_secs_f64()],
        )
        .await?;
    Ok(if is_reserved { Reserved::After(wait) } else { Reserved::Not(wait) })
}

/// Writes that a service wants no request for this long, which holds for all workers.
pub async fn pause_requests(db: &impl Session, provider: &str, wait: Duration) -> Result<(), DbError> {
    db.exec(
        "-- pause_requests
INSERT INTO upload_pipeline.provider_rates AS r (provider, paused_until)
VALUES ($1, clock_timestamp() + $2 * interval '1 second')
ON CONFLICT (provider) DO UPDATE
SET paused_until = greatest(r.paused_until, excluded.paused_until)",
        &[&provider, &wait.as_secs_f64()],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_uses_up_its_share_of_a_minute_and_nothing_where_there_is_no_limit() {
        assert_eq!(Rates { requests: 60, tokens: 6000 }.cost(100), (1.0, 1.0));
        assert_eq!(Rates { requests: 0, tokens: 0 }.cost(100), (0.0, 0.0));
    }
}
