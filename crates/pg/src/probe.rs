//! Tries out whether a URL leads to sessions or to a pooler in transaction mode.

use tokio::runtime::Handle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{ConnectTarget, DbError, Session};

/// What kind of connection a URL gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMode {
    /// A client keeps its server connection: LISTEN, locks and settings work.
    Session,
    /// A pooler gives a client a server connection for one transaction at a time.
    Transaction,
}

/// How many further clients look for the mark of the first one.
///
/// A pooler in transaction mode gives the connection that was released last to the next client (the default of PgBouncer
/// and Supavisor), so one would do. Three also find the mark in a round-robin pool of up to three connections.
const OTHERS: usize = 3;

const READ_MARK: &str = "-- probe_seen
SELECT coalesce(current_setting('app.probe', true), '') || pg_backend_pid()::text AS value";

/// Tries out what `target` gives, without writing. One client leaves a mark in its session. Others open transactions and
/// look for the mark. While these transactions are open, the first client checks that its server connection is the same.
pub async fn probe_session_mode(target: &ConnectTarget, runtime: &Handle) -> Result<SessionMode, DbError> {
    let first = connect(target, runtime).await?;
    let mark = Uuid::new_v4().to_string();
    let before: String = first
        .one(
            "-- probe_mark
SELECT set_config('app.probe', $1, false) || pg_backend_pid()::text AS value",
            &[&mark],
        )
        .await?;
    let mut others = Vec::with_capacity(OTHERS);
    for _ in 0..OTHERS {
        let other = connect(target, runtime).await?;
        begin(&other).await?;
        if other.one::<String>(READ_MARK, &[]).await? == before {
            return Ok(SessionMode::Transaction);
        }
        others.push(other);
    }
    let after: String = first.one(READ_MARK, &[]).await?;
    Ok(if after == before { SessionMode::Session } else { SessionMode::Transaction })
}

/// Opens a connection outside the pool.
pub async fn connect(target: &ConnectTarget, runtime: &Handle) -> Result<Client, DbError> {
    target.connect(runtime).await.map_err(|error| target.explain(&error))
}

async fn begin(client: &Client) -> Result<(), DbError> {
    client.batch_execute("BEGIN READ ONLY").await.map_err(|error| DbError::statement("-- probe_begin", &error))
}
