//! `app check --e2e`, ended early: after INT or TERM it leaves nothing, and after KILL the rest is swept later.

use std::time::{Duration, Instant};

use config::StorageLocation;
use housekeeping::canaries::{Store, sweep_canaries};
use providers::object_storage::ObjectStorage;

use super::e2e::{assert_nothing_left, files_in, rows_left};
use crate::{
    check::check,
    support::{
        db::TestDb,
        fleet::{App, Fleet, PATIENCE},
    },
};

/// Slows down inserts into `table`, so that the test can interrupt the check at this moment.
fn slow(table: &str, seconds: u32) -> String {
    format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON upload_pipeline.{table} FOR EACH ROW EXECUTE FUNCTION slow()"
    )
}

/// A moment at which the check is interrupted.
struct Moment {
    name: &'static str,
    /// The table whose inserts are slowed down, and the seconds of each.
    slowed: Option<(&'static str, u32)>,
    with_worker: bool,
    /// The query that is true at this moment.
    shows: &'static str,
}

const JOB_WAITS: &str = "SELECT EXISTS (SELECT FROM upload_pipeline.upload_jobs WHERE state = 'queued')";

const MOMENTS: [Moment; 6] = [
    Moment {
        name: "the key is made",
        slowed: Some(("uploads", 1)),
        with_worker: true,
        shows: "SELECT EXISTS (SELECT FROM upload_pipeline.api_keys)",
    },
    Moment {
        name: "the bytes are stored",
        slowed: Some(("documents", 1)),
        with_worker: true,
        shows: "SELECT EXISTS (SELECT FROM upload_pipeline.uploads) AND NOT EXISTS (SELECT FROM upload_pipeline.documents)",
    },
    Moment { name: "the job waits", slowed: None, with_worker: false, shows: JOB_WAITS },
    Moment {
        name: "a worker has the job in hand",
        slowed: Some(("document_chunks", 2)),
        with_worker: true,
        shows: "SELECT EXISTS (SELECT FROM upload_pipeline.upload_jobs WHERE state = 'working' AND status = 'parse_validated')",
    },
    Moment {
        name: "a worker has the job in hand for longer than is waited for",
        slowed: Some(("document_chunks", 12)),
        with_worker: true,
        shows: "SELECT EXISTS (SELECT FROM upload_pipeline.upload_jobs WHERE state = 'working' AND status = 'parse_validated')",
    },
    Moment {
        name: "the parsed text is stored",
        slowed: None,
        with_worker: true,
        shows: "SELECT EXISTS (SELECT FROM upload_pipeline.documents WHERE parsed_path <> '')",
    },
];

async fn wait_until(db: &TestDb, sql: &str) {
    let deadline = Instant::now() + PATIENCE;
    while db.value(sql).await != "t" {
        assert!(Instant::now() < deadline, "it never came to this: {sql}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn wait_for_exit(check: &mut App) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(code) = check.exit_code() {
            return code;
        }
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_by_int_or_term_at_any_moment_it_leaves_no_row_and_no_object() {
    for (n, Moment { name, slowed, with_worker, shows }) in MOMENTS.into_iter().enumerate() {
        let db = TestDb::new().await;
        let fleet = Fleet::new(&db.url, &db.url);
        let (_api, client) = fleet.api();
        let _worker = with_worker.then(|| fleet.worker());
        if let Some((table, seconds)) = slowed {
            db.run(&slow(table, seconds)).await;
        }
        let mut check = fleet.start(&["check", "--only", "e2e", "--api-url", &client.root]);
        wait_until(&db, shows).await;
        check.signal(if n % 2 == 0 { "TERM" } else { "INT" });
        assert_eq!(wait_for_exit(&mut check), 1, "when {name}");
        let left = (rows_left(&db).await, files_in(&fleet.storage()));
        assert!(left.0.is_empty() && left.1.is_empty(), "when {name}: {left:?}");
    }
}

/// A check that was killed while its job waited, ten minutes ago.
async fn killed() -> (TestDb, Fleet) {
    let db = TestDb::new().await;
    let fleet = Fleet::new(&db.url, &db.url);
    let (_api, client) = fleet.api();
    let check = fleet.start(&["check", "--only", "e2e", "--api-url", &client.root]);
    wait_until(&db, JOB_WAITS).await;
    check.kill();
    assert!(!rows_left(&db).await.is_empty() && !files_in(&fleet.storage()).is_empty());
    (db, fleet)
}

async fn age(db: &TestDb) {
    for table in ["documents", "uploads", "api_keys"] {
        db.run(&format!("UPDATE upload_pipeline.{table} SET created_at = created_at - interval '11 minutes'")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_check_has_left_is_swept_by_the_next_once_it_is_old() {
    let (db, fleet) = killed().await;
    let run_check = || check(&fleet, &["--only", "storage"]);
    assert!(run_check().status.success());
    assert!(!rows_left(&db).await.is_empty(), "another check may still be using it");
    age(&db).await;
    assert!(run_check().status.success());
    assert_nothing_left(&db, &fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_check_has_left_is_swept_by_a_worker_once_it_is_old() {
    let (db, fleet) = killed().await;
    let store = ObjectStorage::open(&StorageLocation::Folder(fleet.storage()), None).unwrap();
    assert_eq!(sweep_canaries(&db.db, &store, Store::Production).await.unwrap(), 0);
    age(&db).await;
    assert!(sweep_canaries(&db.db, &store, Store::Production).await.unwrap() > 0);
    assert_nothing_left(&db, &fleet).await;
}
