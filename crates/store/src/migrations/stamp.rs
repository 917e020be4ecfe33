//! The stamp that says which environment a database belongs to: looking at it, setting it, and moving it on purpose.

use tokio_postgres::{Client, types::Type};

use super::MigrateError;
use pg::{Db, DbError, Session, session::column};

const GET_STAMP: &str = "-- get_stamp
SELECT s.environment FROM upload_pipeline.environment_stamp AS s";

/// Seconds since its last heartbeat for which a worker counts as alive: six heartbeats of the default.
const ALIVE_SECONDS: f64 = 60.0;

/// The environment that the database is stamped with; `None` before the first `app migrate`.
pub async fn get_environment_stamp(db: &Db) -> Result<Option<String>, DbError> {
    match db.get().await?.row(GET_STAMP, &[]).await {
        Ok(row) => row.map(|row| column(&row, "environment")).transpose(),
        Err(error) if error.is_schema_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses a database of another environment; where `from` is given, every one that is not `from`'s, and one that a worker
/// of `from` still works on: a copy has no live workers, so that would be the original.
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

async fn stamp_of(client: &Client) -> Result<Option<String>, DbError> {
    let exists = "-- stamp_exists
SELECT to_regclass('upload_pipeline.environment_stamp') IS NOT NULL AS yes";
    let row = client.query_typed_one(exists, &[]).await.map_err(|error| DbError::statement(exists, &error))?;
    if !column::<bool>(&row, "yes")? {
        return Ok(None);
    }
    let row = client.query_typed_opt(GET_STAMP, &[]).await.map_err(|error| DbError::statement(GET_STAMP, &error))?;
    row.map(|row| column(&row, "environment")).transpose()
}

async fn refuse_if_in_use(client: &Client, from: &str) -> Result<(), MigrateError> {
    let sql = "-- count_live_workers
SELECT count(*) AS workers
FROM upload_pipeline.workers AS w
WHERE w.environment = $1 AND w.last_seen_at > now() - $2 * interval '1 second'";
    let row = client
        .query_typed_one(sql, &[(&from, Type::TEXT), (&ALIVE_SECONDS, Type::FLOAT8)])
        .await
        .map_err(|error| DbError::statement(sql, &error))?;
    match column::<i64>(&row, "workers")? {
        0 => Ok(()),
        workers => Err(MigrateError::InUse { from: from.to_owned(), workers }),
    }
}

/// Stamps a database that has no stamp yet.
pub(super) async fn stamp(client: &Client, environment: &str, by: &str) -> Result<(), DbError> {
    let sql = "-- stamp_environment
INSERT INTO upload_pipeline.environment_stamp (environment, stamped_by)
VALUES ($1, $2)
ON CONFLICT (only_one) DO NOTHING";
    client
        .execute_typed(sql, &[(&environment, Type::TEXT), (&by, Type::TEXT)])
        .await
        .map(drop)
        .map_err(|error| DbError::statement(sql, &error))
}

/// Moves the stamp and writes it down, in one statement. [`check_stamp`] has been asked, under the lock that the caller
/// holds; should the stamp have been changed by hand since, nothing is done.
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
    let moved = client
        .execute_typed(sql, &[(&from, Type::TEXT), (&to, Type::TEXT), (&by, Type::TEXT)])
        .await
        .map_err(|error| DbError::statement(sql, &error))?;
    if moved == 1 { Ok(()) } else { Err(MigrateError::NoStamp { from: from.to_owned() }) }
}
