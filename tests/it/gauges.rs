//! The gauges behind `/metrics` are correct, and computing them reads only the rows that they count.

use serde_json::Value;
use store::{
    events::{COUNT_RECENT_EVENTS, RECENT_EVENTS, RECENT_SECONDS, count_recent_events},
    gauges::{COUNT_JOBS, get_gauges, get_oldest_transaction},
};

use crate::support::{cluster::connect, db::TestDb, fleet::Fleet};

/// Inserts `count` documents of `users` users, each with a job.
async fn jobs(test: &TestDb, count: u32, users: u32, status: &str, state: &str, run_at: &str) {
    test.run(&format!(
        "WITH d AS (
           INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
           SELECT gen_random_uuid(), ('00000000-0000-4000-8000-' || lpad((n % {users})::text, 12, '0'))::uuid, 'a.md',
             'text/markdown', 1, gen_random_uuid()::text, 'raw/x'
           FROM generate_series(1, {count}) AS n RETURNING document_id, user_id)
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, user_id, status, state, run_at, enqueued_by)
         SELECT gen_random_uuid(), document_id, user_id, '{status}', '{state}', {run_at}, 'test' FROM d"
    ))
    .await;
}

/// Every scan of a table in a plan: node, index, rows read.
fn scans(node: &Value, table: &str, found: &mut Vec<(String, String, f64)>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    if node["Relation Name"] == table {
        let rows = node["Actual Rows"].as_f64().unwrap_or(0.0) + node["Rows Removed by Filter"].as_f64().unwrap_or(0.0);
        found.push((text("Node Type"), text("Index Name"), rows * node["Actual Loops"].as_f64().unwrap_or(1.0)));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans(child, table, found);
    }
}

#[tokio::test]
async fn the_gauges_agree_with_the_queue() {
    let test = TestDb::new().await;
    jobs(&test, 4, 2, "uploaded", "queued", "now() - interval '90 seconds'").await;
    jobs(&test, 3, 3, "parsed", "queued", "now() + interval '1 hour'").await;
    jobs(&test, 2, 1, "parsed", "retryable", "now() - interval '30 seconds'").await;
    jobs(&test, 1, 1, "parsed", "working", "now() - interval '1 day'").await;
    jobs(&test, 5, 1, "failed_parse", "deadletter", "now() - interval '1 day'").await;
    jobs(&test, 7, 1, "complete", "done", "now() - interval '1 day'").await;
    test.run(
        "UPDATE upload_pipeline.upload_jobs SET claimed_at = run_at WHERE state = 'working';
         ANALYZE upload_pipeline.upload_jobs;
         INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots, running_jobs, last_seen_at)
         SELECT gen_random_uuid(), 'h', c, 'main', '1', 'test', 4, 1, now() - a * interval '1 minute'
         FROM (VALUES ('old', 0), ('new', 0), ('new', 0), ('dead', 2)) AS w (c, a)",
    )
    .await;
    let gauges = get_gauges(&test.db.get().await.unwrap()).await.unwrap();
    let counted: Vec<_> = gauges.jobs.iter().map(|c| (c.state.as_str(), c.status.as_str(), c.jobs)).collect();
    assert_eq!(
        counted,
        [
            ("deadletter", "failed_parse", 5),
            ("queued", "parsed", 3),
            ("queued", "uploaded", 4),
            ("retryable", "parsed", 2),
            ("working", "parsed", 1)
        ]
    );
    assert_eq!((gauges.users_waiting, gauges.ended_jobs_estimate()), (2, 7));
    assert_eq!((gauges.due_jobs(), gauges.workers_alive()), (6, 3));
    assert!((86_400..86_460).contains(&gauges.longest_in_hand_seconds()), "{gauges:?}");
    assert!((90..150).contains(&gauges.oldest_due_seconds()), "{gauges:?}");
    let workers: Vec<_> = gauges.workers.iter().map(|w| (w.commit.as_str(), w.workers, w.slots)).collect();
    assert_eq!(workers, [("new", 2, 8), ("old", 1, 4)]);
}

#[tokio::test]
async fn counting_jobs_does_not_read_a_hundred_thousand_ended_ones() {
    let test = TestDb::new().await;
    jobs(&test, 100_000, 50, "complete", "done", "now() - interval '1 day'").await;
    jobs(&test, 200, 20, "uploaded", "queued", "now() - interval '1 minute'").await;
    jobs(&test, 100, 20, "failed_parse", "deadletter", "now() - interval '1 minute'").await;
    // The plan must be good before the table was analysed and after.
    for prepare in ["SELECT", "ANALYZE upload_pipeline.upload_jobs"] {
        test.run(prepare).await;
        let plan = test.value(&format!("EXPLAIN (ANALYZE, FORMAT JSON) {COUNT_JOBS}")).await;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let mut found = Vec::new();
        scans(&plan[0]["Plan"], "upload_jobs", &mut found);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|(node, ..)| node != "Seq Scan"), "{prepare}: {found:?}");
        let rows: f64 = found.iter().map(|(.., rows)| rows).sum();
        assert!((rows - 300.0).abs() < 0.5, "{prepare}: {found:?}");
    }
}

