//! What can go wrong between us and Postgres.

use tokio_postgres::error::SqlState;

use super::connect_error::ConnectProblem;
use crate::{
    domain::{ErrorClass, Failure, StepError},
    telemetry::metrics::METRICS,
};

/// A failure of the database or of the way to it. None of the texts holds a URL, a password or a parameter's value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// No connection could be made. Trying again helps once the cause is gone.
    #[error("couldn't connect to the database: {0}")]
    Connect(Box<ConnectProblem>),
    /// The pool could not give a connection: it is closed, or its options contradict each other.
    #[error("couldn't get a database connection: {0}")]
    Pool(String),
    /// Every connection of the pool was busy for as long as a caller waits.
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
    /// A row did not have the shape that the statement promises.
    #[error("{statement}: unexpected row: {message}")]
    Row {
        /// The statement's name.
        statement: String,
        /// What was wrong with it.
        message: String,
    },
    /// A worker wrote under a lease that it no longer holds. Whoever took the job over goes on with it.
    #[error("the lease on job {job_id} is lost; another worker has it, or it was cancelled")]
    LeaseLost {
        /// The job.
        job_id: crate::domain::JobId,
    },
}

impl DbError {
    pub(super) fn statement(sql: &str, error: &tokio_postgres::Error) -> Self {
        let failed = Self::Statement {
            statement: name_of(sql).to_owned(),
            message: message_of(error),
            sqlstate: error.code().cloned(),
            constraint: error.as_db_error().and_then(|db| db.constraint()).map(str::to_owned),
        };
        METRICS.record_database_error(failed.code());
        failed
    }

    pub(super) fn row(statement: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Row { statement: statement.to_owned(), message: error.to_string() }
    }

    /// Stable, for `last_error`, `events` and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(problem) => problem.code(),
            Self::Pool(_) | Self::PoolTimeout { .. } => "database_unavailable",
            Self::Statement { sqlstate: None, .. } => "database_unavailable",
            Self::Statement { .. } | Self::Row { .. } => "database_error",
            Self::LeaseLost { .. } => "lease_lost",
        }
    }

    /// Whether running the same transaction again may succeed at once: a serialization failure or a deadlock.
    pub fn is_serialization_failure(&self) -> bool {
        self.sqlstate().is_some_and(|state| {
            *state == SqlState::T_R_SERIALIZATION_FAILURE || *state == SqlState::T_R_DEADLOCK_DETECTED
        })
    }

    /// The server's code, if the server answered.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { sqlstate, .. } => sqlstate.as_ref(),
            Self::Connect(_) | Self::Pool(_) | Self::PoolTimeout { .. } | Self::Row { .. } | Self::LeaseLost { .. } => {
                None
            }
        }
    }

    /// Whether a table or column that this build needs is not there: the schema is missing or behind.
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
        // A statement that the server refuses for good (a constraint, a data error) would be refused again; all else may pass.
        // A login that was refused stays refused until somebody mends it.
        let class = match (&error, error.sqlstate().map(SqlState::code)) {
            (DbError::Connect(problem), _) if !problem.cause.is_retryable() => ErrorClass::Configuration,
            (_, Some(code)) if code.starts_with("22") || code.starts_with("23") => ErrorClass::Document,
            _ => ErrorClass::Transient,
        };
        Failure::new(error.code(), class, error.to_string())
    }
}

/// The name that a statement carries in its first line: `-- claim_jobs`.
fn name_of(sql: &str) -> &str {
    sql.trim_start().strip_prefix("-- ").and_then(|rest| rest.lines().next()).unwrap_or("statement").trim()
}

/// The last cause in the chain, or the server's message: the driver's own text says little, and may hold the URL.
pub(super) fn message_of(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return db.message().to_owned();
    }
    if error.is_closed() {
        return "the connection was closed".to_owned();
    }
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = cause.to_string();
        source = cause.source();
    }
    message
}
