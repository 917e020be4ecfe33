//! A schema, a queue and workers that are not as they should be.

use store::shape::read_shape;

use super::{Environment, check};
use crate::support::{db::TestDb, fleet::Fleet};

/// What `db.shape` compares with.
#[tokio::test]
async fn the_shape_is_what_the_migrations_make() {
    let db = TestDb::new().await;
    let lines = read_shape(&db.db.get().await.unwrap()).await.unwrap();
    let wanted: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/store/src/shape.txt");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, wanted).unwrap();
    } else {
        let found = std::fs::read_to_string(&file).unwrap();
        assert!(found == wanted, "crates/store/src/shape.txt is out of date: run this test once with UPDATE_DOCS=1");
    }
}

#[tokio::test]
async fn an_empty_database_is_named() {
    let db = TestDb::empty().await;
    db.run("CREATE EXTENSION vector").await;
    check(&Fleet::new(&db.url, &db.url), &["--only", "schema"]).requires("db.schema/missing");
}

#[tokio::test]
async fn a_database_without_the_extension_is_named() {
    let db = TestDb::empty().await;
    let checked = check(&Fleet::new(&db.url, &db.url), &["--only", "db.extension"]);
    checked.requires("db.extension/not_created");
}

#[tokio::test]
async fn each_way_in_which_migrations_differ_is_told_apart() {
    for (sql, cause) in [
        ("DELETE FROM upload_pipeline.schema_history WHERE version = 6", "db.schema/behind"),
        ("UPDATE upload_pipeline.schema_history SET checksum = '1' WHERE version = 2", "db.schema/altered"),
        (
            "INSERT INTO upload_pipeline.schema_history (version, name, applied_on, checksum) \
             VALUES (9999, 'from_the_future', '2026-11-22T00:00:00Z', '1')",
            "db.schema/newer",
        ),
    ] {
        let environment = Environment::new().await;
        environment.db.run(sql).await;
        environment.check_strictly().requires(cause);
    }
}

#[tokio::test]
async fn a_constraint_that_refuses_a_status_is_named_once() {
    let environment = Environment::new().await;
    environment
        .db
        .run(
            "ALTER TABLE upload_pipeline.upload_jobs DROP CONSTRAINT ck_upload_jobs_status, \
             ADD CONSTRAINT ck_upload_jobs_status CHECK (status <> 'embedding_queued')",
        )
        .await;
    let checked = environment.check();
    let finding = checked.requires("db.enum/status_refused");
    assert!(finding["observed"].as_str().unwrap().contains("embedding_queued"), "{finding}");
}

#[tokio::test]
async fn what_was_taken_away_or_changed_by_hand_is_named() {
    for (sql, cause, named) in [
        ("ALTER TABLE upload_pipeline.documents DROP COLUMN page_count", "db.shape/missing", "documents.page_count"),
        ("DROP INDEX upload_pipeline.ix_upload_jobs_claim", "db.shape/missing", "ix_upload_jobs_claim"),
        ("DROP FUNCTION upload_pipeline.claim_jobs", "db.shape/missing", "claim_jobs("),
        (
            "ALTER TABLE upload_pipeline.upload_jobs DISABLE TRIGGER tr_upload_jobs_notify",
            "db.shape/changed",
            "tr_upload_jobs_notify: disabled",
        ),
        ("ALTER TABLE upload_pipeline.documents DISABLE ROW LEVEL SECURITY", "db.shape/changed", "documents: open"),
    ] {
        let environment = Environment::new().await;
        environment.db.run(sql).await;
        let checked = environment.check();
        let finding = checked.requires(cause);
        assert!(finding["observed"].as_str().unwrap().contains(named), "{finding}");
    }
}

#[tokio::test]
async fn what_a_database_has_beyond_the_schema_does_no_harm() {
    let environment = Environment::new().await;
    environment
        .db
        .run(
            "ALTER TABLE upload_pipeline.documents ADD COLUMN tenant text; \
             CREATE INDEX mine ON upload_pipeline.documents (tenant); CREATE TABLE upload_pipeline.ours (x int)",
        )
        .await;
    let checked = environment.check_strictly();
    assert!(checked.status.success(), "{:#}", checked.report);
}

