//! Moving the stamp of a database on purpose.

use store::migrations::{MigrateError, get_environment_stamp, migrate_and_move_stamp};
use tokio::runtime::Handle;

use crate::support::{
    db::{TestDb, target},
    fleet::Fleet,
};

async fn move_stamp(test: &TestDb, from: &str, to: &str) -> Result<(), MigrateError> {
    migrate_and_move_stamp(&target(&test.url), &Handle::current(), from, to, "the test").await.map(drop)
}

const MOVES: &str = "SELECT moved_from, moved_to, moved_by FROM upload_pipeline.environment_moves ORDER BY move_id";

#[tokio::test]
async fn a_move_is_made_once_written_down_and_refused_from_then_on() {
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
async fn two_moves_at_once_are_one_move() {
    let test = TestDb::new().await;
    let (a, b) = tokio::join!(move_stamp(&test, "development", "staging"), move_stamp(&test, "development", "staging"));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(test.rows(MOVES).await.len(), 1);
}

#[tokio::test]
async fn a_database_without_a_stamp_has_none_to_move() {
    let test = TestDb::empty().await;
    let refused = move_stamp(&test, "production", "staging").await.unwrap_err();
    assert!(matches!(refused, MigrateError::NoStamp { .. }), "{refused}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'upload_pipeline'";
    assert_eq!(test.value(schemas).await, "0", "a refusal leaves nothing behind");
}

#[tokio::test]
async fn a_database_that_its_own_workers_are_at_work_on_is_no_copy() {
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
    // The rows that a copy brought along.
    test.run(&worker("now() - interval '2 minutes'")).await;
    move_stamp(&test, "development", "staging").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_moves_the_stamp_of_an_older_copy_and_says_so() {
    let test = TestDb::new().await;
    // As a build before the move left it.
    test.run(
        "DROP FUNCTION upload_pipeline.advance_job, upload_pipeline.complete_jobs, upload_pipeline.claim_jobs;
         DELETE FROM upload_pipeline.schema_history WHERE version >= 4",
    )
    .await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("ENVIRONMENT", "staging");
    let (status, said, log) = fleet.run(&["migrate", "--move-stamp", "development"]);
    assert_eq!(status.code(), Some(0), "{said}\n{log}");
    assert!(said.contains("moved the stamp of this database from development to staging"), "{said}");
    assert!(log.contains("the stamp of this database was moved from development to staging"), "{log}");
    let moves = test.rows(MOVES).await;
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert!(moves[0][2].contains("(commit "), "it names the build: {moves:?}");

    let (status, said, _) = fleet.run(&["migrate"]);
    assert_eq!(status.code(), Some(0), "{said}");
    let (status, _, said) = fleet.run(&["migrate", "--move-stamp", "development"]);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the stamp of this database is staging"), "{said}");
    let (status, _, said) = fleet.run(&["migrate", "--move-stamp", "prod"]);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("production"), "it lists what there is: {said}");
}
