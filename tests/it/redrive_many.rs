//! Retrying many failed jobs with one request, under the same rules as for a single job.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet, USER},
};

const OTHER_USER: &str = "22222222-2222-4222-8222-222222222222";

/// Inserts a document of `user` with a failed job; returns the ids of both.
async fn failed(test: &TestDb, user: &str, status: &str, code: &str) -> (Uuid, Uuid) {
    let (document, job) = (Uuid::new_v4(), Uuid::new_v4());
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
         VALUES ('{document}', '{user}', 'a.md', 'text/markdown', 1, '{document}', 'raw/x', '{status}')"
    ))
    .await;
    add_job(test, document, job, status, "deadletter", code).await;
    (document, job)
}

async fn add_job(test: &TestDb, document: Uuid, job: Uuid, status: &str, state: &str, code: &str) {
    test.run(&format!(
        "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, last_error, enqueued_by, retry_count)
         VALUES ('{job}', '{document}', '{status}', '{state}', '{{\"code\": \"{code}\", \"checkpoint\": \"parsed\", \"first\": {{\"code\": \"the_first\"}}}}', 'test', 3)"
    ))
    .await;
}

async fn retry(client: &Client, body: Value) -> Value {
    let (status, answer) = client.post("/jobs/retry", body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn state(test: &TestDb, job: Uuid) -> String {
    test.value(&format!("SELECT status || ' ' || state FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_all_skips_jobs_whose_document_has_a_live_or_later_job() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let (_, plain) = failed(&test, USER, "failed_parse", "file_corrupt").await;
    let (_, foreign) = failed(&test, OTHER_USER, "failed_parse", "file_corrupt").await;
    // A failed job whose document has a newer complete job, and one whose document has an older live job.
    let (document, superseded) = failed(&test, USER, "failed_parse", "file_corrupt").await;
    add_job(&test, document, Uuid::new_v4(), "complete", "done", "").await;
    let (document, busy) = failed(&test, USER, "failed_embedding", "worker_died").await;
    let live = Uuid::new_v4();
    add_job(&test, document, live, "parsed", "queued", "").await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET created_at = now() - interval '1 day' WHERE job_id = '{live}'"
    ))
    .await;
    let everything = "SELECT md5(string_agg(j::text, '' ORDER BY job_id)) FROM upload_pipeline.upload_jobs AS j";
    let before = test.value(everything).await;
    let dry = retry(&client, json!({ "all": true, "dry_run": true })).await;
    assert_eq!(test.value(everything).await, before, "a dry run changes nothing");
    let wet = retry(&client, json!({ "all": true })).await;
    for answer in [&dry, &wet] {
        assert_eq!(answer["queued"], 1, "{answer}");
        assert_eq!(answer["reasons"], json!({ "document_busy": 1, "job_superseded": 1 }), "{answer}");
        assert_eq!(answer["next_cursor"], Value::Null);
    }
    assert_eq!(state(&test, plain).await, "parsed queued");
    for (job, unchanged) in [(foreign, "failed_parse"), (superseded, "failed_parse"), (busy, "failed_embedding")] {
        assert_eq!(state(&test, job).await, format!("{unchanged} deadletter"));
    }
    let first_code =
        format!("SELECT last_error -> 'first' ->> 'code' FROM upload_pipeline.upload_jobs WHERE job_id = '{plain}'");
    assert_eq!(test.value(&first_code).await, "the_first");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_and_status_filter_the_jobs_and_a_cursor_continues_after_each_batch() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    for n in 0..120 {
        let (status, code) =
            if n % 2 == 0 { ("failed_parse", "file_corrupt") } else { ("failed_chunking", "worker_died") };
        failed(&test, USER, status, code).await;
    }
    let dry = |body: Value| {
        let client = client.clone();
        async move { retry(&client, body).await["queued"].clone() }
    };
    assert_eq!(dry(json!({ "all": true, "dry_run": true, "code": "file_corrupt" })).await, 60);
    assert_eq!(dry(json!({ "all": true, "dry_run": true, "status": "failed_chunking" })).await, 60);
    assert_eq!(
        dry(json!({ "all": true, "dry_run": true, "status": "failed_chunking", "code": "file_corrupt" })).await,
        0
    );
    let first = retry(&client, json!({ "all": true })).await;
    assert_eq!(first["queued"], 100, "{first}");
    let second = retry(&client, json!({ "all": true, "cursor": first["next_cursor"] })).await;
    assert_eq!((&second["queued"], &second["next_cursor"]), (&json!(20), &Value::Null), "{second}");
    let queued = "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state = 'queued' AND retry_count = 0";
    assert_eq!(test.value(queued).await, "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_named_job_is_queued_or_skipped_with_a_reason() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let (_, good) = failed(&test, USER, "failed_parse", "file_corrupt").await;
    let (_, foreign) = failed(&test, OTHER_USER, "failed_parse", "file_corrupt").await;
    let (_, done) = failed(&test, USER, "failed_parse", "file_corrupt").await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET status = 'complete', state = 'done' WHERE job_id = '{done}'"
    ))
    .await;
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let ids = [good.to_string(), foreign.to_string(), done.to_string()];
    let args = ["jobs", "retry", "--json", &ids[0], &ids[1], &ids[2]];
    let (status, stdout, stderr) = fleet.run(&args);
    assert!(status.success(), "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["queued"], 1, "{answer}");
    assert_eq!(answer["reasons"], json!({ "job_not_found": 1, "job_not_retryable": 1 }), "{answer}");
    assert_eq!(state(&test, good).await, "parsed queued");
    let (status, stdout, stderr) = fleet.run(&["jobs", "retry", "--all", "--dry-run"]);
    assert!(status.success(), "{stderr}");
    assert!(stdout.starts_with("0 jobs would be queued"), "{stdout}");
    let (status, stdout, _) = fleet.run(&["jobs", "cancel", &ids[0], &ids[2]]);
    assert_eq!(status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("1 jobs cancelled") && stdout.contains("job_ended"), "{stdout}");
    let (status, body) = client.post("/jobs/retry", json!({})).await;
    assert_eq!((status, &body["code"]), (422, &"retry_selection_invalid".into()), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_a_retry_cannot_help_are_left_out_and_counted() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let mut left_out = Vec::new();
    for code in ["type_mismatch", "size_mismatch", "hash_mismatch", "upload_expired", "object_missing"] {
        left_out.push(failed(&test, USER, "failed_parse", code).await.1);
    }
    let (_, good) = failed(&test, USER, "failed_parse", "file_corrupt").await;
    // An object that was missing and is there again.
    let (document, found) = failed(&test, USER, "failed_parse", "object_missing").await;
    std::fs::create_dir_all(fleet.storage().join("raw")).unwrap();
    std::fs::write(fleet.storage().join("raw/found"), b"x").unwrap();
    test.run(&format!("UPDATE upload_pipeline.documents SET raw_path = 'raw/found' WHERE document_id = '{document}'"))
        .await;
    let dry = retry(&client, json!({ "all": true, "dry_run": true })).await;
    assert_eq!(dry["reasons"], json!({ "retry_needs_type": 1, "retry_needs_upload": 3 }), "{dry}");
    let wet = retry(&client, json!({ "all": true })).await;
    assert_eq!(
        (&wet["queued"], &wet["reasons"]),
        (&json!(2), &json!({ "retry_needs_type": 1, "retry_needs_upload": 4 })),
        "{wet}"
    );
    for job in [good, found] {
        assert_eq!(state(&test, job).await, "parsed queued");
    }
    for job in &left_out {
        assert_eq!(state(&test, *job).await, "failed_parse deadletter");
    }
    let named = retry(&client, json!({ "job_ids": left_out })).await;
    assert_eq!(named["reasons"], json!({ "retry_needs_type": 1, "retry_needs_upload": 4 }), "{named}");
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let (status, said, _) = fleet.run(&["jobs", "retry", "--all"]);
    assert!(status.success() && said.starts_with("0 jobs queued.\n1 left out: retry_needs_type"), "{said}");
    assert!(said.contains("\n4 left out: retry_needs_upload (The job's bytes never came"), "{said}");
}