/// Inserts `count` events of unknown jobs, a millisecond apart, the newest of them `ago` old.
async fn events(test: &TestDb, count: i64, ago: &str, kind: &str, severity: &str, payload: &str) {
    test.run(&format!(
        "INSERT INTO upload_pipeline.events (job_id, document_id, ts, type, severity, code, payload)
         SELECT gen_random_uuid(), gen_random_uuid(), now() - interval '{ago}' - ({count} - n) * interval '1 ms', '{kind}', '{severity}', 'x', {payload}
         FROM generate_series(1, {count}) AS n"
    ))
    .await;
}

#[tokio::test]
async fn recent_events_are_counted_by_type_and_class_from_a_bounded_number_of_rows() {
    let test = TestDb::new().await;
    events(&test, 3, "1 minute", "finalized", "info", "NULL").await;
    events(&test, 2, "1 minute", "retry", "warn", "'{\"class\": \"quota\"}'").await;
    events(&test, 1, "1 minute", "error", "error", "'{\"class\": \"made up elsewhere\"}'").await;
    events(&test, 4, "1 minute", "handed_back", "error", "'{\"class\": \"configuration\"}'").await;
    // Events that must not be counted: ordinary ones, and one kind that is too old.
    events(&test, 5, "1 minute", "handed_back", "info", "NULL").await;
    events(&test, 6, "1 minute", "stage_done", "info", "NULL").await;
    events(&test, 7, "6 minutes", "error", "error", "'{\"class\": \"quota\"}'").await;
    let conn = test.db.get().await.unwrap();
    let counted = count_recent_events(&conn).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|c| (c.kind.as_str(), c.class.as_str(), c.events)).collect();
    assert_eq!(
        counted,
        [("error", "", 1), ("finalized", "", 3), ("handed_back", "configuration", 4), ("retry", "quota", 2)]
    );
    // More new events than are read, on top of a long history.
    events(&test, 100_000, "1 day", "stage_done", "info", "NULL").await;
    events(&test, 3 * RECENT_EVENTS, "1 second", "stage_done", "info", "NULL").await;
    assert_eq!(count_recent_events(&conn).await.unwrap(), []);
    let sql = COUNT_RECENT_EVENTS.replace("$1", &RECENT_SECONDS.to_string()).replace("$2", &RECENT_EVENTS.to_string());
    test.run("ANALYZE upload_pipeline.events").await;
    let plan = test.value(&format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}")).await;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let mut found = Vec::new();
    scans(&plan[0]["Plan"], "events", &mut found);
    let [(node, index, rows)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((node.as_str(), index.as_str()), ("Index Scan", "ix_events_ts"));
    assert!(*rows <= 20_000.5, "{found:?}");
}

#[tokio::test]
async fn the_oldest_transaction_is_reported_with_its_application_name() {
    let test = TestDb::new().await;
    let conn = test.db.get().await.unwrap();
    assert_eq!(get_oldest_transaction(&conn).await.unwrap(), None);
    let report = connect(&test.url).await.unwrap();
    report.batch_execute("SET application_name = 'nightly report'; BEGIN; SELECT 1").await.unwrap();
    let open = get_oldest_transaction(&conn).await.unwrap().unwrap();
    assert_eq!((open.application_name.as_str(), open.state.as_str()), ("nightly report", "idle in transaction"));
    test.run(&format!("SELECT pg_terminate_backend({}, 5000)", open.pid)).await;
    assert_eq!(get_oldest_transaction(&conn).await.unwrap(), None);
}

#[tokio::test]
async fn the_jobs_table_is_vacuumed_after_a_fixed_number_of_dead_rows() {
    let test = TestDb::new().await;
    let options =
        "SELECT array_to_string(reloptions, ' ') FROM pg_class WHERE oid = 'upload_pipeline.upload_jobs'::regclass";
    let options = test.value(options).await;
    for option in ["fillfactor=80", "autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=2000"] {
        assert!(options.split(' ').any(|have| have == option), "{options}");
    }
    // Updates of progress and heartbeats must stay heap-only, so no index may contain these columns.
    let indexed = test
        .rows(
            "SELECT i.indexrelid::regclass, a.attname FROM pg_index AS i
             JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = 'upload_pipeline.upload_jobs'::regclass
               AND a.attname IN ('status', 'progress', 'lease_expires_at', 'step_started_at', 'updated_at', 'retry_count')",
        )
        .await;
    assert!(indexed.is_empty(), "{indexed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_no_login_and_name_no_user() {
    let test = TestDb::new().await;
    jobs(&test, 2, 2, "uploaded", "queued", "now()").await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    for path in [format!("{}/metrics", client.root), client.url("/metrics")] {
        let response = reqwest::get(&path).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = response.text().await.unwrap();
        assert!(text.contains("\nupload_jobs{state=\"queued\",status=\"uploaded\"} 2\n"), "{text}");
        assert!(text.contains("\nupload_users_waiting 2\n"), "{text}");
        assert!(!text.contains("00000000-0000-4000"), "{text}");
    }
}
