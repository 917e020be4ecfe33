//! The PostgreSQL server that all tests of a run share.

use std::{collections::HashMap, fs, path::Path};

use client::dev_dir::checkout_folder;
use embedded_postgres::{Cluster, ClusterOptions, find_binaries};
use tokio::sync::OnceCell;

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

/// The shared server. nextest runs each test in its own process: the first one starts the server, the others adopt it, and
/// scripts/test stops it. A run after a crash adopts a server that is still running.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(start).await
}

async fn start() -> Cluster {
    let env = environment();
    let is_root = rustix::process::geteuid().is_root();
    let folder = checkout_folder(&|name| env.get(name).cloned(), Path::new(CHECKOUT), "test", is_root);
    let mut options = ClusterOptions::throwaway(folder);
    options.run_as = env.get("APP_DEV_PG_USER").cloned();
    let cluster = Cluster::start_or_adopt(find_binaries(&env).unwrap(), options).await.unwrap();
    if !cluster.was_adopted {
        // Tells scripts/test what to stop.
        let cache = Path::new(CHECKOUT).join(".cache");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("test-postgres"), cluster.folder().as_os_str().as_encoded_bytes()).unwrap();
    }
    cluster
}

/// The environment of the test run.
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Opens a connection that ends with the test's runtime.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
