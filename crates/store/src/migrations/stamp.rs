//! The stamp that says which environment a database belongs to: reads it, sets it, and moves it on purpose.

use tokio_postgres::Client;

use super::MigrateError;
use pg::{Db, DbError, Session};

/// Seconds since its last heartbeat for which a worker counts as alive: six heartbeats of the default.
const ALIVE_SECONDS: f64 = 60.0;

/// The environment that the database is stamped with; `None` before the first `app migrate`.
pub async fn get_environment_stamp(db: &Db) -> Result<Option<String>, DbError> {
    stamp_of(db).await
}

/// Refuses a database of another environment. With `from`, refuses every database that is not `from`'s, and one that
/// has live workers of `from`: a copy has none, so that would be the original.
pub(super) async fn check_stamp(client: &Client, ours: &str, from: Option<&str>) -> Result<(), MigrateError> {
    let stamped = stamp_of(client).await?;
    let Some(from) = from else {
        return match stamped {
            Some(stamped) if stamped != ours => Err(MigrateError::Environment { stamped, ours: ours.to_owned() }),
            _ => Ok(()),
        };
    };
    match stamped {
        Some(stamped) if stamped == from && from != ours => refuse_if_in_use(client, from).await,
        Some(stamped) => Err(MigrateError::OtherStamp { stamped, from: from.to_owned(), ours: ours.to_owned() }),
        None => Err(MigrateError::NoStamp { from: from.to_owned() }),
    }
}

async fn stamp_of(db: &impl Session) -> Result<Option<String>, DbError> {
    let sql = "-- get_stamp
SELECT s.environment FROM upload_pipeline.environment_stamp AS s";
    match db.find(sql, &[]).await {
        Err(error) if error.is_schema_missing() => Ok(None),
        stamp => stamp,
    }
}

async fn refuse_if_in_use(client: &Client, from: &str) -> Result<(), MigrateError> {
    let workers = client
        .one(
            "-- count_live_workers
SELECT count(*) AS workers
FROM upload_pipeline.workers AS w
WHERE w.environment = $1 AND w.last_seen_at > now() - $2 * interval '1 second'",
            &[&from, &ALIVE_SECONDS],
        )
        .await?;
    match workers {
        0 => Ok(()),
        workers => Err(MigrateError::InUse { from: from.to_owned(), workers }),
    }
}

/// Stamps a database that has no stamp yet.
pub(super) async fn stamp(client: &Client, environment: &str, by: &str) -> Result<(), DbError> {
    client
        .exec(
            "-- stamp_environment
INSERT INTO upload_pipeline.environment_stamp (environment, stamped_by)
VALUES ($1, $2)
ON CONFLICT (only_one) DO NOTHING",
            &[&environment, &by],
        )
        .await
}

/// Moves the stamp and records that, in one statement. [`check_stamp`] was called before, under the lock that the
/// caller holds; if the stamp was changed by hand since, nothing is done.
pub(super) async fn move_stamp(client: &Client, from: &str, to: &str, by: &str) -> Result<(), MigrateError> {
    let sql = "-- move_stamp
WITH moved AS (
  UPDATE upload_pipeline.environment_stamp AS s
  SET environment = $2, stamped_at = now(), stamped_by = $3
  WHERE s.environment = $1
  RETURNING s.environment
)
INSERT INTO upload_pipeline.environment_moves (moved_from, moved_to, moved_by)
SELECT $1, moved.environment, $3 || ', as ' || current_user
FROM moved";
    if client.run_any(sql, &[&from, &to, &by]).await? {
        Ok(())
    } else {
        Err(MigrateError::NoStamp { from: from.to_owned() })
    }
}
