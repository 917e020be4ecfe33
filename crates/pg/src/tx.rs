//! The only way into a transaction.

use std::{future::Future, marker::PhantomData, pin::Pin, time::Duration};

use tokio_postgres::{Row, types::Type};

use super::{Db, DbError, Params, Session, session::Pending};
use telemetry::metrics::METRICS;

/// How often a transaction is run again after a serialization failure or a deadlock.
const MAX_RERUNS: u32 = 5;

/// How long a transaction may wait for its next statement. Source: ours; a body only runs statements, so far less than
/// a lease, and still more than a slow network.
const IDLE_TIMEOUT: &str = "15s";
const BOUND_IDLE: &str = "-- bound_idle
SELECT set_config('idle_in_transaction_session_timeout', $1, true)";

const BOUND_STATEMENTS: &str = "-- bound_statements
SELECT set_config('idle_in_transaction_session_timeout', $1, true), set_config('statement_timeout', $2, true),
  set_config('lock_timeout', $2, true)";

/// An open transaction. `'env` is what the body borrows from outside, as with scoped threads.
#[derive(Clone, Copy)]
pub struct Tx<'t, 'env: 't> {
    inner: &'t deadpool_postgres::Transaction<'t>,
    pending: &'t Pending,
    env: PhantomData<&'env ()>,
}

impl Session for Tx<'_, '_> {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let answer = self.pending.answer(self.inner.query_typed(sql, params)).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let answer = self.pending.answer(self.inner.execute_typed(sql, params)).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }
}

/// What a transaction's body gives back.
pub type TxFuture<'t, T> = Pin<Box<dyn Future<Output = Result<T, DbError>> + Send + 't>>;

impl Db {
    /// Runs `body` in a transaction and commits it. An error rolls back; a serialization failure or a deadlock runs
    /// the body again, at most five times, a little later each time. The body must have no effect but its statements.
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

    /// Runs `body` in a transaction that is rolled back whatever it gives: nothing of it is kept or seen by others, and
    /// none of its notifications is sent. A statement that waits for a lock or runs for longer than `patience` is refused.
    pub async fn run_rolled_back<'env, T, F>(
        &self,
        name: &'static str,
        patience: Duration,
        body: F,
    ) -> Result<T, DbError>
    where
        F: for<'t> Fn(Tx<'t, 'env>) -> TxFuture<'t, T> + Send,
        T: Send,
    {
        let mut conn = self.get().await?;
        let (tx, pending) = conn.begin(name).await?;
        let inner = Tx { inner: &tx, pending, env: PhantomData };
        let bound = format!("{}ms", patience.as_millis());
        inner.run(BOUND_STATEMENTS, &[(&IDLE_TIMEOUT, Type::TEXT), (&bound, Type::TEXT)]).await?;
        let result = body(inner).await;
        pending.answer(tx.rollback()).await.map_err(|error| DbError::statement(name, &error))?;
        result
    }

    async fn try_tx<'env, T, F>(&self, name: &'static str, body: &F) -> Result<T, DbError>
    where
        F: for<'t> Fn(Tx<'t, 'env>) -> TxFuture<'t, T> + Send,
        T: Send,
    {
        let mut conn = self.get().await?;
        let (tx, pending) = conn.begin(name).await?;
        // A process that is frozen in the middle would hold its rows for as long as it stays so: nobody could take its jobs
        // over. The server ends such a session, and with it the transaction.
        let inner = Tx { inner: &tx, pending, env: PhantomData };
        inner.run(BOUND_IDLE, &[(&IDLE_TIMEOUT, Type::TEXT)]).await?;
        let value = body(inner).await?;
        pending.answer(tx.commit()).await.map_err(|error| DbError::statement(name, &error))?;
        Ok(value)
    }
}