#[tokio::test]
async fn vectors_of_another_dimension_under_the_models_name_are_named() {
    let environment = Environment::new().await;
    let model = "all-MiniLM-L6-v2";
    environment
        .db
        .run(&format!(
            "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path) \
             VALUES ('{ID}', '{ID}', 'a.md', 'text/markdown', 1, 'a', 'a'); \
             INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state) VALUES ('{ID}', '{ID}', 'complete', 'done'); \
             INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, \
               chunk_sha, embed_model, embed_version, vector_dim, embedding) \
             VALUES ('{ID}', '{ID}', 'c', '1', 0, 'a', 'a', '{model}', '1', 3, '[1,0,0]')"
        ))
        .await;
    let checked = check(&environment.fleet, &["--only", "schema"]);
    let finding = checked.requires("db.vectors/dimension_unlike_model");
    assert_eq!(finding["expected"], "384 components");
}

const ID: &str = "22222222-2222-4222-8222-222222222222";

#[tokio::test]
async fn each_way_in_which_the_queue_is_stuck_is_told_apart() {
    let refuse =
        "CREATE FUNCTION upload_pipeline.meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'; ";
    let swallow =
        "CREATE FUNCTION upload_pipeline.meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; ";
    for (sql, cause) in [
        (
            "ALTER TABLE upload_pipeline.upload_jobs ADD CONSTRAINT mine CHECK (priority > 5)".to_owned(),
            "q.trip/enqueue_refused",
        ),
        (
            format!(
                "{swallow} CREATE TRIGGER a BEFORE UPDATE ON upload_pipeline.upload_jobs FOR EACH ROW \
                     WHEN (NEW.state = 'working') EXECUTE FUNCTION upload_pipeline.meddle()"
            ),
            "q.trip/not_claimed",
        ),
        (
            format!(
                "{refuse} CREATE TRIGGER a BEFORE UPDATE ON upload_pipeline.upload_jobs FOR EACH ROW \
                     WHEN (NEW.state = 'done') EXECUTE FUNCTION upload_pipeline.meddle()"
            ),
            "q.trip/not_completed",
        ),
        (
            "CREATE FUNCTION upload_pipeline.meddle() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN NEW.status = replace(NEW.status, ''no_such_status'', ''uploaded''); RETURN NEW; END'; \
             CREATE TRIGGER a BEFORE INSERT ON upload_pipeline.upload_jobs FOR EACH ROW \
             EXECUTE FUNCTION upload_pipeline.meddle()"
                .to_owned(),
            "q.refusal/nonsense_accepted",
        ),
        (
            "ALTER TABLE upload_pipeline.upload_jobs DROP CONSTRAINT ck_upload_jobs_status, \
             DROP CONSTRAINT ck_upload_jobs_done, ADD CONSTRAINT ck_upload_jobs_status CHECK (status <> '')"
                .to_owned(),
            "db.shape/missing",
        ),
    ] {
        let environment = Environment::new().await;
        environment.db.run(&sql).await;
        check(&environment.fleet, &["--only", "db.shape,queue"]).requires(cause);
    }
}

#[tokio::test]
async fn a_lock_on_the_queue_is_told_apart_from_a_broken_queue() {
    let environment = Environment::new().await;
    environment.db.run("BEGIN; LOCK TABLE upload_pipeline.upload_jobs IN SHARE MODE").await;
    // Reading goes on; what writes waits, and the check's own statements are bounded.
    let checked = check(&environment.fleet, &["--only", "q.trip"]);
    environment.db.run("ROLLBACK").await;
    checked.requires("q.trip/blocked");
}

