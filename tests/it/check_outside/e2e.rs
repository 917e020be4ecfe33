//! The end-to-end check, and each place where it can fail.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    check::{Checked, check},
    support::{
        cluster::{cluster, environment},
        db::TestDb,
        fleet::{App, Fleet, PATIENCE},
        pgbouncer::PgBouncer,
        scratch::Scratch,
    },
};

/// What a canary may leave, by table.
const ROWS: &str = "SELECT 'documents', count(*) FROM upload_pipeline.documents
     UNION ALL SELECT 'upload_jobs', count(*) FROM upload_pipeline.upload_jobs
     UNION ALL SELECT 'document_chunks', count(*) FROM upload_pipeline.document_chunks
     UNION ALL SELECT 'events', count(*) FROM upload_pipeline.events
     UNION ALL SELECT 'uploads', count(*) FROM upload_pipeline.uploads
     UNION ALL SELECT 'api_keys', count(*) FROM upload_pipeline.api_keys
     UNION ALL SELECT 'idempotency_keys', count(*) FROM upload_pipeline.idempotency_keys
     UNION ALL SELECT 'storage_deletions', count(*) FROM upload_pipeline.storage_deletions";

/// The tables of a test's database that are not empty; only a canary writes there.
pub async fn rows_left(db: &TestDb) -> Vec<String> {
    db.rows(ROWS).await.into_iter().filter(|row| row[1] != "0").map(|row| row.join(": ")).collect()
}

/// The files below a folder.
pub fn files_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files_in(&path) } else { vec![path.display().to_string()] }
        })
        .collect()
}

/// Neither row nor object is left.
pub async fn assert_nothing_left(db: &TestDb, fleet: &Fleet) {
    assert_eq!(rows_left(db).await, [""; 0]);
    assert_eq!(files_in(&fleet.storage()), [""; 0]);
}

fn send(fleet: &Fleet, root: &str) -> Checked {
    check(fleet, &["--only", "e2e", "--strict", "--api-url", root])
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_transaction_pooler_a_document_is_found_and_nothing_is_left() {
    let db = TestDb::new().await;
    let name = db.url.rsplit_once('/').unwrap().1.to_owned();
    let pooler = PgBouncer::start(cluster().await, &name);
    let mut fleet = Fleet::new(pooler.url(), &db.url);
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let checked = send(&fleet, &client.root);
    assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
    assert!(checked.one("e2e.document")["observed"].as_str().unwrap().contains("found after"));
    assert_nothing_left(&db, &fleet).await;
    // The address may come from APP_URL, and the whole of `app check` goes with it.
    fleet.set("APP_URL", &client.root);
    let checked = check(&fleet, &["--e2e"]);
    assert_eq!(checked.one("e2e.document")["status"], "passed", "{:#}", checked.report);
    assert_nothing_left(&db, &fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_token_will_do_and_its_document_is_deleted() {
    let db = TestDb::new().await;
    let mut fleet = Fleet::new(&db.url, &db.url);
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    fleet.unset("DATABASE_URL");
    fleet.unset("DIRECT_URL");
    fleet.set("APP_TOKEN", &client.token);
    let checked = send(&fleet, &client.root);
    assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
    assert_eq!(db.value("SELECT count(*) FROM upload_pipeline.documents").await, "0");
}

/// For an `app dev` in a folder of its own; nothing else is set up.
fn dev_fleet(data: &Scratch) -> Fleet {
    let mut fleet = Fleet::new("", "");
    for name in ["DATABASE_URL", "DIRECT_URL", "STORAGE_URL", "SUPABASE_JWT_SECRET", "ENVIRONMENT"] {
        fleet.unset(name);
    }
    fleet.set("APP_DEV_DIR", data.path().to_str().unwrap());
    let env = environment();
    for name in ["APP_PG_BIN", "APP_CACHE_DIR", "APP_DEV_PG_USER", "HOME"] {
        if let Some(value) = env.get(name) {
            fleet.set(name, value);
        }
    }
    fleet
}

/// An `app dev` that has begun to serve.
async fn app_dev(data: &Scratch) -> (Fleet, App) {
    let fleet = dev_fleet(data);
    let dev = fleet.start(&["dev"]);
    let deadline = Instant::now() + PATIENCE;
    while !data.path().join("token").exists() {
        assert!(Instant::now() < deadline, "app dev did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (fleet, dev)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_app_dev_is_found_and_passes() {
    let data = Scratch::new("dev");
    let (mut fleet, dev) = app_dev(&data).await;
    // Its own samples are taken in at the same time.
    fleet.set("E2E_TIMEOUT", "300");
    let checked = check(&fleet, &["--e2e"]);
    assert_eq!(checked.one("e2e.document")["status"], "passed", "{:#}", checked.report);
    assert!(checked.status.success(), "{:#}", checked.report);
    assert_eq!(dev.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn app_dev_stops_when_told_to_though_it_takes_its_samples_in() {
    let data = Scratch::new("dev");
    let (_fleet, dev) = app_dev(&data).await;
    assert_eq!(dev.stop(), 0, "it waited for an API that had stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_dev_ends_where_its_port_is_taken() {
    let data = Scratch::new("dev");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut fleet = dev_fleet(&data);
    fleet.set("API_PORT", &taken.local_addr().unwrap().port().to_string());
    let mut dev = fleet.start(&["dev"]);
    assert_eq!(dev.wait_for_exit().await, 1, "{:?}", dev.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_on_another_database_refuses_the_key_that_was_made_for_it() {
    let (theirs, ours) = (TestDb::new().await, TestDb::new().await);
    let (_api, client) = Fleet::new(&theirs.url, &theirs.url).api();
    let fleet = Fleet::new(&ours.url, &ours.url);
    let checked = send(&fleet, &client.root);
    let finding = checked.requires("e2e.document/refused");
    assert!(finding["fix"].as_str().unwrap().contains("DATABASE_URL"), "{finding}");
    assert_nothing_left(&ours, &fleet).await;
    send(&fleet, "http://127.0.0.1:1").requires("e2e.document/unreachable");
    check(&fleet, &["--only", "e2e"]).requires("e2e.document/not_configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_or_is_not_done_in_time_or_not_found_is_told_apart() {
    for (fault, cause) in [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'refused by a test'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON upload_pipeline.document_chunks FOR EACH ROW EXECUTE FUNCTION refuse()",
            "e2e.document/failed",
        ),
        (
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               DELETE FROM upload_pipeline.document_chunks WHERE document_id = NEW.document_id; RETURN NULL; END $$;
             CREATE TRIGGER lose AFTER UPDATE ON upload_pipeline.upload_jobs FOR EACH ROW
               WHEN (NEW.status = 'complete') EXECUTE FUNCTION lose()",
            "e2e.document/not_found_by_search",
        ),
    ] {
        let db = TestDb::new().await;
        let fleet = Fleet::new(&db.url, &db.url);
        let (_api, client) = fleet.api();
        let _worker = fleet.worker();
        db.run(fault).await;
        send(&fleet, &client.root).requires(cause);
        assert_nothing_left(&db, &fleet).await;
    }
    let db = TestDb::new().await;
    let mut fleet = Fleet::new(&db.url, &db.url);
    fleet.set("E2E_TIMEOUT", "1");
    let (_api, client) = fleet.api();
    let checked = send(&fleet, &client.root);
    let finding = checked.requires("e2e.document/not_complete_in_time");
    assert!(finding["observed"].as_str().unwrap().contains("uploaded (queued); no worker is alive"), "{finding}");
    assert_nothing_left(&db, &fleet).await;
}
