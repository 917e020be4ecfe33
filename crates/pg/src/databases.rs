//! Creates the database that `app dev` keeps its data in.

use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;

use super::{ConnectTarget, DbError, Session, probe};

/// Creates the database `name` unless it exists, and returns whether it was created. `target` is any other database of the
/// same server.
pub async fn ensure_database(target: &ConnectTarget, runtime: &Handle, name: &str) -> Result<bool, DbError> {
    let client = probe::connect(target, runtime).await?;
    if client.run_any("-- database_exists\nSELECT FROM pg_database AS d WHERE d.datname = $1", &[&name]).await? {
        return Ok(false);
    }
    let sql = format!("-- create_database\nCREATE DATABASE \"{}\"", name.replace('"', "\"\""));
    match client.batch_execute(&sql).await {
        Ok(()) => Ok(true),
        // Another process created it first.
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(false),
        Err(error) => Err(DbError::statement(&sql, &error)),
    }
}
