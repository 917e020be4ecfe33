//! Brings the schema up to date, and reads whether it is.

mod carry_over;
mod error;
mod stamp;

use std::time::{Duration, Instant};

use refinery::{Migration, Runner};
use tokio::runtime::Handle;
use tokio_postgres::Client;

use pg::{ConnectTarget, Db, DbError, FromRow, Session, probe};

use crate::active_model::forget_unused_model;
use carry_over::Before;
pub use error::MigrateError;
pub use stamp::get_environment_stamp;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// The newest migration that this build knows, as its number: `V0008__…` is 8.
pub const SCHEMA_VERSION: i32 = match i32::from_str_radix(env!("NEWEST_MIGRATION"), 10) {
    Ok(version) => version,
    Err(_) => 0,
};

/// The table of applied migrations.
const HISTORY: &str = "upload_pipeline.schema_history";
/// Key of the advisory lock that one `app migrate` holds while it works; any number would do.
const LOCK_KEY: i64 = 0x6c8a_1e6e_1f0b_4aa8;
/// How long a second `app migrate` waits for the first.
const LOCK_DEADLINE: Duration = Duration::from_secs(120);
const ROW_SECURITY: &str = include_str!("row_security.sql");

/// How a database's schema compares with this build's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Never migrated.
    Missing,
    /// These migrations are not applied yet.
    Behind(Vec<String>),
    /// As this build knows it, or newer: additive changes of a newer build do no harm.
    Current,
}

/// A migration and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// `V0001__documents_and_jobs`.
    pub name: String,
    /// When it was applied; `None`: pending.
    pub applied_on: Option<String>,
    /// Whether the applied text is another than this build's.
    pub altered: bool,
    /// Its SQL; `None` for one that only a newer build knows.
    pub sql: Option<String>,
}

/// What `app migrate` did.
#[derive(Debug, Clone, Default)]
pub struct MigrateReport {
    /// The database was at schema 11 of the builds before 0.1.0 and was carried over.
    pub carried_over: bool,
    /// Names of the migrations that were applied now.
    pub applied: Vec<String>,
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    runner
}

fn name(migration: &Migration) -> String {
    format!("V{:04}__{}", migration.version(), migration.name())
}

/// Applies what is missing, ensures policies, and stamps the database with `environment`.
/// Safe to run twice, also at once. `target` must give a session. With `from`, the database belongs to that environment,
/// and its stamp is moved, which is recorded; in the same call, since a copy may be older than this build.
pub async fn migrate(
    target: &ConnectTarget,
    runtime: &Handle,
    environment: &str,
    from: Option<&str>,
    by: &str,
) -> Result<MigrateReport, MigrateError> {
    if probe::probe_session_mode(target, runtime).await? == probe::SessionMode::Transaction {
        return Err(MigrateError::TransactionMode);
    }
    let mut client = probe::connect(target, runtime).await?;
    // A migration may take longer than the role's statements may.
    batch(&client, "-- no_statement_timeout\nSET statement_timeout = 0").await?;
    take_lock(&client).await?;
    stamp::check_stamp(&client, environment, from).await?;
    batch(&client, "-- create_schema\nCREATE SCHEMA IF NOT EXISTS upload_pipeline").await?;
    let carried_over = carry_over_if_needed(&mut client).await?;
    let mut applied = if carried_over { runner().get_migrations().iter().map(name).collect() } else { Vec::new() };
    let report = runner().run_async(&mut client).await.map_err(|error| MigrateError::Migration(explain(&error)))?;
    applied.extend(report.applied_migrations().iter().map(name));
    batch(&client, &format!("-- close_history\nALTER TABLE {HISTORY} ENABLE ROW LEVEL SECURITY")).await?;
    batch(&client, ROW_SECURITY).await?;
    drop_replaced_words(&client).await?;
    forget_unused_model(&client).await?;
    match from {
        Some(from) => stamp::move_stamp(&client, from, environment, by).await?,
        None => stamp::stamp(&client, environment, by).await?,
    }
    Ok(MigrateReport { carried_over, applied })
}

/// Whether the database was carried over.
async fn carry_over_if_needed(client: &mut Client) -> Result<bool, MigrateError> {
    match carry_over::find(&list_applied(client).await?) {
        Before::Nothing => Ok(false),
        Before::Earlier(schema) => Err(carry_over::refuse(schema)),
        Before::Schema11 => {
            carry_over::carry_over(client, runner().get_migrations()).await?;
            Ok(true)
        }
    }
}