#[tokio::test]
async fn a_backlog_is_told_by_its_age_its_length_and_its_dead_workers() {
    let environment = Environment::new().await;
    let run_check = || check(&environment.fleet, &["--only", "q.backlog", "--strict"]);
    environment
        .db
        .run(&format!(
            "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path) \
             VALUES ('{ID}', '{ID}', 'a.md', 'text/markdown', 1, 'a', 'a'); \
             INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state) \
             SELECT gen_random_uuid(), '{ID}', 'uploaded', 'queued' FROM generate_series(1, 101)"
        ))
        .await;
    run_check().requires("q.backlog/many_waiting");
    // Four in five minutes are 48 an hour.
    let finalized = "INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, ts) \
         SELECT gen_random_uuid(), gen_random_uuid(), 'finalized', 'info', 'complete', now() - interval '1 minute' \
         FROM generate_series(1, 4)";
    environment.db.run(finalized).await;
    let checked = run_check();
    let observed = checked.requires("q.backlog/hours_left")["observed"].as_str().unwrap();
    assert!(observed.contains("done in 2.1 hours"), "{observed}");
    environment.db.run("DELETE FROM upload_pipeline.events").await;
    environment.db.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() - interval '6 minutes'").await;
    run_check().requires("q.backlog/overdue");
    environment
        .db
        .run(
            "UPDATE upload_pipeline.upload_jobs SET state = 'working', claimed_by = gen_random_uuid(), \
             lease_expires_at = now() - interval '3 minutes'",
        )
        .await;
    run_check().requires("q.backlog/not_taken_over");
}

#[tokio::test]
async fn workers_are_told_by_their_absence_commit_branch_and_environment() {
    let environment = Environment::new().await;
    let run_check = |args: &[&str]| check(&environment.fleet, &[&["--only", "workers", "--strict"], args].concat());
    run_check(&[]).requires("workers.alive/none_alive");
    let worker = |commit: char, branch: &str, of: &str| {
        format!(
            "INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots) \
             VALUES (gen_random_uuid(), 'h', repeat('{commit}', 40), '{branch}', '1', '{of}', 4)"
        )
    };
    environment.db.run(&worker('a', "main", "development")).await;
    assert!(run_check(&["--expect-commit", "aaaaaaa", "--expect-branch", "main"]).status.success());
    run_check(&["--expect-commit", "bbbbbbb"]).requires("workers.commit/commit_unexpected");
    run_check(&["--expect-branch", "staging"]).requires("workers.commit/branch_unexpected");
    environment.db.run(&worker('b', "main", "development")).await;
    run_check(&[]).requires("workers.commit/mixed");
    environment.db.run(&worker('a', "main", "production")).await;
    environment.db.run("DELETE FROM upload_pipeline.workers WHERE commit LIKE 'b%'").await;
    run_check(&[]).requires("workers.environment/wrong_environment");
}

#[tokio::test]
async fn an_index_on_vectors_that_this_pgvector_may_corrupt_is_named() {
    let environment = Environment::new().await;
    let run_check = |environment: &Environment| check(&environment.fleet, &["--only", "db.pgvector", "--strict"]);
    environment.db.run("UPDATE pg_extension SET extversion = '0.8.2' WHERE extname = 'vector'").await;
    assert!(run_check(&environment).status.success(), "there is no index");
    environment
        .db
        .run(
            "CREATE INDEX mine ON upload_pipeline.document_chunks \
             USING hnsw ((embedding::vector(3)) vector_cosine_ops) WHERE vector_dim = 3",
        )
        .await;
    let checked = environment.check_strictly();
    let finding = checked.requires("db.pgvector/vacuum_may_corrupt");
    assert_eq!(finding["observed"], "pgvector 0.8.2, with mine");
    environment.db.run("UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'").await;
    assert!(run_check(&environment).status.success(), "a sound version");
}

