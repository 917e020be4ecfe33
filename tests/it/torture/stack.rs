//! PostgreSQL with a streaming replica, a pooler and proxies that belong to this test alone, so that it can crash them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use embedded_postgres::{Cluster, ClusterOptions, find_binaries};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio_postgres::SimpleQueryMessage;

use super::{
    failover::{self, Loss},
    proxy::Proxy,
};
use crate::support::{
    cluster::{connect, environment},
    fleet::PATIENCE,
    pgbouncer::PgBouncer,
    scratch::Scratch,
};

pub const DATABASE: &str = "app";

/// How a primary hands commits to its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// A commit is acknowledged when the replica has it.
    Synchronous,
    /// A commit is acknowledged at once.
    Asynchronous,
}

/// A server, and its folder.
pub struct Server {
    pub cluster: Cluster,
    /// Erased with it.
    _folder: Scratch,
}

/// The services that the fleet uses. The fields are dropped in this order.
pub struct Stack {
    /// The proxy in front of the pooler, for `DATABASE_URL`.
    pub pooled: Proxy,
    /// The proxy in front of the server, for `DIRECT_URL`.
    pub direct: Proxy,
    /// The same for the test itself, which no fault touches but a crash.
    own: Proxy,
    pub pooler: PgBouncer,
    primary: Server,
    replica: Option<Server>,
    /// What failovers to an asynchronous replica have lost.
    pub lost: Loss,
}

impl Stack {
    pub async fn start() -> Self {
        let primary = Server::start(None).await;
        let admin = connect(&primary.cluster.url("postgres")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let pooler = PgBouncer::start(&primary.cluster, DATABASE);
        let pooled = Proxy::start(&pooler.socket()).await;
        let direct = Proxy::start(&primary.socket()).await;
        let own = Proxy::start(&primary.socket()).await;
        Self { pooled, direct, own, pooler, primary, replica: None, lost: Loss::default() }
    }

    /// The database URL through a proxy, for the fleet.
    pub fn url_through(&self, proxy: &Proxy) -> String {
        let (user, password) = (embedded_postgres::USER, &self.primary.cluster.password);
        format!("postgresql://{user}:{password}@127.0.0.1:{}/{DATABASE}", proxy.port())
    }

    /// The database URL for the test. It leads to the primary, whichever server that is.
    pub fn url(&self) -> String {
        self.url_through(&self.own)
    }

    /// Stops the server in immediate mode, as a crash would, and starts it again.
    pub async fn crash(&mut self) {
        self.primary.crash().await;
        self.primary.cluster = start(self.primary.cluster.folder().to_owned(), None, &[]).await;
    }

    /// Makes a replica of the primary, unless there is one.
    pub async fn replicate(&mut self) {
        if self.replica.is_none() {
            self.replica = Some(Server::start(Some(&self.primary.cluster)).await);
            failover::wait_until_streaming(&self.primary.cluster).await;
        }
    }

    /// Crashes the primary for good, promotes the replica, and leads pooler and proxies to it. Collects what was lost.
    pub async fn fail_over(&mut self, replication: Replication) {
        self.replicate().await;
        let replica = self.replica.take().unwrap();
        let stopped = failover::prepare(&self.primary.cluster, &replica.cluster, replication).await;
        self.primary.crash().await;
        let kept = failover::promote(&replica.cluster, stopped).await;
        let old = std::mem::replace(&mut self.primary, replica);
        self.pooler.re_point(&self.primary.cluster);
        self.pooled.cut();
        self.direct.re_point(self.primary.socket());
        self.own.re_point(self.primary.socket());
        // To be read only: a client that is late must not write to it.
        let read_only = [("default_transaction_read_only", "on"), ("synchronous_standby_names", "")];
        let alone = start(old.cluster.folder().to_owned(), None, &read_only).await;
        self.lost.collect(&alone, &kept, replication).await;
        // Erases the folder of both, after it has stopped the server.
        drop((alone, old));
    }
}

impl Server {
    pub async fn start(primary: Option<&Cluster>) -> Self {
        let folder = Scratch::new("torture");
        let cluster = start(folder.path().to_owned(), primary, &[]).await;
        Self { cluster, _folder: folder }
    }

    fn socket(&self) -> PathBuf {
        let dir = self.cluster.socket_dir().expect("the path of the temporary folder is too long for a socket");
        dir.join(format!(".s.PGSQL.{}", self.cluster.port()))
    }

    pub async fn crash(&self) {
        let pid = Pid::from_raw(self.cluster.pid()).unwrap();
        kill_process(pid, Signal::QUIT).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while test_kill_process(pid).is_ok() {
            assert!(Instant::now() < deadline, "PostgreSQL did not end within {PATIENCE:?} of SIGQUIT");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Starts the server with synchronous commits, so that a crash of the server loses no acknowledged commit. Without fsync,
/// since the machine itself does not crash.
async fn start(folder: PathBuf, primary: Option<&Cluster>, further: &[(&str, &str)]) -> Cluster {
    let env = environment();
    let mut options = ClusterOptions::throwaway(folder);
    options.run_as = env.get("APP_DEV_PG_USER").cloned();
    options.replica_of = primary.map(Cluster::as_primary);
    // The replica may lag by what is written while it is stopped; the old primary's log is read after a failover.
    for (name, value) in [("synchronous_commit", "on"), ("wal_keep_size", "512MB")].iter().chain(further) {
        options.settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    Cluster::start_or_adopt(find_binaries(&env).unwrap(), options).await.unwrap()
}

/// All rows of a query as text; an error while the server is down.
pub async fn try_rows(url: &str, sql: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let client = connect(url).await?;
    let messages = client.simple_query(sql).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// All rows of a query, while no fault is active.
pub async fn rows(url: &str, sql: &str) -> Vec<Vec<String>> {
    try_rows(url, sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
}
