//! A process on the database of another environment exits with 2 and writes nothing.

use std::time::Instant;

use crate::support::{
    db::TestDb,
    fleet::{Fleet, PATIENCE},
};

/// Sets what production requires in addition to the settings of every test.
fn set_production(fleet: &mut Fleet) {
    fleet.set("ENVIRONMENT", "production");
    fleet.set("STORAGE_ALLOW_LOCAL", "true");
    fleet.set("STORAGE_SIGNING_SECRET", "a-secret-for-tests-that-is-long-enough");
}

/// Every relation of the database with the numbers of rows ever inserted, updated and deleted. A session reports its counts
/// when it ends, so this first waits until all other sessions have ended.
async fn statistics(test: &TestDb) -> Vec<Vec<String>> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let deadline = Instant::now() + PATIENCE;
    while test.value(others).await != "0" {
        assert!(Instant::now() < deadline, "sessions of ended processes are still open");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    test.run("SELECT pg_stat_force_next_flush()").await;
    test.run("SELECT pg_stat_clear_snapshot()").await;
    test.rows(
        "SELECT n.nspname, c.relname, s.n_tup_ins, s.n_tup_upd, s.n_tup_del
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
         ORDER BY 1, 2",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_environment_exits_with_2_and_writes_nothing() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    // Shows that the statistics see a write: this command is of the right environment.
    let untouched = statistics(&test).await;
    let (status, _, log) = fleet.run(&["keys", "create", "first"]);
    assert!(status.success(), "{log}");
    let before = statistics(&test).await;
    assert_ne!(untouched, before, "the statistics do not show what `app keys create` wrote");

    set_production(&mut fleet);
    for command in [
        &["api"][..],
        &["worker"],
        &["migrate"],
        &["keys", "create", "second"],
        &["migrate", "--move-stamp", "staging"],
    ] {
        let mut app = fleet.start(command);
        let (code, log) = (app.wait_for_exit().await, app.read_log().join("\n"));
        // A wrong `--move-stamp` is a failed command, not a wrong configuration.
        assert_eq!(code, if command.contains(&"--move-stamp") { 1 } else { 2 }, "app {command:?}\n{log}");
        assert!(log.contains("development") && log.contains("production"), "app {command:?}\n{log}");
        assert_eq!(before, statistics(&test).await, "app {command:?} wrote");
    }
}
