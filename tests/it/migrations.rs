//! `app migrate` on an empty database, run again, run twice at once, on the database of the replaced system, and on schema 11.

use store::{
    migrations::{MigrateError, SchemaState, list_migrations, migrate, schema_state},
    shape::{ShapeDifference, compare_shape},
};
use tokio::runtime::Handle;

use crate::support::{
    db::{TestDb, target},
    fleet::Fleet,
};

async fn run(test: &TestDb) -> Result<Vec<String>, MigrateError> {
    migrate(&target(&test.url), &Handle::current(), "development", None, "test").await.map(|report| report.applied)
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let test = TestDb::empty().await;
    assert_eq!(schema_state(&test.db).await.unwrap(), SchemaState::Missing);
    let first = run(&test).await.unwrap();
    assert!(first.len() >= 5, "{first:?}");
    assert_eq!(schema_state(&test.db).await.unwrap(), SchemaState::Current);
    assert_eq!(run(&test).await.unwrap(), Vec::<String>::new());
    let all = list_migrations(&test.db).await.unwrap();
    assert!(all.iter().all(|m| m.applied_on.is_some() && !m.altered), "{all:?}");
}

#[tokio::test]
async fn two_simultaneous_runs_apply_each_migration_once() {
    let test = TestDb::empty().await;
    let (a, b) = tokio::join!(run(&test), run(&test));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a.is_empty() != b.is_empty(), "one does all, the other nothing: {a:?} {b:?}");
    assert_eq!(schema_state(&test.db).await.unwrap(), SchemaState::Current);
}

#[tokio::test]
async fn every_column_has_a_comment_and_every_table_row_level_security() {
    let test = TestDb::new().await;
    let bare = test
        .rows(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE n.nspname = 'upload_pipeline' AND c.relkind IN ('r', 'v') AND c.relname <> 'schema_history'
             AND col_description(c.oid, a.attnum) IS NULL",
        )
        .await;
    assert!(bare.is_empty(), "columns without a comment: {bare:?}");
    let open = test
        .rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'upload_pipeline' AND c.relkind = 'r' AND NOT c.relrowsecurity",
        )
        .await;
    assert!(open.is_empty(), "tables without row-level security: {open:?}");
    assert!(test.rows("SELECT * FROM upload_pipeline.architecture_notes").await.len() >= 5);
}

#[tokio::test]
async fn the_replaced_systems_database_is_adopted_without_losing_a_row() {
    let test = TestDb::empty().await;
    test.run(include_str!("../data/previous_schema.sql")).await;
    let tables = ["documents", "upload_jobs", "document_chunks", "events", "webhook_log"];
    let mut before = Vec::new();
    for table in tables {
        before.push(test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await);
    }
    run(&test).await.unwrap();
    for (table, count) in tables.iter().zip(&before) {
        assert_eq!(&test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, count, "{table}");
    }
    // The replaced system wrote a vector of zeros for "not embedded yet".
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.document_chunks WHERE embedding IS NULL").await, "2");
    assert_eq!(
        test.value("SELECT count(*) FROM upload_pipeline.document_chunks WHERE vector_dims(embedding) = 1536").await,
        "6"
    );
    let jobs = test
        .rows("SELECT status, state, last_error ->> 'checkpoint' FROM upload_pipeline.upload_jobs ORDER BY job_id")
        .await;
    assert_eq!(
        jobs,
        [
            ["complete", "done", "NULL"],
            ["embedding_in_progress", "queued", "NULL"],
            ["failed_parse", "deadletter", "uploaded"],
            ["parse_queued", "queued", "NULL"],
        ]
    );
    // Adopted rows can still be updated, although some constraints were added NOT VALID.
    test.run("UPDATE upload_pipeline.upload_jobs SET updated_at = now()").await;
    test.run("UPDATE upload_pipeline.document_chunks SET updated_at = now()").await;
    test.run("UPDATE upload_pipeline.events SET ts = now()").await;
    // An adopted database has every column of a new one.
    let fresh = TestDb::new().await;
    let columns = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'upload_pipeline' AND table_name <> 'schema_history' ORDER BY 1, 2";
    let (adopted, fresh) = (test.rows(columns).await, fresh.rows(columns).await);
    let missing: Vec<_> = fresh.iter().filter(|column| !adopted.contains(column)).collect();
    assert!(missing.is_empty(), "an adopted database lacks {missing:?}");
}