/// Polls for the lock: a session that waits in `pg_advisory_lock` holds a snapshot, for which an index that the other
/// builds concurrently would wait in turn.
async fn take_lock(client: &Client) -> Result<(), MigrateError> {
    let began = Instant::now();
    loop {
        let sql = "-- take_migration_lock
SELECT pg_try_advisory_lock($1) AS taken";
        if client.one(sql, &[&LOCK_KEY]).await? {
            return Ok(());
        }
        if began.elapsed() > LOCK_DEADLINE {
            return Err(MigrateError::Locked(began.elapsed().as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn batch(client: &Client, sql: &str) -> Result<(), DbError> {
    client.batch_execute(sql).await.map_err(|error| DbError::statement(sql, &error))
}

/// What refinery says, with the server's detail and hint, which hold the rows to look at.
fn explain(error: &refinery::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(db) = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error) {
            text = format!("{text}\n{}", db.message());
            for more in [db.detail(), db.hint()].into_iter().flatten() {
                text = format!("{text}\n{more}");
            }
        }
        source = cause.source();
    }
    text
}

/// Drops the column `tsv` with its index, once the index on words has every complete document.
async fn drop_replaced_words(client: &Client) -> Result<(), DbError> {
    if super::words::count_unindexed(client).await? == 0 {
        batch(
            client,
            "-- mark_users_filled\nUPDATE upload_pipeline.search_users SET is_filled = true WHERE NOT is_filled",
        )
        .await?;
        batch(client, "-- drop_replaced_words\nALTER TABLE upload_pipeline.document_chunks DROP COLUMN IF EXISTS tsv")
            .await?;
    }
    Ok(())
}

/// Every migration that this build or the database knows, in order. Those of a build before 0.1.0 are left out: what
/// this build has instead is pending.
pub async fn list_migrations(db: &Db) -> Result<Vec<MigrationStatus>, DbError> {
    let mut applied = list_applied(db).await?;
    if carry_over::find(&applied) != Before::Nothing {
        applied.clear();
    }
    Ok(status_of(&applied))
}

/// The SQL with which the next [`migrate`] carries the database over from schema 11 of the builds before 0.1.0; `None`:
/// it is not at that.
pub async fn get_carry_over_sql(db: &Db) -> Result<Option<String>, DbError> {
    if carry_over::find(&list_applied(db).await?) != Before::Schema11 {
        return Ok(None);
    }
    let runner = runner();
    let run = runner.get_migrations().iter().filter(|migration| carry_over::is_run(migration.version()));
    let first = format!("BEGIN;\nDELETE FROM {HISTORY};\n-- and a row for each migration of this build\n");
    let parts = run.filter_map(|migration| Some(format!("-- {}\n{}\n", name(migration), migration.sql()?)));
    Ok(Some(std::iter::once(first).chain(parts).chain(["COMMIT;\n".to_owned()]).collect()))
}

fn status_of(applied: &[Applied]) -> Vec<MigrationStatus> {
    let runner = runner();
    let mut all: Vec<MigrationStatus> = runner
        .get_migrations()
        .iter()
        .map(|ours| {
            let found = applied.iter().find(|a| a.version == i64::from(ours.version()));
            MigrationStatus {
                name: name(ours),
                applied_on: found.map(|a| a.applied_on.clone()),
                altered: found.is_some_and(|a| a.checksum != ours.checksum().to_string()),
                sql: ours.sql().map(str::to_owned),
            }
        })
        .collect();
    all.extend(
        applied.iter().filter(|a| !runner.get_migrations().iter().any(|m| i64::from(m.version()) == a.version)).map(
            |a| MigrationStatus {
                name: format!("V{:04}__{}", a.version, a.name),
                applied_on: Some(a.applied_on.clone()),
                altered: false,
                sql: None,
            },
        ),
    );
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[derive(FromRow)]
struct Applied {
    version: i64,
    name: String,
    applied_on: String,
    checksum: String,
}

async fn list_applied(db: &impl Session) -> Result<Vec<Applied>, DbError> {
    let sql = "-- list_applied_migrations
SELECT h.version::bigint AS version, h.name::text AS name, h.applied_on::text AS applied_on, h.checksum::text AS checksum
FROM upload_pipeline.schema_history AS h
ORDER BY h.version";
    match db.list(sql, &[]).await {
        Err(error) if error.is_schema_missing() => Ok(Vec::new()),
        applied => applied,
    }
}

/// Whether the schema is one that this build can work with.
pub async fn schema_state(db: &Db) -> Result<SchemaState, DbError> {
    let applied = list_applied(db).await?;
    let before = carry_over::find(&applied);
    let all = status_of(if before == Before::Nothing { &applied } else { &[] });
    let pending: Vec<String> = all.iter().filter(|m| m.applied_on.is_none()).map(|m| m.name.clone()).collect();
    Ok(match pending.len() {
        0 => SchemaState::Current,
        _ if applied.is_empty() => SchemaState::Missing,
        _ => SchemaState::Behind(pending),
    })
}
