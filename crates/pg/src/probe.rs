//! What kind of connection a URL gives: one session a client, or a pooler's transaction mode.

use tokio::runtime::Handle;
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use super::{ConnectTarget, DbError};

/// What a URL leads to, by trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMode {
    /// A client keeps its server connection: LISTEN, locks and settings work.
    Session,
    /// A pooler hands server connections out by the transaction.
    Transaction,
}

/// How many other clients look for what the first one left in its session.
///
/// A pooler in transaction mode hands the connection that was just released to the next client
/// (PgBouncer's and Supavisor's default), so one would do; more find it with a round-robin pool of up to this size too.
const OTHERS: usize = 3;

/// Finds out by trial: one client leaves a mark in its session, others open transactions and look for it, and the
/// first asks, while they hold theirs, whether its server connection is still the same. Writes nothing.
pub async fn probe_session_mode(target: &ConnectTarget, runtime: &Handle) -> Result<SessionMode, DbError> {
    let first = connect(target, runtime).await?;
    let mark = Uuid::new_v4().to_string();
    let before = text(
        &first,
        "-- probe_mark
SELECT set_config('app.probe', $1, false) || pg_backend_pid()::text AS value",
        &[(&mark, Type::TEXT)],
    )
    .await?;
    let mut others = Vec::with_capacity(OTHERS);
    for _ in 0..OTHERS {
        let other = connect(target, runtime).await?;
        begin(&other).await?;
        let seen = text(
            &other,
            "-- probe_seen
SELECT coalesce(current_setting('app.probe', true), '') || pg_backend_pid()::text AS value",
            &[],
        )
        .await?;
        if seen == before {
            return Ok(SessionMode::Transaction);
        }
        others.push(other);
    }
    let after = text(
        &first,
        "-- probe_again
SELECT coalesce(current_setting('app.probe', true), '') || pg_backend_pid()::text AS value",
        &[],
    )
    .await?;
    Ok(if after == before { SessionMode::Session } else { SessionMode::Transaction })
}

/// A connection outside the pool, or why there is none.
pub async fn connect(target: &ConnectTarget, runtime: &Handle) -> Result<Client, DbError> {
    target.connect(runtime).await.map_err(|error| target.explain(&error))
}

async fn begin(client: &Client) -> Result<(), DbError> {
    client.batch_execute("BEGIN READ ONLY").await.map_err(|error| DbError::statement("-- probe_begin", &error))
}

async fn text(client: &Client, sql: &str, params: super::Params<'_>) -> Result<String, DbError> {
    let row = client.query_typed_one(sql, params).await.map_err(|error| DbError::statement(sql, &error))?;
    super::session::column(&row, "value")
}
