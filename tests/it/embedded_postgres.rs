//! The embedded PostgreSQL: real servers are started, adopted, killed, stopped and erased.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use embedded_postgres::{
    Binaries, Cluster, ClusterOptions, EmbeddedError, Stopped, find_binaries, reset, stop_running,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    cluster::{cluster, connect, environment},
    pgbouncer::{POOL_SIZE, PgBouncer},
    scratch::Scratch,
};

fn binaries() -> Binaries {
    find_binaries(&environment()).unwrap()
}

async fn start(root: &Path) -> Result<Cluster, EmbeddedError> {
    Cluster::start_or_adopt(binaries(), ClusterOptions::throwaway(root.to_owned())).await
}

/// The first column of the first row of `sql`.
async fn ask(url: &str, sql: &str) -> String {
    let client = connect(url).await.unwrap();
    let answer = client.simple_query(sql).await.unwrap();
    let row = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

#[tokio::test]
async fn a_server_starts_from_nothing_and_has_pgvector() {
    let folder = Scratch::new("fresh");
    let cluster = start(folder.path()).await.unwrap();
    assert!(!cluster.was_adopted);
    assert!(cluster.socket_dir().is_some());
    let url = cluster.url("postgres");
    assert_eq!(ask(&url, "CREATE EXTENSION vector; SELECT '[3,4]'::vector <-> '[0,0]'").await, "5");
    assert_eq!(ask(&url, "SELECT lower('ÄÖÜ') || to_tsvector('simple', 'GRÖSSE')").await, "äöü'grösse':1");
    assert_eq!(ask(&url, "SHOW server_encoding").await, "UTF8");
    assert_eq!(ask(&url, "SHOW timezone").await, "UTC");
}

#[tokio::test]
async fn a_second_start_adopts_the_running_server() {
    let folder = Scratch::new("adopted");
    let first = start(folder.path()).await.unwrap();
    let second = start(folder.path()).await.unwrap();
    assert!(second.was_adopted);
    assert_eq!((second.pid(), second.url("db")), (first.pid(), first.url("db")));
    assert_eq!(ask(&second.url("postgres"), "SELECT 1").await, "1");
}

#[tokio::test]
async fn of_two_simultaneous_starts_one_adopts_the_server_of_the_other() {
    let folder = Scratch::new("race");
    let (one, other) = tokio::join!(start(folder.path()), start(folder.path()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.was_adopted, other.was_adopted);
    assert_eq!(one.pid(), other.pid());
}

#[tokio::test]
async fn a_killed_server_comes_back_with_all_committed_data() {
    let folder = Scratch::new("killed");
    let options = || ClusterOptions::durable(folder.path().to_owned());
    let first = Cluster::start_or_adopt(binaries(), options()).await.unwrap();
    ask(&first.url("postgres"), "CREATE TABLE kept AS SELECT 42 AS n").await;
    kill_process(Pid::from_raw(first.pid()).unwrap(), Signal::KILL).unwrap();
    let second = Cluster::start_or_adopt(binaries(), options()).await.unwrap();
    assert!(!second.was_adopted);
    assert_eq!(ask(&second.url("postgres"), "SELECT n FROM kept").await, "42");
}

#[tokio::test]
async fn a_server_runs_until_its_last_user_stops_it() {
    let folder = Scratch::new("shared");
    let first = start(folder.path()).await.unwrap();
    let second = start(folder.path()).await.unwrap();
    assert_eq!(first.stop().await.unwrap(), Stopped::InUse);
    assert_eq!(ask(&second.url("postgres"), "SELECT 1").await, "1");
    let url = second.url("postgres");
    assert_eq!(second.stop().await.unwrap(), Stopped::Ended);
    assert!(connect(&url).await.is_err());
    assert_eq!(stop_running(folder.path()).await.unwrap(), Stopped::WasNotRunning);
}

#[tokio::test]
async fn stop_running_stops_the_server_even_while_it_has_users() {
    let folder = Scratch::new("stopped");
    assert_eq!(stop_running(folder.path()).await.unwrap(), Stopped::WasNotRunning);
    let cluster = start(folder.path()).await.unwrap();
    let _client = connect(&cluster.url("postgres")).await.unwrap();
    assert_eq!(stop_running(folder.path()).await.unwrap(), Stopped::Ended);
    assert!(!start(folder.path()).await.unwrap().was_adopted);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_served_over_tcp_with_the_password() {
    let folder = Scratch::new(&"long".repeat(30));
    let cluster = start(folder.path()).await.unwrap();
    assert_eq!(cluster.socket_dir(), None);
    assert!(cluster.url("postgres").contains("@127.0.0.1:"));
    assert_eq!(ask(&cluster.url("postgres"), "SELECT 1").await, "1");
    assert_eq!(start(folder.path()).await.unwrap().port(), cluster.port());
    assert!(connect(&format!("postgresql://app:guessed@127.0.0.1:{}/postgres", cluster.port())).await.is_err());
}

#[tokio::test]
async fn data_of_another_major_version_is_refused() {
    let folder = Scratch::new("major");
    start(folder.path()).await.unwrap().stop().await.unwrap();
    fs::write(folder.path().join("cluster/data/PG_VERSION"), "9\n").unwrap();
    let error = start(folder.path()).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::OtherMajor { found, .. } if found == "9"), "{error}");
    assert!(error.to_string().contains("app dev reset"));
}

#[tokio::test]
async fn a_pid_file_with_the_pid_of_another_process_does_not_block_a_start() {
    let folder = Scratch::new("recycled");
    start(folder.path()).await.unwrap().stop().await.unwrap();
    let data = folder.path().join("cluster/data");
    let ourselves = std::process::id();
    fs::write(data.join("postmaster.pid"), format!("{ourselves}\n{}\n1\n5432\n/\n\n1 1\nready\n", data.display()))
        .unwrap();
    assert_eq!(stop_running(folder.path()).await.unwrap(), Stopped::WasNotRunning);
    assert_ne!(start(folder.path()).await.unwrap().pid().unsigned_abs(), ourselves);
}

#[tokio::test]
async fn an_interrupted_setup_starts_over() {
    let folder = Scratch::new("half");
    start(folder.path()).await.unwrap().stop().await.unwrap();
    let half = folder.path().join("cluster/unfinished-1");
    fs::rename(folder.path().join("cluster/data"), &half).unwrap();
    let cluster = start(folder.path()).await.unwrap();
    assert_eq!(ask(&cluster.url("postgres"), "SELECT 1").await, "1");
    assert!(!half.exists());
}

#[tokio::test]
async fn a_failed_start_shows_the_end_of_the_log_and_leaves_nothing_running() {
    let folder = Scratch::new("failing");
    let mut options = ClusterOptions::throwaway(folder.path().to_owned());
    options.settings.push(("shared_buffers".to_owned(), "plenty".to_owned()));
    let error = Cluster::start_or_adopt(binaries(), options).await.unwrap_err().to_string();
    assert!(error.contains("shared_buffers") && error.contains("postgres.log"), "{error}");
    assert_eq!(stop_running(folder.path()).await.unwrap(), Stopped::WasNotRunning);
}

#[tokio::test]
async fn reset_erases_a_server_and_nothing_else() {
    let folder = Scratch::new("reset");
    let cluster = start(folder.path()).await.unwrap();
    assert!(reset(folder.path()).await.unwrap());
    assert!(!folder.path().exists());
    assert!(connect(&cluster.url("postgres")).await.is_err());
    assert!(!reset(folder.path()).await.unwrap());

    fs::create_dir(folder.path()).unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "").unwrap();
    assert!(matches!(reset(folder.path()).await, Err(EmbeddedError::NotOurs { .. })));
    assert!(matches!(start(folder.path()).await, Err(EmbeddedError::NotOurs { .. })));
    assert!(precious.exists());
}