/// Every row of every table except the schema history and the active model, which an upgrade names, as JSON text, without the columns that later migrations add.
async fn all_rows(test: &TestDb) -> Vec<Vec<String>> {
    let tables = test
        .rows(
            "SELECT string_agg(format('SELECT %L AS name, (to_jsonb(t) - CASE WHEN %L = ''provider_calls'' THEN ''cost_cents'' ELSE '''' END - ARRAY[''record'', ''layout'', ''boxes'', ''page_label'', ''metadata'', ''version_no'', ''last_version'', ''version_at'', ''day'', ''model'', ''pages'', ''billed_pages'', ''reserved_cents''])::text AS row FROM upload_pipeline.%I AS t', relname, relname, relname),
               ' UNION ALL ' ORDER BY relname)
             FROM pg_class WHERE relnamespace = 'upload_pipeline'::regnamespace AND relkind = 'r' AND relname NOT IN ('schema_history', 'active_model')",
        )
        .await;
    test.rows(&format!("{} ORDER BY 1, 2", tables[0][0])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_11_is_upgraded_without_losing_a_row() {
    let test = TestDb::empty().await;
    test.run(include_str!("../data/schema_11.sql")).await;
    let before = all_rows(&test).await;
    let state = schema_state(&test.db).await.unwrap();
    let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert!(matches!(&state, SchemaState::Behind(pending) if pending.len() == all), "{state:?}");
    let fleet = Fleet::new(&test.url, &test.url);
    let run_app = |arguments: &[&str]| {
        let (status, printed, log) = fleet.run(arguments);
        assert_eq!(status.code(), Some(0), "{printed}\n{log}");
        printed
    };
    let printed = run_app(&["migrate", "--status"]);
    assert!(printed.starts_with("at schema 11 of a build before 0.1.0"), "{printed}");
    assert_eq!(printed.matches("  pending\n").count(), all, "{printed}");
    let printed = run_app(&["migrate", "--dry-run"]);
    assert!(
        printed.starts_with("-- at schema 11") && printed.contains("DELETE FROM upload_pipeline.schema_history"),
        "{printed}"
    );
    assert!(!printed.contains("-- V0001__") && printed.contains("-- V0006__"), "{printed}");
    assert_eq!(all_rows(&test).await, before, "a dry run changes nothing");

    let printed = run_app(&["migrate"]);
    assert!(printed.starts_with("at schema 11 of a build before 0.1.0: carried over"), "{printed}");
    assert_eq!(all_rows(&test).await, before);
    assert_eq!(schema_state(&test.db).await.unwrap(), SchemaState::Current);
    assert_eq!(compare_shape(&test.db.get().await.unwrap()).await.unwrap(), ShapeDifference::default());
    let functions = "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
        WHERE pronamespace = 'upload_pipeline'::regnamespace AND proname LIKE '%claim%'";
    assert_eq!(test.value(functions).await, "claim_jobs");
    assert_eq!(run_app(&["migrate"]), "the schema is up to date; nothing to do\n");
    assert!(!run_app(&["migrate", "--status"]).contains("schema 11"));
}

#[tokio::test]
async fn a_failed_upgrade_of_schema_11_changes_nothing() {
    let test = TestDb::empty().await;
    test.run(include_str!("../data/schema_11.sql")).await;
    // A table in place of the view makes the last step fail.
    test.run("DROP VIEW upload_pipeline.architecture_notes; CREATE TABLE upload_pipeline.architecture_notes ()").await;
    run(&test).await.unwrap_err();
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.schema_history").await, "11");
    test.run("DROP TABLE upload_pipeline.architecture_notes").await;
    let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert_eq!(run(&test).await.unwrap().len(), all);
}

#[tokio::test]
async fn a_schema_before_11_is_refused_and_not_changed() {
    let test = TestDb::empty().await;
    test.run(include_str!("../data/schema_11.sql")).await;
    test.run("DELETE FROM upload_pipeline.schema_history WHERE version > 9").await;
    let refusal = run(&test).await.unwrap_err().to_string();
    assert!(refusal.contains("at schema 9 of a build before 0.1.0"), "{refusal}");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.schema_history").await, "9");
}

#[tokio::test]
async fn duplicates_that_violate_a_new_unique_constraint_are_listed() {
    let test = TestDb::empty().await;
    test.run(include_str!("../data/previous_schema.sql")).await;
    test.run(
        "DROP INDEX upload_pipeline.uq_user_filehash;
         INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         SELECT '00000000-0000-0000-0000-0000000000ff', user_id, filename, mime, bytes_len, file_sha256, raw_path
         FROM upload_pipeline.documents WHERE document_id = '00000000-0000-0000-0000-000000000001'",
    )
    .await;
    let refusal = run(&test).await.unwrap_err().to_string();
    assert!(refusal.contains("00000000-0000-0000-0000-0000000000ff"), "{refusal}");
    assert!(refusal.contains("run `app migrate` again"), "{refusal}");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.documents").await, "5");
    test.run("DELETE FROM upload_pipeline.documents WHERE document_id = '00000000-0000-0000-0000-0000000000ff'").await;
    run(&test).await.unwrap();
}

#[tokio::test]
async fn the_database_of_another_environment_is_refused_and_not_changed() {
    let test = TestDb::new().await;
    let refusal = migrate(&target(&test.url), &Handle::current(), "production", None, "test").await.unwrap_err();
    assert!(matches!(&refusal, MigrateError::Environment { stamped, .. } if stamped == "development"), "{refusal}");
    assert_eq!(test.value("SELECT environment FROM upload_pipeline.environment_stamp").await, "development");
}

#[tokio::test]
async fn an_authenticated_user_reads_only_their_own_rows_and_writes_none() {
    let test = TestDb::empty().await;
    // Roles belong to the server, so another test may have created this one already.
    test.run(
        "DO $$ BEGIN CREATE ROLE authenticated; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    )
    .await;
    run(&test).await.unwrap();
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         SELECT gen_random_uuid(), ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'a.md', 'text/markdown', 1, 'x', 'y'
         FROM generate_series(1, 2) n",
    )
    .await;
    let as_one = "SET LOCAL ROLE authenticated;
        SET LOCAL request.jwt.claims = '{\"sub\": \"00000000-0000-0000-0000-000000000001\"}';";
    let seen = test.rows(&format!("BEGIN; {as_one} SELECT user_id FROM upload_pipeline.documents; COMMIT")).await;
    assert_eq!(seen, [["00000000-0000-0000-0000-000000000001"]]);
    for write in ["DELETE FROM upload_pipeline.documents", "UPDATE upload_pipeline.upload_jobs SET priority = 0"] {
        let refusal = test.refusal(&format!("BEGIN; {as_one} {write}")).await;
        assert!(refusal.contains("permission denied"), "{refusal}");
        test.run("ROLLBACK").await;
    }
    let refusal = test.refusal(&format!("BEGIN; {as_one} SELECT * FROM upload_pipeline.api_keys")).await;
    assert!(refusal.contains("permission denied"), "{refusal}");
}
