//! The only ways to run a statement: typed, unnamed, in one round trip.

use std::future::Future;

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::DbError;

/// Parameters with the types they are sent as, so that the server need not be asked.
pub type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A connection or a transaction. Every statement is sent unnamed, which is what a transaction-mode pooler carries;
/// result columns must be built-in types (`::text`, `::real[]`), since any other is looked up by a named statement.
pub trait Session: Send + Sync {
    /// All rows of a statement.
    fn rows(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;

    /// The single row of a statement, or `None`.
    fn row(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<Option<Row>, DbError>> + Send {
        async move { Ok(self.rows(sql, params).await?.into_iter().next()) }
    }

    /// Runs a statement; how many rows it changed or returned.
    fn run(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<u64, DbError>> + Send;
}

/// A pooled connection.
pub struct Conn(pub(super) deadpool_postgres::Client);

impl Session for Conn {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        self.0.query_typed(sql, params).await.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        self.0.execute_typed(sql, params).await.map_err(|error| DbError::statement(sql, &error))
    }
}

/// A column of a row, by name, as the type that the caller names.
pub(super) fn column<'a, T>(row: &'a Row, name: &str) -> Result<T, DbError>
where
    T: tokio_postgres::types::FromSql<'a>,
{
    row.try_get(name).map_err(|error| DbError::row(name, &error))
}

/// A text column parsed into one of our own types.
pub(super) fn parsed<T>(row: &Row, name: &str) -> Result<T, DbError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    column::<&str>(row, name)?.parse().map_err(|error| DbError::row(name, &error))
}
