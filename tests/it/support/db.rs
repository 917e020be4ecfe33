//! A database for each test, cloned from a migrated template.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

use pg::{ConnectTarget, Db, PoolOptions, url::DatabaseUrl};
use store::migrations;
use tokio::runtime::Handle;
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

use super::cluster::{cluster, connect};

/// A test's own database; dropped with it.
pub struct TestDb {
    /// A pool as in the real processes.
    pub db: Db,
    /// The URL of a direct connection.
    pub url: String,
    name: String,
    client: Client,
}

/// The connection target of a URL.
pub fn target(url: &str) -> ConnectTarget {
    ConnectTarget::new(DatabaseUrl::parse(url).unwrap(), Duration::from_secs(10)).unwrap()
}

impl TestDb {
    /// A database with the schema of this build.
    pub async fn new() -> Self {
        let template = ensure_template().await;
        Self::create(&format!("TEMPLATE {template}")).await
    }

    /// An empty database.
    pub async fn empty() -> Self {
        Self::create("").await
    }

    async fn create(how: &str) -> Self {
        let name = format!("t_{}", Uuid::new_v4().simple());
        let admin = connect(&cluster().await.url("postgres")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} {how}")).await.unwrap();
        let url = cluster().await.url(&name);
        let client = connect(&url).await.unwrap();
        let db = Db::open(target(&url), PoolOptions::default()).unwrap();
        Self { db, url, name, client }
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    }

    /// Runs statements that the server must refuse; returns its message.
    pub async fn refusal(&self, sql: &str) -> String {
        let error =
            self.client.batch_execute(sql).await.expect_err("the database accepted statements that it must refuse");
        error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
    }

    /// All rows of a query, each as its columns' text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let messages = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect())
                }
                _ => None,
            })
            .collect()
    }

    /// The value of a query with one row and one column.
    pub async fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql} gave {rows:?}");
        rows[0][0].clone()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let name = self.name.clone();
        self.db.close();
        // Uses a new runtime, since the test's runtime may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&cluster_url().await).await.unwrap();
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
            });
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("couldn't drop the test's database");
        }
    }
}

async fn cluster_url() -> String {
    cluster().await.url("postgres")
}

/// The name of the migrated template database. The first test of a run creates it, once for each set of migrations.
async fn ensure_template() -> String {
    let mut hasher = DefaultHasher::new();
    for folder in ["migrations", "crates/store/src"] {
        let mut files: Vec<_> = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "sql"))
            .collect();
        files.sort();
        for file in files {
            std::fs::read(&file).unwrap().hash(&mut hasher);
        }
    }
    let name = format!("template_{:016x}", hasher.finish());
    let admin = connect(&cluster_url().await).await.unwrap();
    admin.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
    let found = admin.simple_query(&format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")).await.unwrap();
    if !found.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}_new WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}_new")).await.unwrap();
        let url = cluster().await.url(&format!("{name}_new"));
        migrations::migrate(&target(&url), &Handle::current(), "development", None, "test").await.unwrap();
        // Ends the migration's sessions, since RENAME fails while the database has any.
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}_new'"
            ))
            .await
            .unwrap();
        admin.batch_execute(&format!("ALTER DATABASE {name}_new WITH ALLOW_CONNECTIONS false")).await.unwrap();
        admin.batch_execute(&format!("ALTER DATABASE {name}_new RENAME TO {name}")).await.unwrap();
    }
    admin.batch_execute("SELECT pg_advisory_unlock(42)").await.unwrap();
    name
}
