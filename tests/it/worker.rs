//! Real `app worker` and `app api` processes that are killed, frozen_worker, stopped, or lose their connections.

mod stopping;

use std::time::{Duration, Instant};

use crate::{
    requests::files_in,
    support::{
        cluster::cluster,
        db::TestDb,
        fleet::{Client, Fleet, PATIENCE, USER},
        pgbouncer::PgBouncer,
    },
};

/// Markdown with this many sections, each of at least one chunk.
fn markdown(sections: usize) -> String {
    (1..=sections)
        .map(|n| {
            let sentence =
                format!("Clause {n} of the policy covers damage number {n} by water, fire, wind and paperwork. ");
            format!("# Section {n}\n\n{}\n\n", sentence.repeat(12))
        })
        .collect()
}

/// Waits until a query returns this value.
async fn wait_for(test: &TestDb, sql: &str, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Within a transaction, statistics are read once and then cached.
        test.run("SELECT pg_stat_clear_snapshot()").await;
        let got = test.value(sql).await;
        if got == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} is {got}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asserts that the document of a complete job has exactly one set of chunks, each with a vector, and that no ended job has
/// an owner or a lease.
async fn assert_one_set_of_chunks(test: &TestDb, job: &serde_json::Value) {
    assert_eq!(job["status"], "complete", "{job}");
    let document = job["document_id"].as_str().unwrap();
    let sets = test
        .rows(&format!(
            "SELECT chunker_name, chunker_version, count(*), count(DISTINCT chunk_ord), max(chunk_ord) + 1, count(embedding)
             FROM upload_pipeline.document_chunks WHERE document_id = '{document}' GROUP BY 1, 2"
        ))
        .await;
    assert_eq!(sets.len(), 1, "{sets:?}");
    let counts = &sets[0][2..];
    assert!(counts.iter().all(|count| *count == counts[0]), "{sets:?}");
    assert_eq!(job["progress"]["chunks"].to_string(), counts[0]);
    let held = "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state = 'done' AND (claimed_by IS NOT NULL OR lease_expires_at IS NOT NULL)";
    assert_eq!(test.value(held).await, "0");
}

async fn start() -> (TestDb, Fleet) {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    (test, fleet)
}

