//! The connection pool that all roles share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Conn, DbError,
    connect_error::classify,
    session::Home,
    tls::{TlsError, make_tls},
    url::{DatabaseUrl, TlsMode},
};
use telemetry::metrics::{METRICS, PoolStatus};

/// A peer that acknowledges nothing for this long is dead. Source: ours; shorter than the default lease.
const DEAD_PEER: Duration = Duration::from_secs(20);

/// How the connection is protected.
#[derive(Clone)]
pub(super) enum Tls {
    /// Not at all: loopback and sockets.
    Off,
    /// By rustls, as `sslmode` says.
    On(MakeRustlsConnect),
}

/// Where the database is and how to speak to it.
#[derive(Clone)]
pub struct ConnectTarget {
    url: DatabaseUrl,
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: Tls,
}

impl fmt::Debug for ConnectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectTarget").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ConnectTarget {
    /// What `url` says, with keepalives: a connection that was cut without a word is noticed within half a minute.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up as the URL asks.
    pub fn new(url: DatabaseUrl, connect_timeout: Duration) -> Result<Self, TlsError> {
        let mut config = url.to_config();
        config
            .application_name("app")
            .connect_timeout(connect_timeout)
            .keepalives(true)
            .keepalives_idle(DEAD_PEER)
            .tcp_user_timeout(DEAD_PEER);
        let tls = match url.tls_mode() {
            TlsMode::Disable => Tls::Off,
            mode => Tls::On(make_tls(mode, url.ca_file())?),
        };
        Ok(Self { url, config, tls })
    }

    /// Why connecting failed: cause and fix in a sentence or two.
    pub fn explain(&self, error: &tokio_postgres::Error) -> DbError {
        DbError::Connect(Box::new(classify(error, &self.url)))
    }

    /// Opens one connection and drives it on `runtime` until it closes.
    pub async fn connect(&self, runtime: &Handle) -> Result<Client, tokio_postgres::Error> {
        Ok(self.connect_driven(runtime).await?.0)
    }

    async fn connect_driven(&self, runtime: &Handle) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        match &self.tls {
            Tls::Off => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, runtime.spawn(drive(connection))))
            }
            Tls::On(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, runtime.spawn(drive(connection))))
            }
        }
    }
}

/// Keeps a connection moving. Its end is seen by whoever uses the client, so it is not logged a second time here.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = %error, "a database connection ended");
    }
}

/// Bounds of the pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// Connections at the most.
    pub size: usize,
    /// How long a caller waits for one, and for one to be made.
    pub wait: Duration,
    /// A connection older than this is replaced at its next use, so that a failover or a new password is met.
    pub max_age: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { size: 8, wait: Duration::from_secs(10), max_age: Duration::from_secs(30 * 60) }
    }
}

/// The database: hands out connections and runs transactions. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    target: ConnectTarget,
    wait: Duration,
    home: Arc<Home>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// Opens connections on the main runtime: one opened in an HTTP worker's own runtime would stall while that thread is
/// busy and end with the HTTP server.
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
            let (target, runtime) = (self.target.clone(), self.runtime.clone());
            let opened = self.runtime.spawn(async move { target.connect_driven(&runtime).await });
            match opened.await {
                Ok(result) => result,
                // The task can only fail with the runtime that this one runs on; then nothing is left to answer.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Db {
    /// A pool that connects when it is first asked to. Call it on the main runtime.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn open(target: ConnectTarget, options: PoolOptions) -> Result<Self, DbError> {
        let config = target.config.clone();
        let connect = OnMainRuntime { target: target.clone(), runtime: Handle::current() };
        let manager = Manager::from_connect(config, connect, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(options.size)
            // The last one used: its session has the plans of functions and the catalog at hand.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.wait))
            .recycle_timeout(Some(options.wait))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if metrics.created.elapsed() > options.max_age {
                    return Err(HookError::message("old enough to be replaced"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let home = Arc::new(Home { runtime: Handle::current(), tls: target.tls.clone() });
        Ok(Self { pool, target, wait: options.wait, home })
    }

    /// A connection for a few statements. Give it back (drop it) before any other waiting.
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
            Ok(client) => Ok(Conn::new(client, Arc::clone(&self.home))),
            Err(PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)) => Err(DbError::Pool(format!(
                "the server did not answer within {} s; is it up, and a pooler before it able to reach it?",
                self.wait.as_secs_f64()
            ))),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(DbError::PoolTimeout { seconds: asked.elapsed().max(self.wait).as_secs() })
            }
            Err(PoolError::Backend(error)) => Err(self.target.explain(&error)),
            Err(error) => Err(DbError::Pool(error.to_string())),
        }
    }

    /// How the pool is used just now.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { size: status.max_size, open: status.size, idle: status.available, waiting: status.waiting }
    }

    /// Closes the pool; connections in use end when they are given back.
    pub fn close(&self) {
        self.pool.close();
    }
}
