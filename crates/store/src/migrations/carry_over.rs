//! Carrying over a database of the builds before 0.1.0, which had eleven migrations. They made the same tables, so only
//! the functions, triggers and notes of this build's migrations are run over it; all take the place of the eleven in
//! its history.

use refinery::Migration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_postgres::{Client, types::Type};

use super::{Applied, HISTORY, MigrateError};
use pg::DbError;

/// The migrations of schema 11: name and checksum, by version.
const SCHEMA_11: [(&str, &str); 11] = [
    ("documents_and_jobs", "1359095605067212552"),
    ("chunks", "15614957755958943348"),
    ("events_and_fleet", "9824104353679492712"),
    ("row_security_and_notes", "17902012297346557374"),
    ("pick_jobs", "4313151094486119914"),
    ("claim_jobs", "9465493271549096517"),
    ("retention", "14579110065605863141"),
    ("deploy_identity", "11239296684886072468"),
    ("remote_parse", "7181829535272738577"),
    ("idempotency", "1686500075588204527"),
    ("checkpoints", "10048019289948582569"),
];

/// What the history of a database says of the builds before 0.1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: it is new, or of this build's line.
    Nothing,
    /// It is at schema 11, which is carried over.
    Schema11,
    /// It is at an earlier schema, which is not.
    Earlier(usize),
}

/// Reads it from the migrations that were applied.
pub(super) fn find(applied: &[Applied]) -> Before {
    let is_old = |(one, (version, old)): (&Applied, (i64, &(&str, &str)))| {
        one.version == version && (one.name.as_str(), one.checksum.as_str()) == *old
    };
    let all_old = applied.len() <= SCHEMA_11.len() && applied.iter().zip((1..).zip(&SCHEMA_11)).all(is_old);
    match applied.len() {
        0 => Before::Nothing,
        _ if !all_old => Before::Nothing,
        n if n == SCHEMA_11.len() => Before::Schema11,
        n => Before::Earlier(n),
    }
}

/// This migration and those after it are run over a database at schema 11.
const FIRST_RUN: i32 = 4;

/// Whether a migration of this build is run over a database at schema 11.
pub(super) fn is_run(version: i32) -> bool {
    version >= FIRST_RUN
}

/// Brings a database at schema 11 to `migrations` and writes them down in place of its own, all or nothing.
pub(super) async fn carry_over(client: &mut Client, migrations: &[Migration]) -> Result<(), MigrateError> {
    let failed = |sql: &str, error: &tokio_postgres::Error| MigrateError::Db(DbError::statement(sql, error));
    let (forget, note) = (
        format!("-- forget_schema_11\nDELETE FROM {HISTORY}"),
        format!(
            "-- note_migration\nINSERT INTO {HISTORY} (version, name, applied_on, checksum) VALUES ($1, $2, $3, $4)"
        ),
    );
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let tx = client.transaction().await.map_err(|error| failed("-- begin", &error))?;
    tx.batch_execute(&forget).await.map_err(|error| failed(&forget, &error))?;
    for migration in migrations {
        if let Some(sql) = migration.sql().filter(|_| is_run(migration.version())) {
            tx.batch_execute(sql).await.map_err(|error| failed(&format!("-- {}", super::name(migration)), &error))?;
        }
        tx.execute_typed(
            &note,
            &[
                (&migration.version(), Type::INT4),
                (&migration.name(), Type::VARCHAR),
                (&now, Type::VARCHAR),
                (&migration.checksum().to_string(), Type::VARCHAR),
            ],
        )
        .await
        .map_err(|error| failed(&note, &error))?;
    }
    tx.commit().await.map_err(|error| failed("-- commit", &error))
}

/// Why a database of an earlier schema is refused.
pub(super) fn refuse(earlier: usize) -> MigrateError {
    MigrateError::Migration(format!(
        "this database is at schema {earlier} of a build before 0.1.0, of which only schema 11 is carried over: nothing was \
         changed. Run `app migrate` of the last build before 0.1.0 first"
    ))
}
