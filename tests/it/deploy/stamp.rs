//! `app migrate --move-stamp` moves a database to another environment.

use store::migrations::{MigrateError, get_environment_stamp, migrate};
use tokio::runtime::Handle;

use crate::support::{
    db::{TestDb, target},
    fleet::Fleet,
};

async fn move_stamp(test: &TestDb, from: &str, to: &str) -> Result<(), MigrateError> {
    migrate(&target(&test.url), &Handle::current(), to, Some(from), "the test").await.map(drop)
}

const MOVES: &str = "SELECT moved_from, moved_to, moved_by FROM upload_pipeline.environment_moves ORDER BY move_id";

#[tokio::test]
async fn a_move_is_recorded_and_refused_the_second_time() {
    let test = TestDb::new().await;
    move_stamp(&test, "development", "staging").await.unwrap();
    assert_eq!(get_environment_stamp(&test.db).await.unwrap().as_deref(), Some("staging"));
    let again = move_stamp(&test, "development", "staging").await.unwrap_err();
    assert!(matches!(&again, MigrateError::OtherStamp { stamped, .. } if stamped == "staging"), "{again}");
    let nowhere = move_stamp(&test, "staging", "staging").await.unwrap_err();
    assert!(matches!(nowhere, MigrateError::OtherStamp { .. }), "{nowhere}");
    let role = test.value("SELECT current_user").await;
    assert_eq!(test.rows(MOVES).await, [["development", "staging", &format!("the test, as {role}")]]);
}

#[tokio::test]
async fn of_two_simultaneous_moves_one_succeeds() {
    let test = TestDb::new().await;
    let (a, b) = tokio::join!(move_stamp(&test, "development", "staging"), move_stamp(&test, "development", "staging"));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(test.rows(MOVES).await.len(), 1);
}

#[tokio::test]
async fn moving_the_stamp_of_an_unstamped_database_is_refused() {
    let test = TestDb::empty().await;
    let refused = move_stamp(&test, "production", "staging").await.unwrap_err();
    assert!(matches!(refused, MigrateError::NoStamp { .. }), "{refused}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'upload_pipeline'";
    assert_eq!(test.value(schemas).await, "0", "a refusal leaves nothing behind");
}

#[tokio::test]
async fn the_stamp_is_not_moved_while_workers_use_the_database() {
    let test = TestDb::new().await;
    let worker = |seen: &str| {
        format!(
            "INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots, last_seen_at)
             VALUES (gen_random_uuid(), 'h', 'c', 'b', '1', 'development', 4, {seen})"
        )
    };
    test.run(&worker("now()")).await;
    let refused = move_stamp(&test, "development", "staging").await.unwrap_err();
    assert!(matches!(refused, MigrateError::InUse { workers: 1, .. }), "{refused}");
    assert_eq!(get_environment_stamp(&test.db).await.unwrap().as_deref(), Some("development"));
    test.run("DELETE FROM upload_pipeline.workers").await;
    // A copied database still has the rows of the original's workers.
    test.run(&worker("now() - interval '2 minutes'")).await;
    move_stamp(&test, "development", "staging").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_moves_the_stamp_of_an_older_copy_and_reports_it() {
    let test = TestDb::new().await;
    // A database as an older build left it.
    test.run(
        "DROP TABLE upload_pipeline.embed_calls, upload_pipeline.provider_rates, upload_pipeline.usage_days;
         ALTER TABLE upload_pipeline.provider_calls DROP COLUMN model, DROP COLUMN pages, DROP COLUMN billed_pages,
           DROP COLUMN day, DROP COLUMN reserved_cents, DROP COLUMN cost_cents;
         ALTER TABLE upload_pipeline.active_model DROP COLUMN provider;
         DROP INDEX upload_pipeline.ix_document_chunks_sha;
         DELETE FROM upload_pipeline.schema_history WHERE version >= 14",
    )
    .await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("ENVIRONMENT", "staging");
    let (status, printed, log) = fleet.run(&["migrate", "--move-stamp", "development"]);
    assert_eq!(status.code(), Some(0), "{printed}\n{log}");
    assert!(printed.contains("moved the stamp of this database from development to staging"), "{printed}");
    assert!(log.contains("the stamp of this database was moved from development to staging"), "{log}");
    let moves = test.rows(MOVES).await;
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert!(moves[0][2].contains("(commit "), "the move does not name the build: {moves:?}");

    let (status, printed, _) = fleet.run(&["migrate"]);
    assert_eq!(status.code(), Some(0), "{printed}");
    let (status, _, printed) = fleet.run(&["migrate", "--move-stamp", "development"]);
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("the stamp of this database is staging"), "{printed}");
    let (status, _, printed) = fleet.run(&["migrate", "--move-stamp", "prod"]);
    assert_eq!(status.code(), Some(2), "{printed}");
    assert!(printed.contains("production"), "the valid environments are not listed: {printed}");
}