#[tokio::test]
async fn a_symlink_or_a_world_writable_folder_is_refused() {
    let (target, link) = (Scratch::new("target"), Scratch::new("link"));
    fs::create_dir(target.path()).unwrap();
    std::os::unix::fs::symlink(target.path(), link.path()).unwrap();
    let refused = start(link.path()).await.unwrap_err();
    fs::remove_file(link.path()).unwrap();
    assert!(matches!(refused, EmbeddedError::NotOurs { .. }), "{refused}");

    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = start(target.path()).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::NotOurs { .. }), "{refused}");
}

#[tokio::test]
async fn the_servers_files_are_private_and_not_owned_by_root() {
    let folder = Scratch::new("private");
    let cluster = start(folder.path()).await.unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("cluster"), mode("pgpass"), mode("postgres.log")), (0o700, 0o600, 0o600));
    assert_ne!(fs::metadata(folder.path().join("cluster/data")).unwrap().uid(), 0);
    let opened =
        Command::new("sh").arg("-c").arg(format!("{} -Atc 'SELECT 7'", cluster.psql_hint("postgres"))).output();
    assert_eq!(String::from_utf8(opened.unwrap().stdout).unwrap().trim(), "7");
}

#[tokio::test]
async fn all_tests_of_a_run_share_one_server() {
    let shared = cluster().await;
    assert_eq!(ask(&shared.url("postgres"), "SHOW max_connections").await, "200");
    assert_eq!(ask(&shared.url("postgres"), "SHOW fsync").await, "off");
    assert!(start(shared.folder()).await.unwrap().was_adopted);
}

#[tokio::test]
async fn the_pooler_shares_few_server_connections_and_survives_a_restart() {
    let cluster = cluster().await;
    let mut pooler = PgBouncer::start(cluster, "postgres");
    let mut clients = Vec::new();
    let mut servers = HashSet::new();
    for _ in 0..2 * POOL_SIZE {
        clients.push(connect(pooler.url()).await.unwrap());
        servers.insert(ask(pooler.url(), "SELECT pg_backend_pid()").await);
    }
    assert!(servers.len() <= POOL_SIZE, "{servers:?}");
    pooler.restart();
    assert!(clients[0].simple_query("SELECT 1").await.is_err());
    assert_eq!(ask(pooler.url(), "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_replica_has_what_the_primary_commits_and_can_take_its_place() {
    let (first, second) = (Scratch::new("primary"), Scratch::new("replica"));
    let primary = start(first.path()).await.unwrap();
    let mut options = ClusterOptions::throwaway(second.path().to_owned());
    options.replica_of = Some(primary.as_primary());
    let replica = Cluster::start_or_adopt(binaries(), options).await.unwrap();
    let (old, new) = (primary.url("postgres"), replica.url("postgres"));
    assert_eq!(ask(&new, "SELECT pg_is_in_recovery()").await, "t");
    // A commit returns when the replica has applied it.
    ask(&old, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    ask(&old, "SELECT pg_reload_conf()").await;
    let client = connect(&old).await.unwrap();
    while ask(&old, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await != "1" {}
    client.batch_execute("SET synchronous_commit = 'remote_apply'; CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    assert_eq!(ask(&new, "SELECT n FROM kept").await, "7");
    assert_eq!(primary.stop().await.unwrap(), Stopped::Ended);
    assert_eq!(ask(&new, "SELECT pg_promote(true)").await, "t");
    assert_eq!(ask(&new, "CREATE TABLE more (n int); SELECT count(*) FROM more").await, "0");
}
