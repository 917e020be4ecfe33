//! The only way into a transaction.

use std::{future::Future, marker::PhantomData, pin::Pin, time::Duration};

use tokio_postgres::Row;

use super::{Db, DbError, Params, Session, params::typed, session::Pending};
use telemetry::metrics::METRICS;

/// How many times a transaction is run again after serialization failures and deadlocks.
const MAX_RERUNS: u32 = 5;

/// How long a transaction may wait for its next statement: far shorter than a lease, longer than a slow network needs.
const IDLE_TIMEOUT: &str = "15s";

const BOUND_IDLE: &str = "-- bound_idle
SELECT set_config('idle_in_transaction_session_timeout', $1, true)";

const BOUND_STATEMENTS: &str = "-- bound_statements
SELECT set_config('idle_in_transaction_session_timeout', $1, true), set_config('statement_timeout', $2, true),
  set_config('lock_timeout', $2, true)";

/// An open transaction. `'env` is the lifetime of what the body borrows, as with scoped threads.
#[derive(Clone, Copy)]
pub struct Tx<'t, 'env: 't> {
    inner: &'t deadpool_postgres::Transaction<'t>,
    pending: &'t Pending,
    env: PhantomData<&'env ()>,
}

impl Session for Tx<'_, '_> {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let answer = self.pending.track(self.inner.query_typed(sql, &typed(params))).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let answer = self.pending.track(self.inner.execute_typed(sql, &typed(params))).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }
}

/// The future of a transaction's body.
pub type TxFuture<'t, T> = Pin<Box<dyn Future<Output = Result<T, DbError>> + Send + 't>>;

impl Db {
    /// Runs `body` in a transaction and commits it. An error rolls the transaction back. After a serialization failure or a
    /// deadlock the body runs again, at most five times, with a growing delay. Its only effects must be its statements.
    pub async fn run_tx<'env, T, F>(&self, name: &'static str, body: F) -> Result<T, DbError>
    where
        F: for<'t> Fn(Tx<'t, 'env>) -> TxFuture<'t, T> + Send,
        T: Send,
    {
        let mut reruns = 0;
        loop {
            match self.try_tx(name, &body).await {
                Err(error) if error.is_serialization_failure() && reruns < MAX_RERUNS => {
                    reruns += 1;
                    METRICS.record_transaction_rerun();
                    tracing::debug!(tx.name = name, tx.reruns = reruns, error = %error, "running a transaction again");
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=(10 << reruns)))).await;
                }
                result => return result,
            }
        }
    }

    /// Runs `body` in a transaction that is always rolled back: no other session sees its rows, and no notification is sent.
    /// The server cancels a statement that runs or waits for a lock longer than `statement_timeout`.
    pub async fn run_rolled_back<'env, T, F>(
        &self,
        name: &'static str,
        statement_timeout: Duration,
        body: F,
    ) -> Result<T, DbError>
    where
        F: for<'t> Fn(Tx<'t, 'env>) -> TxFuture<'t, T> + Send,
        T: Send,
    {
        let mut conn = self.get().await?;
        let (tx, pending) = conn.begin(name).await?;
        let inner = Tx { inner: &tx, pending, env: PhantomData };
        let bound = format!("{}ms", statement_timeout.as_millis());
        inner.run(BOUND_STATEMENTS, &[&IDLE_TIMEOUT, &bound]).await?;
        let result = body(inner).await;
        pending.track(tx.rollback()).await.map_err(|error| DbError::statement(name, &error))?;
        result
    }

    async fn try_tx<'env, T, F>(&self, name: &'static str, body: &F) -> Result<T, DbError>
    where
        F: for<'t> Fn(Tx<'t, 'env>) -> TxFuture<'t, T> + Send,
        T: Send,
    {
        let mut conn = self.get().await?;
        let (tx, pending) = conn.begin(name).await?;
        let inner = Tx { inner: &tx, pending, env: PhantomData };
        // A process frozen inside the transaction would keep its rows locked, and no worker could take over its jobs. With
        // this limit the server ends the session and rolls the transaction back.
        inner.run(BOUND_IDLE, &[&IDLE_TIMEOUT]).await?;
        let value = body(inner).await?;
        pending.track(tx.commit()).await.map_err(|error| DbError::statement(name, &error))?;
        Ok(value)
    }
}
