//! How many uploads of a user's day are left.

use std::time::Duration;

use domain::UserId;
use pg::{DbError, Session};

/// What is left of a day's uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadsLeft {
    /// Uploads that may be begun now.
    pub remaining: u32,
    /// How long until the oldest that counts no longer does; `None`: none counts.
    pub reset: Option<Duration>,
}

/// What the user has left of `per_day`. As of now, for telling: only the transactions that announce uploads decide.
pub async fn get_uploads_left(db: &impl Session, user: UserId, per_day: u32) -> Result<UploadsLeft, DbError> {
    let (used, reset): (i64, Option<Duration>) = db
        .one(
            "-- get_uploads_left
SELECT count(*) AS used, extract(epoch FROM min(n.created_at) + interval '1 day' - now())::float8 AS reset_seconds
FROM (
  SELECT u.created_at
  FROM upload_pipeline.uploads AS u
  WHERE u.user_id = $1 AND u.created_at > now() - interval '1 day'
  ORDER BY u.created_at DESC
  LIMIT $2
) AS n",
            &[&user.0, &i64::from(per_day)],
        )
        .await?;
    Ok(UploadsLeft { remaining: per_day.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)), reset })
}