#[tokio::test]
async fn an_index_on_words_that_vacuum_has_not_seen_is_named() {
    let environment = Environment::new().await;
    let run_check = |environment: &Environment| check(&environment.fleet, &["--only", "db.vacuum", "--strict"]);
    assert!(run_check(&environment).status.success(), "there is no row");
    environment
        .db
        .run(
            "ALTER TABLE upload_pipeline.search_words SET (autovacuum_enabled = off);
             INSERT INTO upload_pipeline.search_users (user_id, is_filled) VALUES (gen_random_uuid(), true);
             INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
             SELECT gen_random_uuid(), user_id, 'a.md', 'text/markdown', 1, 'x', 'raw/x' FROM upload_pipeline.search_users;
             INSERT INTO upload_pipeline.search_documents (document_id, user_no, passages, language, chunker_name, chunker_version, version)
             SELECT d.document_id, u.user_no, 1, 'en', 'm', '1', 1 FROM upload_pipeline.documents AS d, upload_pipeline.search_users AS u;
             INSERT INTO upload_pipeline.search_words (user_no, term, document_no, block, entries)
             SELECT s.user_no, n, s.document_no, 0, convert_to(repeat('x', 1500), 'UTF8')
             FROM upload_pipeline.search_documents AS s, generate_series(1, 6000) AS n",
        )
        .await;
    let checked = environment.check_strictly();
    let finding = checked.requires("db.vacuum/stale");
    assert!(finding["observed"].as_str().unwrap().starts_with("vacuum has seen 0 of 1"), "{finding}");
    // The tests' server commits without a flush, and vacuum marks only what is flushed.
    environment.db.run("CHECKPOINT").await;
    environment.db.run("VACUUM upload_pipeline.search_words").await;
    let checked = run_check(&environment);
    assert!(checked.status.success(), "{}", checked.report);
}

#[tokio::test]
async fn an_incomplete_index_and_one_that_is_there_twice_are_named() {
    for (sql, cause, named) in [
        (
            "CREATE INDEX mine ON upload_pipeline.documents (filename); \
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'upload_pipeline.mine'::regclass",
            "db.indexes/invalid",
            "mine",
        ),
        (
            "CREATE INDEX one ON upload_pipeline.documents (filename) WHERE bytes_len > 1; \
             CREATE INDEX other ON upload_pipeline.documents (filename) WHERE bytes_len > 1; \
             CREATE INDEX third ON upload_pipeline.documents (filename)",
            "db.indexes/duplicate",
            "the same: one and other",
        ),
    ] {
        let environment = Environment::new().await;
        environment.db.run(sql).await;
        let checked = environment.check_strictly();
        let finding = checked.requires(cause);
        assert!(finding["observed"].as_str().unwrap().contains(named), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_vectors_that_are_not_those_of_the_passages_are_named() {
    let environment = Environment::new().await;
    let run_check = || check(&environment.fleet, &["--only", "db.packed", "--strict"]);
    assert_eq!(run_check().one("db.packed")["observed"], "no vectors yet");
    let (_api, client) = environment.fleet.api();
    let worker = environment.fleet.worker();
    let text = "# Ferry\n\nThe ferry leaves at nine.\n\n# Stove\n\nA stove needs wood that is dry.\n\n# Bees\n\nBees sting rarely.";
    let job = client.upload_text("a", text).await;
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(worker.stop(), 0);
    let checked = run_check();
    assert!(checked.status.success(), "{:#}", checked.report);
    assert_eq!(checked.one("db.packed")["observed"], "1 stored vectors are packed as they are");
    // What stands behind the mean: a scale and a byte for each of 384 components.
    let garble = "UPDATE upload_pipeline.search_vectors AS v SET packed = overlay(v.packed PLACING \
        decode(repeat('c0', length(v.packed) - 388), 'hex') FROM 389)";
    environment.db.run(garble).await;
    run_check().requires("db.packed/disagrees");
    // Those of another dimension are none at all.
    environment.db.run("UPDATE upload_pipeline.search_vectors SET packed = substring(packed FROM 1 FOR 17)").await;
    run_check().requires("db.packed/disagrees");
}
