//! Errors of the database.

use tokio_postgres::error::SqlState;

use super::connect_error::{ConnectProblem, chain};
use domain::{Code, ErrorClass, Failure, StepError};
use telemetry::metrics::METRICS;

/// A failure of the database or of the connection to it. No text contains a URL, a password or a parameter's value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// Connecting failed. A retry helps once the cause is removed.
    #[error("couldn't connect to the database: {0}")]
    Connect(Box<ConnectProblem>),
    /// The pool gave no connection: it is closed, its options contradict each other, or the server did not answer.
    #[error("couldn't get a database connection: {0}")]
    Pool(String),
    /// Every connection of the pool stayed in use while the caller waited.
    #[error("no database connection became free within {seconds} s; lower the load or raise DATABASE_POOL_SIZE")]
    PoolTimeout {
        /// How long the caller waited.
        seconds: u64,
    },
    /// The server refused a statement, or the connection broke while it ran.
    #[error("{statement}: {message}")]
    Statement {
        /// The statement's name.
        statement: String,
        /// The server's message, without values.
        message: String,
        /// The server's code; `None` when the connection broke.
        sqlstate: Option<SqlState>,
        /// The constraint that refused a row, if one did.
        constraint: Option<String>,
    },
    /// A row is missing, or has another shape than the caller expects.
    #[error("{place}: unexpected row: {message}")]
    Row {
        /// The statement's name, or `column` and the column's name.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A worker wrote under a lease that it no longer holds.
    #[error("the lease on job {job_id} is lost; another worker has it, or it was cancelled")]
    LeaseLost {
        /// The job of the lease.
        job_id: domain::JobId,
    },
}

impl DbError {
    /// `error`, which running `sql` ended in. It is counted.
    pub fn statement(sql: &str, error: &tokio_postgres::Error) -> Self {
        let failed = Self::Statement {
            statement: name_of(sql).to_owned(),
            message: message_of(error),
            sqlstate: error.code().cloned(),
            constraint: error.as_db_error().and_then(|db| db.constraint()).map(str::to_owned),
        };
        METRICS.record_database_error(failed.code());
        failed
    }

    /// The statement `name` returned an unexpected row.
    pub fn row(name: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Row { place: name.to_owned(), message: error.to_string() }
    }

    /// The statement, which always returns a row, returned none.
    pub(super) fn no_row(sql: &str) -> Self {
        Self::row(name_of(sql), &"no row")
    }

    /// The column `name` holds an unexpected value.
    pub(super) fn column(name: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Row { place: format!("column {name}"), message: error.to_string() }
    }

    /// Stable, for `last_error`, `events` and the API.
    pub fn code(&self) -> Code {
        match self {
            Self::Connect(problem) => problem.code,
            Self::Pool(_) | Self::PoolTimeout { .. } => Code::DatabaseUnavailable,
            Self::Statement { sqlstate: None, .. } => Code::DatabaseUnavailable,
            Self::Statement { .. } | Self::Row { .. } => Code::DatabaseError,
            Self::LeaseLost { .. } => Code::LeaseLost,
        }
    }

    /// Whether this is a serialization failure or a deadlock, after which the same transaction may succeed at once.
    pub fn is_serialization_failure(&self) -> bool {
        self.sqlstate().is_some_and(|state| {
            *state == SqlState::T_R_SERIALIZATION_FAILURE || *state == SqlState::T_R_DEADLOCK_DETECTED
        })
    }

    /// The server's code, if the server answered.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { sqlstate, .. } => sqlstate.as_ref(),
            Self::Connect(_) | Self::Pool(_) | Self::PoolTimeout { .. } => None,
            Self::Row { .. } | Self::LeaseLost { .. } => None,
        }
    }

    /// Whether a table or column that this build needs is missing: the schema is missing or too old.
    pub fn is_schema_missing(&self) -> bool {
        self.sqlstate().is_some_and(|state| {
            [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::INVALID_SCHEMA_NAME].contains(state)
        })
    }
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::LeaseLost { .. } => Self::LeaseLost,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        // The server would refuse a constraint or data error again. A refused login needs a change of the configuration.
        // A retry may clear everything else.
        let class = match error.sqlstate().map(SqlState::code) {
            Some(code) if code.starts_with("22") || code.starts_with("23") => ErrorClass::Document,
            _ => error.code().class(),
        };
        Failure::of_class(class, error.code(), error.to_string())
    }
}

/// The statement's name, which is in its first line: `-- claim_jobs`.
fn name_of(sql: &str) -> &str {
    sql.trim_start().strip_prefix("-- ").and_then(|rest| rest.lines().next()).unwrap_or("statement").trim()
}

/// The server's message, or the last cause in the chain: the driver's own text says little and may contain the URL.
pub fn message_of(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return db.message().to_owned();
    }
    if error.is_closed() {
        return "the connection was closed".to_owned();
    }
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}