async fn search(client: &Client, query: &str) -> serde_json::Value {
    let (status, body) = client.post("/search", serde_json::json!({ "query": query })).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_any_step_loses_and_duplicates_nothing() {
    let (test, fleet) = start().await;
    let (_api, client) = fleet.api();
    for step in ["parse", "validate", "chunk", "embed", "finish"] {
        let worker = fleet.worker();
        let job =
            client.upload_text(&format!("killed in {step}"), &format!("{}\n\nKilled in {step}.", markdown(40))).await;
        let began = format!(
            "SELECT EXISTS (SELECT FROM upload_pipeline.events WHERE job_id = '{job}' AND type = 'stage_started' AND code = '{step}')"
        );
        wait_for(&test, &began, "t").await;
        worker.kill();
        let _next = fleet.worker();
        let ended = client.wait_for_end(&job).await;
        assert_one_set_of_chunks(&test, &ended).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_it_recorded_a_failure_leaves_the_bytes_for_the_next_worker() {
    let (test, fleet) = start().await;
    let (_api, client) = fleet.api();
    let wrong = client.upload_file("letter.pdf", "application/pdf", b"Dear all,").await;
    // This lock holds up the worker, which updates the document when it ends the job.
    test.run("BEGIN; SELECT FROM upload_pipeline.documents FOR NO KEY UPDATE").await;
    let worker = fleet.worker();
    let waiting =
        "FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' AND transactionid = pg_current_xact_id()::xid";
    wait_for(&test, &format!("SELECT count(*) {waiting}"), "1").await;
    worker.kill();
    test.run(&format!("SELECT pg_terminate_backend(pid, 5000) {waiting}; ROLLBACK")).await;
    assert_eq!(files_in(&fleet.storage()).len(), 1);
    let _next = fleet.worker();
    let ended = client.wait_for_end(wrong["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["last_error"]["code"], "type_mismatch", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_is_replaced_and_changes_nothing_when_it_continues() {
    let (test, fleet) = start().await;
    let (_api, client) = fleet.api();
    let mut frozen_worker = fleet.worker();
    let job = client.upload_text("frozen", &markdown(60)).await;
    let embedding = format!("SELECT status FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'");
    wait_for(&test, &embedding, "embedding_in_progress").await;
    frozen_worker.signal("STOP");
    let _other = fleet.worker();
    let ended = client.wait_for_end(&job).await;
    assert_one_set_of_chunks(&test, &ended).await;
    let everything = "SELECT md5(string_agg(j::text, '')) FROM upload_pipeline.upload_jobs j";
    let before = test.value(everything).await;
    frozen_worker.signal("CONT");
    frozen_worker.wait_for("is lost");
    assert_eq!(test.value(everything).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_written_by_hand_that_contradicts_the_document_fails_only_that_job() {
    let (test, mut fleet) = start().await;
    // An UPDATE by hand sends no notification, so the worker must poll.
    fleet.set("WORKER_LISTEN_POLL_INTERVAL", "0.5");
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let job = client.upload_text("by hand", &markdown(2)).await;
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    let parsed: Vec<_> = files_in(&fleet.storage()).into_iter().filter(|file| file.contains("/parsed/")).collect();
    assert_eq!(parsed.len(), 1, "{parsed:?}");
    std::fs::remove_file(&parsed[0]).unwrap();
    test.run("DELETE FROM upload_pipeline.document_chunks").await;
    for (status, code) in [
        ("embeddings_stored", "chunks_missing"),
        ("parsed", "parsed_text_missing"),
        ("parse_validated", "parsed_text_missing"),
    ] {
        test.run(&format!(
            "UPDATE upload_pipeline.upload_jobs SET state = 'queued', status = '{status}', finished_at = NULL, run_at = now()"
        ))
        .await;
        let ended = client.wait_for_end(&job).await;
        assert_eq!((&ended["state"], &ended["last_error"]["code"]), (&"deadletter".into(), &code.into()), "{ended}");
    }
    let (status, retried) = client.post(&format!("/jobs/{job}/retry"), serde_json::json!({ "from": "uploaded" })).await;
    assert_eq!(status, 202, "{retried}");
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    std::fs::write(&parsed[0], "another text\n").unwrap();
    let (_, retried) =
        client.post(&format!("/jobs/{job}/retry"), serde_json::json!({ "from": "parse_validated" })).await;
    assert_eq!(retried["status"], "parse_validated", "{retried}");
    assert_eq!(client.wait_for_end(&job).await["last_error"]["code"], "parsed_text_changed");
    let other = client.upload_text("another", &markdown(3)).await;
    assert_eq!(client.wait_for_end(&other).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_lost_its_connection_listens_again_and_logs_it() {
    let (test, mut fleet) = start().await;
    // Polling is so rare that only a notification can start a job in time.
    fleet.set("WORKER_POLL_INTERVAL", "600");
    fleet.set("WORKER_LISTEN_POLL_INTERVAL", "600");
    let (_api, client) = fleet.api();
    let mut worker = fleet.worker();
    worker.wait_for("listening for new jobs; they start at once");
    for round in 0..2 {
        let listener = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        assert_eq!(test.value(&format!("SELECT pg_terminate_backend(pid, 5000) {listener}")).await, "t");
        worker.log.clear();
        worker.wait_for("not listening for new jobs");
        worker.wait_for("listening for new jobs; they start at once");
        let job = client.upload_text(&format!("heard {round}"), &markdown(round + 1)).await;
        assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_inserted_by_another_program_starts_at_once_and_fails_without_its_file() {
    let (test, mut fleet) = start().await;
    // Polling is so rare that only a notification can start the job in five seconds.
    fleet.set("WORKER_POLL_INTERVAL", "30");
    let mut worker = fleet.worker();
    worker.wait_for("listening for new jobs");
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('00000000-0000-0000-0000-0000000000d1', gen_random_uuid(), 'a.pdf', 'application/pdf', 1, 'x', 'raw/nowhere')",
    )
    .await;
    let began = Instant::now();
    test.run(
        "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
         VALUES (gen_random_uuid(), '00000000-0000-0000-0000-0000000000d1', 'uploaded', 'queued', '{}', NOW(), NOW())",
    )
    .await;
    wait_for(&test, "SELECT state FROM upload_pipeline.upload_jobs", "deadletter").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(test.value("SELECT last_error ->> 'code' FROM upload_pipeline.upload_jobs").await, "object_missing");
    assert_eq!(worker.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_transaction_mode_pooler_and_survives_its_restart() {
    let test = TestDb::empty().await;
    let name = test.url.rsplit('/').next().unwrap().to_owned();
    let mut pooler = PgBouncer::start(cluster().await, &name);
    let direct = test.url.clone();
    let through = pooler.url().to_owned();
    let refused = Fleet::new(&through, &through).run(&["migrate"]);
    assert_eq!(refused.0.code(), Some(1), "{}", refused.2);
    assert!(refused.2.contains("transaction mode") && refused.2.contains("DIRECT_URL"), "{}", refused.2);
    let fleet = Fleet::new(&through, &direct);
    let migrated = fleet.run(&["migrate"]);
    assert!(migrated.0.success(), "{}", migrated.2);
    let (_api, client) = fleet.api();
    let (_a, _b) = (fleet.worker(), fleet.worker());
    let mut jobs = Vec::new();
    for n in 0..6 {
        jobs.push(client.upload_text(&format!("pooled {n}"), &format!("{}\n{n}", markdown(20))).await);
    }
    wait_for(&test, "SELECT count(*) > 0 FROM upload_pipeline.upload_jobs WHERE status = 'complete'", "t").await;
    pooler.restart();
    for job in jobs {
        let ended = client.wait_for_end(&job).await;
        assert_one_set_of_chunks(&test, &ended).await;
    }
    let found = search(&client, "Which clause covers damage number 7 by paperwork?").await;
    assert!(!found["hits"].as_array().unwrap().is_empty(), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_direct_connection_a_job_of_another_program_is_found_by_polling() {
    let test = TestDb::new().await;
    let name = test.url.rsplit('/').next().unwrap().to_owned();
    let pooler = PgBouncer::start(cluster().await, &name);
    let fleet = Fleet::new(pooler.url(), pooler.url());
    let mut worker = fleet.worker();
    let line = worker.wait_for("not listening for new jobs");
    assert!(line.contains("transaction mode"), "{line}");
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('00000000-0000-0000-0000-0000000000d1', '{USER}', 'a.pdf', 'application/pdf', 1, 'x', 'raw/nowhere');
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
         VALUES (gen_random_uuid(), '00000000-0000-0000-0000-0000000000d1', 'uploaded', 'queued', '{{}}', NOW(), NOW())"
    ))
    .await;
    wait_for(&test, "SELECT state FROM upload_pipeline.upload_jobs", "deadletter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_environment_exits_with_2_and_writes_nothing() {
    let (test, mut fleet) = start().await;
    fleet.set("ENVIRONMENT", "staging");
    fleet.set("STORAGE_ALLOW_LOCAL", "true");
    fleet.set("STORAGE_SIGNING_SECRET", "a-secret-for-tests-of-forty-characters!!");
    let count = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables";
    test.run("SELECT pg_stat_force_next_flush()").await;
    let before = test.value(count).await;
    for role in ["worker", "api", "migrate"] {
        let (status, _, stderr) = fleet.run(&[role]);
        assert_eq!(status.code(), Some(2), "{role}: {stderr}");
        assert!(stderr.contains("belongs to development"), "{role}: {stderr}");
    }
    assert_eq!(test.value(count).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_model_costs_no_try_and_the_worker_recovers_when_it_appears() {
    const JOBS: usize = 8;
    let (test, mut fleet) = start().await;
    let (_api, client) = fleet.api();
    let (real, place) = (std::env::var("APP_MODEL_DIR").unwrap(), fleet.folder("models").join("all-MiniLM-L6-v2"));
    fleet.set("EMBED_MODEL_DIR", place.to_str().unwrap());
    fleet.set("WORKER_CONCURRENCY", &JOBS.to_string());
    let mut worker = fleet.worker();
    let job = client.upload_text("no model", "# Some text\n\nto embed").await;
    worker.wait_for("not claiming until this is mended");
    let (_, seen) = client.get(&format!("/jobs/{job}")).await;
    assert_eq!((&seen["state"], &seen["retry_count"]), (&"queued".into(), &0.into()), "{seen}");
    assert_eq!(seen["last_error"]["code"], "model_missing", "{seen}");
    assert!(seen["last_error"]["message"].as_str().unwrap().contains("scripts/fetch"), "{seen}");
    let events = test.rows("SELECT type, code FROM upload_pipeline.events WHERE code = 'model_missing'").await;
    assert_eq!(events, [["handed_back", "model_missing"]]);
    test.run("DELETE FROM upload_pipeline.documents").await;
    drop(worker);
    // Many jobs that fail at once must all recover.
    for n in 0..JOBS {
        let user = format!("11111111-1111-4111-8111-{n:012}");
        client.as_user(&user).upload_text(&format!("late {n}"), "# Some text\n\nto embed").await;
    }
    let mut worker = fleet.worker();
    let failed = "SELECT count(DISTINCT job_id) FROM upload_pipeline.events WHERE code = 'model_missing'";
    wait_for(&test, failed, &JOBS.to_string()).await;
    std::os::unix::fs::symlink(real, place).unwrap();
    wait_for(&test, "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE status = 'complete'", &JOBS.to_string())
        .await;
    worker.wait_for("mended; claiming again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_library_for_pdfs_a_pdf_waits_at_no_cost_and_other_files_go_on() {
    let (test, mut fleet) = start().await;
    let (_api, client) = fleet.api();
    fleet.set("PDFIUM_LIBRARY", "/nonexistent/libpdfium.so");
    let _worker = fleet.worker();
    client.upload_file("a.pdf", "application/pdf", include_bytes!("../data/two-pages.pdf")).await;
    client.upload_text("text", "# Some text\n\nto embed").await;
    wait_for(&test, "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE status = 'complete'", "1").await;
    wait_for(&test, "SELECT count(*) FROM upload_pipeline.events WHERE code = 'pdf_library_missing'", "1").await;
    let waiting = "SELECT state, retry_count::text FROM upload_pipeline.upload_jobs WHERE status = 'uploaded'";
    assert_eq!(test.rows(waiting).await, [["queued", "0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_starts_before_the_schema_exists_and_reports_what_is_missing() {
    let test = TestDb::empty().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let http = reqwest::Client::new();
    let at = |path: &str| format!("{}{path}", client.root);
    assert_eq!(http.get(at("/livez")).send().await.unwrap().status(), 200);
    let health = http.get(at("/health")).send().await.unwrap();
    assert_eq!(health.status(), 503);
    let health: serde_json::Value = health.json().await.unwrap();
    assert_eq!(health["checks"]["schema"], "schema_behind", "{health}");
    let (status, problem) = client.get("/jobs").await;
    assert_eq!((status, &problem["code"]), (503, &"schema_behind".into()), "{problem}");
    assert!(fleet.run(&["migrate"]).0.success());
    let deadline = Instant::now() + PATIENCE;
    while http.get(at("/health")).send().await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_too_many_passages_is_refused_with_the_limit() {
    let (_test, mut fleet) = start().await;
    fleet.set("MAX_PASSAGES_PER_DOCUMENT", "3");
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let (long, short) = (client.upload_text("long", &markdown(4)).await, client.upload_text("short", "# A\n\nb").await);
    assert_eq!(client.wait_for_end(&short).await["status"], "complete");
    let ended = client.wait_for_end(&long).await;
    assert_eq!((&ended["status"], &ended["last_error"]["code"]), (&"failed_chunking".into(), &"passage_limit".into()));
    let message = ended["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("the limit is 3 (MAX_PASSAGES_PER_DOCUMENT)"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_lets_the_short_document_of_another_user_go_first_and_is_complete_later() {
    let (test, mut fleet) = start().await;
    fleet.set("WORKER_CONCURRENCY", "1");
    fleet.set("WORKER_TURN", "1");
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let book = client.upload_text("book", &markdown(60)).await;
    wait_for(&test, "SELECT status FROM upload_pipeline.upload_jobs", "embedding_in_progress").await;
    let other = client.as_user("22222222-2222-4222-8222-222222222222");
    let short = other.upload_text("short", "# A\n\nb").await;
    assert_eq!(other.wait_for_end(&short).await["status"], "complete");
    let ended = client.wait_for_end(&book).await;
    assert_one_set_of_chunks(&test, &ended).await;
    let order = "SELECT string_agg(title, ' ' ORDER BY finished_at) FROM (
        SELECT d.filename AS title, j.finished_at FROM upload_pipeline.upload_jobs j
        JOIN upload_pipeline.documents d USING (document_id)) t";
    assert!(test.value(order).await.starts_with("short"), "{}", test.value(order).await);
    assert_eq!(ended["retry_count"], 0);
}
