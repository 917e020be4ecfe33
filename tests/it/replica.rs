//! `READ_DATABASE_URL`: searches and lists at a streaming replica, and what was written is seen within a bound.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::check;
use crate::support::{
    cluster::connect,
    fleet::{Client, Fleet, PATIENCE},
};
use crate::torture::{
    failover::wait_until_streaming,
    stack::{DATABASE, Server, rows},
};

/// `READ_MAX_LAG`, in seconds.
const MAX_LAG: &str = "0.5";

/// A primary with its replica, and an API in front of both.
struct World {
    primary: Server,
    replica: Server,
    fleet: Fleet,
}

impl World {
    async fn start() -> Self {
        let primary = Server::start(None).await;
        let admin = connect(&primary.cluster.url("postgres")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let replica = Server::start(Some(&primary.cluster)).await;
        wait_until_streaming(&primary.cluster).await;
        let url = primary.cluster.url(DATABASE);
        let mut fleet = Fleet::new(&url, &url);
        assert!(fleet.run(&["migrate"]).0.success());
        fleet.set("READ_DATABASE_URL", &replica.cluster.url(DATABASE));
        fleet.set("READ_MAX_LAG", MAX_LAG);
        Self { primary, replica, fleet }
    }

    /// How often the replica has looked at documents.
    async fn reads(&self) -> i64 {
        let sql = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables WHERE relname = 'documents'";
        rows(&self.replica.cluster.url(DATABASE), sql).await[0][0].parse().unwrap()
    }
}

async fn listed(client: &Client) -> Vec<Value> {
    let (status, page) = client.get("/documents").await;
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().iter().map(|item| item["filename"].clone()).collect()
}

/// Waits until the list has so many documents; how long that took.
async fn wait_for_documents(client: &Client, wanted: usize) -> Duration {
    let began = Instant::now();
    while listed(client).await.len() < wanted {
        assert!(began.elapsed() < PATIENCE, "{:?}", listed(client).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_lists_go_to_the_replica_and_see_what_was_written_within_the_bound_whatever_happens_to_it() {
    let world = World::start().await;
    let (mut api, client) = world.fleet.api();
    let _worker = world.fleet.worker();
    api.wait_for("searches and lists go to the replica");
    let job = client.upload_text("lighthouse", "# Lamp\n\nThe lamp turns once in twelve seconds.").await;
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    wait_for_documents(&client, 1).await;

    // Lists and searches are read there.
    let before = world.reads().await;
    let began = Instant::now();
    while world.reads().await < before + 20 {
        assert!(began.elapsed() < PATIENCE, "the replica was not read");
        listed(&client).await;
        let (status, found) = client.post("/search", json!({ "query": "lamp" })).await;
        assert_eq!((status, &found["hits"][0]["filename"]), (200, &json!("lighthouse.md")), "{found}");
    }

    // It stands still: what was written is seen all the same, from the primary.
    rows(&world.replica.cluster.url(DATABASE), "SELECT pg_wal_replay_pause()").await;
    client.upload_text("written while it stands still", "# Sea\n\nA heron fishes.").await;
    let bound = Duration::from_secs_f64(MAX_LAG.parse().unwrap());
    let waited = wait_for_documents(&client, 2).await;
    assert!(waited < bound + Duration::from_millis(500), "{waited:?}");
    api.wait_for("the replica of READ_DATABASE_URL is behind");
    let as_it_was = rows(&world.replica.cluster.url(DATABASE), "SELECT count(*) FROM upload_pipeline.documents").await;
    assert_eq!(as_it_was, [["1"]], "it does stand still");

    let told = check(&world.fleet, &["--only", "db.replica", "--strict"]);
    told.requires("db.replica/behind");

    // It goes on, and is read again.
    rows(&world.replica.cluster.url(DATABASE), "SELECT pg_wal_replay_resume()").await;
    api.wait_for("searches and lists go to the replica");
    assert_eq!(listed(&client).await.len(), 2);
    let told = check(&world.fleet, &["--only", "db.replica", "--strict"]);
    assert!(told.status.success(), "{:#}", told.report);

    // It crashes: no request fails.
    world.replica.crash().await;
    let began = Instant::now();
    while began.elapsed() < 2 * bound {
        assert_eq!(listed(&client).await.len(), 2);
        let (status, found) = client.post("/search", json!({ "query": "lamp" })).await;
        assert_eq!((status, &found["hits"][0]["filename"]), (200, &json!("lighthouse.md")), "{found}");
    }
    api.wait_for("is not read, but DATABASE_URL in its place");
    check(&world.fleet, &["--only", "db.replica", "--strict"]).requires("db.replica/unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_replica_of_the_database_is_never_read() {
    let mut world = World::start().await;
    // The primary itself: a mistake of an operator without a replica.
    world.fleet.set("READ_DATABASE_URL", &world.primary.cluster.url(DATABASE));
    let (mut api, client) = world.fleet.api();
    api.wait_for("it is no replica, but takes writes itself");
    check(&world.fleet, &["--only", "db.replica"]).requires("db.replica/not_ours");
    assert!(listed(&client).await.is_empty());
    // A replica, but another database of it.
    rows(&world.primary.cluster.url("postgres"), "CREATE DATABASE another").await;
    world.fleet.set("READ_DATABASE_URL", &world.replica.cluster.url("another"));
    let (mut api, client) = world.fleet.api();
    api.wait_for("it names another database than DATABASE_URL");
    client.upload_text("mine", "# Mine\n\nand only mine").await;
    assert_eq!(listed(&client).await.len(), 1);
}
