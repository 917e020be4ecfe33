//! The connection pool that all roles share.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType,
};
use time::OffsetDateTime;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Conn, DbError,
    connect_error::classify,
    session::Canceller,
    tls::{Shown, TlsError, make_tls_that_shows},
    url::DatabaseUrl,
};
use telemetry::metrics::{METRICS, PoolStatus};

/// A server that acknowledges nothing for this long is taken for dead. Shorter than the default lease.
const DEAD_PEER: Duration = Duration::from_secs(20);

/// Where the database is, and how to connect to it.
#[derive(Clone)]
pub struct ConnectTarget {
    url: DatabaseUrl,
    pub(super) config: tokio_postgres::Config,
    /// Unused where `config` switches TLS off.
    pub(super) tls: MakeRustlsConnect,
    shown: Shown,
}

impl ConnectTarget {
    /// Takes everything from `url` and adds keepalives, which find a dead connection within half a minute.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up as the URL asks.
    pub fn new(url: DatabaseUrl, connect_timeout: Duration) -> Result<Self, TlsError> {
        let mut config = url.to_config();
        config
            .application_name("app")
            .connect_timeout(connect_timeout)
            .keepalives(true)
            .keepalives_idle(DEAD_PEER)
            .tcp_user_timeout(DEAD_PEER);
        let shown = Shown::default();
        let tls = make_tls_that_shows(url.tls_mode(), url.ca_file(), shown.clone())?;
        Ok(Self { url, config, tls, shown })
    }

    /// When the server's certificate ends; `None` without TLS, or before the first connection.
    pub fn certificate_ends_at(&self) -> Option<OffsetDateTime> {
        self.shown.ends_at()
    }

    /// Explains in a sentence or two why connecting failed and what to do.
    pub fn explain(&self, error: &tokio_postgres::Error) -> DbError {
        DbError::Connect(Box::new(classify(error, &self.url)))
    }

    /// Opens one connection and drives it on `runtime` until it closes.
    pub async fn connect(&self, runtime: &Handle) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connect_driven(runtime, drop).await?.0)
    }

    /// As [`connect`](Self::connect), and hands the payload of each notification to `heard`, which is dropped when the
    /// connection closes.
    pub async fn connect_driven(
        &self,
        runtime: &Handle,
        mut heard: impl FnMut(String) + Send + 'static,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let driven = runtime.spawn(async move {
            while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notification(notification)) => heard(notification.payload().to_owned()),
                    Ok(_) => {}
                    // The client reports the error.
                    Err(error) => return tracing::debug!(error = %error, "a database connection ended"),
                }
            }
        });
        Ok((client, driven))
    }
}

/// Limits of the pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// The most connections that it opens.
    pub size: usize,
    /// How long a caller waits for a free connection, and for a new one to be opened.
    pub wait: Duration,
    /// A connection older than this is replaced before its next use, so that a failover or a new password takes effect.
    pub max_age: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { size: 8, wait: Duration::from_secs(10), max_age: Duration::from_secs(30 * 60) }
    }
}

/// The database: gives out connections and runs transactions. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    target: ConnectTarget,
    wait: Duration,
    canceller: Arc<Canceller>,
}

/// Opens connections on the main runtime. A connection opened on the runtime of an HTTP worker would stall while that
/// thread is busy, and would close with the HTTP server.
struct OnMainRuntime {
    target: ConnectTarget,
    runtime: Handle,
}

impl Connect for OnMainRuntime {
    fn connect(
        &self,
        _config: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async move {
            let target = self.target.clone();
            let runtime = self.runtime.clone();
            let opened = self.runtime.spawn(async move { target.connect_driven(&runtime, drop).await });
            match opened.await {
                Ok(result) => result,
                // The task fails only when the main runtime shuts down, and then the result is not used.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Db {
    /// Makes a pool, which opens connections as they are asked for. Call it on the main runtime.
    ///
    /// # Errors
    ///
    /// The options contradict each other.
    pub fn open(target: ConnectTarget, options: PoolOptions) -> Result<Self, DbError> {
        let config = target.config.clone();
        let connect = OnMainRuntime { target: target.clone(), runtime: Handle::current() };
        let manager = Manager::from_connect(config, connect, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(options.size)
            // The connection used last has the plans of functions and the catalog in its cache.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.wait))
            .recycle_timeout(Some(options.wait))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if metrics.created.elapsed() > options.max_age {
                    return Err(HookError::message("older than max_age"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let canceller = Arc::new(Canceller { runtime: Handle::current(), tls: target.tls.clone() });
        Ok(Self { pool, target, wait: options.wait, canceller })
    }

    /// Gets a connection for a few statements. Drop it before waiting for anything else.
    pub async fn get(&self) -> Result<Conn, DbError> {
        let asked = Instant::now();
        let got = self.try_get(asked).await;
        METRICS.record_pool_wait(asked.elapsed());
        if let Err(error) = &got {
            METRICS.record_database_error(error.code());
        }
        got
    }

    async fn try_get(&self, asked: Instant) -> Result<Conn, DbError> {
        match self.pool.get().await {
            Ok(client) => Ok(Conn::new(client, Arc::clone(&self.canceller))),
            Err(PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)) => Err(DbError::Pool(format!(
                "the server did not answer within {} s; check that it is up, and that a pooler in front of it can reach it",
                self.wait.as_secs_f64()
            ))),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(DbError::PoolTimeout { seconds: asked.elapsed().max(self.wait).as_secs() })
            }
            Err(PoolError::Backend(error)) => Err(self.target.explain(&error)),
            Err(error) => Err(DbError::Pool(error.to_string())),
        }
    }

    /// How the pool is used at present.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { size: status.max_size, open: status.size, idle: status.available, waiting: status.waiting }
    }

    /// Closes the pool. A connection in use closes when it is dropped.
    pub fn close(&self) {
        self.pool.close();
    }
}
