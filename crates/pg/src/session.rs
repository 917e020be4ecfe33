//! The only ways to run a statement: typed, unnamed, in one round trip.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_postgres::{CancelToken, Client, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Db, DbError, FromRow, Params, params::typed};

/// How long the server may take to answer a statement whose caller has gone before the connection is closed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A connection or a transaction. Every statement is sent unnamed, so that it works through a pooler in transaction mode.
/// Result columns must have built-in types (`::text`, `::real[]`): the driver looks up any other type by a named statement.
pub trait Session: Send + Sync {
    /// Runs a statement and returns all its rows.
    fn rows(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;

    /// Runs a statement and returns its first row, if any.
    fn row(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<Option<Row>, DbError>> + Send {
        async move { Ok(self.rows(sql, params).await?.into_iter().next()) }
    }

    /// Runs a statement and returns how many rows it changed or returned.
    fn run(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<u64, DbError>> + Send;

    /// Runs a statement whose count of rows does not matter.
    fn exec(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<(), DbError>> + Send {
        async move { self.run(sql, params).await.map(drop) }
    }

    /// Runs a statement and says whether it changed or returned a row.
    fn run_any(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<bool, DbError>> + Send {
        async move { Ok(self.run(sql, params).await? > 0) }
    }

    /// Runs a statement and reads all its rows.
    fn list<T: FromRow>(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<Vec<T>, DbError>> + Send {
        async move { self.rows(sql, params).await?.iter().map(T::from_row).collect() }
    }

    /// Runs a statement and reads its first row, if any.
    fn find<T: FromRow>(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> impl Future<Output = Result<Option<T>, DbError>> + Send {
        async move { self.row(sql, params).await?.as_ref().map(T::from_row).transpose() }
    }

    /// Runs a statement that always returns a row, and reads it.
    fn one<T: FromRow>(&self, sql: &str, params: Params<'_>) -> impl Future<Output = Result<T, DbError>> + Send {
        async move { self.find(sql, params).await?.ok_or_else(|| DbError::no_row(sql)) }
    }
}

/// A pooled connection. If a caller is dropped while its statement runs, the connection returns to the pool only after the
/// server has answered: otherwise the next user of the connection would wait for a statement of another caller.
pub struct Conn {
    client: Option<deadpool_postgres::Client>,
    pending: Pending,
    canceller: Arc<Canceller>,
}

/// Ends statements whose caller has gone.
pub(super) struct Canceller {
    /// The main runtime, which outlives those of the HTTP server.
    pub(super) runtime: Handle,
    pub(super) tls: MakeRustlsConnect,
}

impl Canceller {
    /// Asks the server to cancel the running statement. The server does not say whether it did.
    async fn cancel(&self, token: CancelToken) {
        let request = token.cancel_query(self.tls.clone());
        if !matches!(tokio::time::timeout(ANSWER_WITHIN, request).await, Ok(Ok(()))) {
            tracing::debug!("couldn't ask the server to cancel a statement whose caller has gone");
        }
    }
}

/// Counts the statements that the server has not answered yet.
#[derive(Default)]
pub(super) struct Pending(AtomicUsize);

impl Pending {
    /// Runs `statement`. If the future is dropped before the answer, the count stays raised, which [`Conn`] checks for.
    pub(super) async fn track<T>(&self, statement: impl Future<Output = T>) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let answer = statement.await;
        self.0.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Conn {
    pub(super) fn new(client: deadpool_postgres::Client, canceller: Arc<Canceller>) -> Self {
        Self { client: Some(client), pending: Pending::default(), canceller }
    }

    fn client(&self) -> Result<&deadpool_postgres::Client, DbError> {
        self.client.as_ref().ok_or_else(dropped)
    }

    /// Begins a transaction. Its statements must be counted in the returned [`Pending`].
    pub(super) async fn begin(
        &mut self,
        name: &str,
    ) -> Result<(deadpool_postgres::Transaction<'_>, &Pending), DbError> {
        let client = self.client.as_mut().ok_or_else(dropped)?;
        let begun = self.pending.track(client.transaction()).await;
        Ok((begun.map_err(|error| DbError::statement(name, &error))?, &self.pending))
    }
}

/// Only a connection that is being dropped has no client.
fn dropped() -> DbError {
    DbError::Pool("the connection was given back".to_owned())
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(client) = self.client.take().filter(|_| !self.pending.is_empty()) else { return };
        let canceller = Arc::clone(&self.canceller);
        self.canceller.runtime.spawn(async move {
            // The server answers an empty statement after the one before it.
            let answered = tokio::time::timeout(ANSWER_WITHIN, client.batch_execute("")).await;
            if !matches!(answered, Ok(Ok(()))) {
                // A server that waits for a lock does not notice that the connection has closed, so it is told to cancel.
                canceller.cancel(client.cancel_token()).await;
                drop(deadpool_postgres::Client::take(client));
            }
        });
    }
}

impl Session for Conn {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let answer = self.pending.track(self.client()?.query_typed(sql, &typed(params))).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let answer = self.pending.track(self.client()?.execute_typed(sql, &typed(params))).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }
}

/// Takes a connection for each statement, so that none is held while the caller does other things.
impl Session for Db {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        self.get().await?.rows(sql, params).await
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        self.get().await?.run(sql, params).await
    }
}

/// A connection outside the pool.
impl Session for Client {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        self.query_typed(sql, &typed(params)).await.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        self.execute_typed(sql, &typed(params)).await.map_err(|error| DbError::statement(sql, &error))
    }
}
