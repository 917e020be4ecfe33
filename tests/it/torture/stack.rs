//! PostgreSQL, a pooler and two proxies that belong to this test alone, so that it can crash them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use embedded_postgres::{Cluster, ClusterOptions, find_binaries};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio_postgres::SimpleQueryMessage;

use super::proxy::Proxy;
use crate::support::{
    cluster::{connect, environment},
    fleet::PATIENCE,
    pgbouncer::PgBouncer,
    scratch::Scratch,
};

const DATABASE: &str = "app";

/// The services that the fleet uses. The fields are dropped in this order.
pub struct Stack {
    /// The proxy in front of the pooler, for `DATABASE_URL`.
    pub pooled: Proxy,
    /// The proxy in front of the server, for `DIRECT_URL`.
    pub direct: Proxy,
    pub pooler: PgBouncer,
    cluster: Cluster,
    folder: Scratch,
}

impl Stack {
    pub async fn start() -> Self {
        let folder = Scratch::new("torture");
        let cluster = start(folder.path()).await;
        let admin = connect(&cluster.url("postgres")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let pooler = PgBouncer::start(&cluster, DATABASE);
        let pooled = Proxy::start(&pooler.socket()).await;
        let dir = cluster.socket_dir().expect("the path of the temporary folder is too long for a socket");
        let direct = Proxy::start(&dir.join(format!(".s.PGSQL.{}", cluster.port()))).await;
        Self { pooled, direct, pooler, cluster, folder }
    }

    /// The database URL through a proxy, for the fleet.
    pub fn url_through(&self, proxy: &Proxy) -> String {
        let (user, password) = (embedded_postgres::USER, &self.cluster.password);
        format!("postgresql://{user}:{password}@127.0.0.1:{}/{DATABASE}", proxy.port())
    }

    /// The direct database URL, for the test.
    pub fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// Stops the server in immediate mode, as a crash would, and starts it again.
    pub async fn crash(&mut self) {
        let pid = Pid::from_raw(self.cluster.pid()).unwrap();
        kill_process(pid, Signal::QUIT).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while test_kill_process(pid).is_ok() {
            assert!(Instant::now() < deadline, "PostgreSQL did not end within {PATIENCE:?} of SIGQUIT");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.cluster = start(self.folder.path()).await;
    }
}

/// Starts the server with synchronous commits, so that a crash of the server loses no acknowledged commit. Without fsync,
/// since the machine itself does not crash.
async fn start(folder: &Path) -> Cluster {
    let env = environment();
    let mut options = ClusterOptions::throwaway(folder.to_owned());
    options.run_as = env.get("APP_DEV_PG_USER").cloned();
    options.settings.push(("synchronous_commit".to_owned(), "on".to_owned()));
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
