//! The only ways to run a statement: typed, unnamed, in one round trip.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use time::{OffsetDateTime, macros::datetime};
use tokio::runtime::Handle;
use tokio_postgres::{
    CancelToken, NoTls, Row,
    types::{FromSql, ToSql, Type},
};

use super::{DbError, pool::Tls};

/// How long an answer that nobody waits for may take before its connection is closed instead. Source: ours.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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

/// A pooled connection. Where a statement's caller left before the answer, the connection is not handed out again until the
/// server has answered: whoever got it would wait for a statement that is not his, and so would everybody after him.
pub struct Conn {
    client: Option<deadpool_postgres::Client>,
    pending: Pending,
    home: Arc<Home>,
}

/// Where a connection is looked after that nobody waits for.
pub(super) struct Home {
    /// The main runtime: it outlives those of the HTTP server.
    pub(super) runtime: Handle,
    pub(super) tls: Tls,
}

impl Home {
    /// Asks the server to end what it is at. Whether it did is not known; the connection is closed after this.
    async fn cancel(&self, token: CancelToken) {
        let asked = async {
            match &self.tls {
                Tls::Off => token.cancel_query(NoTls).await,
                Tls::On(tls) => token.cancel_query(tls.clone()).await,
            }
        };
        if !matches!(tokio::time::timeout(ANSWER_WITHIN, asked).await, Ok(Ok(()))) {
            tracing::debug!("couldn't ask the server to end a statement that nobody waits for");
        }
    }
}

/// How many statements are under way.
#[derive(Default)]
pub(super) struct Pending(AtomicUsize);

impl Pending {
    /// Waits for the answer; dropped before, it leaves the mark that [`Conn`] looks for.
    pub(super) async fn answer<T>(&self, statement: impl Future<Output = T>) -> T {
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
    pub(super) fn new(client: deadpool_postgres::Client, home: Arc<Home>) -> Self {
        Self { client: Some(client), pending: Pending::default(), home }
    }

    fn client(&self) -> Result<&deadpool_postgres::Client, DbError> {
        self.client.as_ref().ok_or_else(given_back)
    }

    /// Begins a transaction, with what its statements are counted by.
    pub(super) async fn begin(
        &mut self,
        name: &str,
    ) -> Result<(deadpool_postgres::Transaction<'_>, &Pending), DbError> {
        let Self { client, pending, .. } = self;
        let client = client.as_mut().ok_or_else(given_back)?;
        let begun = pending.answer(client.transaction()).await;
        Ok((begun.map_err(|error| DbError::statement(name, &error))?, pending))
    }
}

/// Only a connection that is being dropped has no client.
fn given_back() -> DbError {
    DbError::Pool("the connection was given back".to_owned())
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(client) = self.client.take().filter(|_| !self.pending.is_empty()) else { return };
        let home = Arc::clone(&self.home);
        self.home.runtime.spawn(async move {
            // An empty statement is answered once the one before it is.
            let answered = tokio::time::timeout(ANSWER_WITHIN, client.batch_execute("")).await;
            if !matches!(answered, Ok(Ok(()))) {
                // A server that waits for a lock does not see that its client has left.
                home.cancel(client.cancel_token()).await;
                drop(deadpool_postgres::Client::take(client));
            }
        });
    }
}

impl Session for Conn {
    async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let answer = self.pending.answer(self.client()?.query_typed(sql, params)).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let answer = self.pending.answer(self.client()?.execute_typed(sql, params)).await;
        answer.map_err(|error| DbError::statement(sql, &error))
    }
}

/// A column of a row, by name, as the type that the caller names.
pub fn column<'a, T>(row: &'a Row, name: &str) -> Result<T, DbError>
where
    T: FromSql<'a>,
{
    row.try_get(name).map_err(|error| DbError::row(name, &error))
}

/// A `timestamptz`, brought within the years 1 to 9999: the server's reach further, to both infinities.
struct Moment(OffsetDateTime);

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
        const BOUNDS: (OffsetDateTime, OffsetDateTime) =
            (datetime!(0001-01-01 00:00 UTC), datetime!(9999-12-31 23:59:59 UTC));
        let micros = i64::from_be_bytes(raw.try_into()?);
        let moment = EPOCH.checked_add(time::Duration::microseconds(micros));
        let beyond = if micros < 0 { BOUNDS.0 } else { BOUNDS.1 };
        Ok(Self(moment.map_or(beyond, |moment| moment.clamp(BOUNDS.0, BOUNDS.1))))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A column of a moment that somebody may have written by hand.
pub fn moment(row: &Row, name: &str) -> Result<OffsetDateTime, DbError> {
    column::<Moment>(row, name).map(|moment| moment.0)
}

/// The same of a column that may be empty.
pub fn optional_moment(row: &Row, name: &str) -> Result<Option<OffsetDateTime>, DbError> {
    Ok(column::<Option<Moment>>(row, name)?.map(|moment| moment.0))
}

/// A text column parsed into one of our own types.
pub fn parsed<T>(row: &Row, name: &str) -> Result<T, DbError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    column::<&str>(row, name)?.parse().map_err(|error| DbError::row(name, &error))
}
