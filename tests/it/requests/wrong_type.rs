//! Files of another type than the declared one: their bytes are kept, a retry says what would help, and that helps.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Api, announcement, api, files_in, journeys::housekeeping, request, send};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const TEXT: &[u8] = b"# Ferry\n\nThe ferry to the island leaves at nine and at noon.\n";

/// A text that was sent as a Word document, and its job, which failed for that.
async fn mistyped(api: &Api) -> Value {
    let sent = api.client.upload_file("ferry.docx", DOCX, TEXT).await;
    let _worker = api.fleet.worker();
    let ended = api.client.wait_for_end(sent["job_id"].as_str().unwrap()).await;
    assert_eq!(
        (&ended["state"], &ended["last_error"]["code"]),
        (&json!("deadletter"), &json!("type_mismatch")),
        "{ended}"
    );
    assert!(ended["last_error"]["message"].as_str().unwrap().ends_with("Its bytes are kept for 24 hours."), "{ended}");
    assert_eq!(files_in(&api.fleet.storage()).len(), 1, "the bytes are kept");
    ended
}

fn path(job: &Value, rest: &str) -> String {
    format!("/jobs/{}{rest}", job["job_id"].as_str().unwrap())
}

async fn retry(api: &Api, job: &Value, from: Value) -> (u16, String) {
    let (status, answer) = api.client.post(&path(job, "/retry"), from).await;
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

async fn patch(api: &Api, job: &Value, mime: &str) -> Answer {
    let path = format!("/documents/{}", job["document_id"].as_str().unwrap());
    send(request(&api.client, Method::PATCH, &path).json(&json!({ "mime": mime }))).await
}

async fn announce(api: &Api, name: &str) -> Answer {
    send(request(&api.client, Method::POST, "/upload").json(&announcement(name, TEXT))).await
}

/// Lets the days pass for which the bytes are kept.
async fn let_the_bytes_go(api: &Api) {
    api.test.run("UPDATE upload_pipeline.uploads SET expires_at = expires_at - interval '1 day 2 minutes', created_at = created_at - interval '1 day 2 minutes'").await;
    housekeeping(api).sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_type_reads_the_kept_bytes_at_once_and_a_retry_without_it_is_refused() {
    let api = api(&[]).await;
    let job = mistyped(&api).await;
    for from in [json!({}), json!({ "from": "uploaded" })] {
        assert_eq!(retry(&api, &job, from).await, (409, "retry_needs_type".to_owned()));
    }
    assert_eq!(api.client.get(&path(&job, "")).await.1, job, "nothing has changed");
    for (wrong, status, code) in [("text", 422, "mime_invalid"), ("multipart/form-data", 422, "mime_invalid")] {
        let refused = patch(&api, &job, wrong).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{refused:?}");
    }
    let document = format!("/documents/{}", job["document_id"].as_str().unwrap());
    let stranger = api.client.as_user("22222222-2222-4222-8222-222222222222");
    assert_eq!(stranger.send(Method::PATCH, &document, Some(json!({ "mime": "text/plain" }))).await.0, 404);
    let stale = request(&api.client, Method::PATCH, &document).header("If-Match", "\"stale\"");
    assert_eq!(send(stale.json(&json!({ "mime": "text/plain" }))).await.code(), "precondition_failed");

    let corrected = patch(&api, &job, "text/markdown").await;
    assert_eq!((corrected.status, &corrected.body["mime"]), (200, &json!("text/markdown")), "{corrected:?}");
    assert_eq!(corrected.body["processing_status"], "uploaded");
    assert_eq!(patch(&api, &job, "text/markdown").await.status, 200, "twice is once");
    let _worker = api.fleet.worker();
    let ended = api.client.wait_for_end(job["job_id"].as_str().unwrap()).await;
    assert_eq!((&ended["status"], &ended["filename"]), (&json!("complete"), &json!("ferry.docx")), "{ended}");
    let (_, seen) = api.client.get(&document).await;
    assert_eq!(seen["kind"], "markdown", "{seen}");
    assert_eq!(patch(&api, &job, "text/markdown").await.status, 200);
    let settled = patch(&api, &job, "application/pdf").await;
    assert_eq!((settled.status, settled.code()), (409, "type_settled"), "{settled:?}");
    // Housekeeping leaves the bytes of a document that is read.
    let_the_bytes_go(&api).await;
    assert_eq!(files_in(&api.fleet.storage()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_helps_and_does_it() {
    let mut api = api(&[]).await;
    let job = mistyped(&api).await;
    let id = job["job_id"].as_str().unwrap();
    api.fleet.set("APP_URL", &api.client.root);
    api.fleet.set("APP_TOKEN", &api.client.token);
    let (status, _, said) = api.fleet.run(&["jobs", "retry", id]);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("PATCH /documents/{id}") && said.contains("right name"), "{said}");
    let (status, counts, _) = api.fleet.run(&["jobs", "retry", "--all"]);
    assert!(
        status.success() && counts.starts_with("0 jobs queued.\n1 left out: retry_needs_type (The bytes"),
        "{counts}"
    );
    let (status, _, said) = api.fleet.run(&["jobs", "retry", id, "--type", "words"]);
    assert_eq!(status.code(), Some(2), "{said}");
    let (status, shown, said) = api.fleet.run(&["jobs", "retry", id, "--type", "md"]);
    assert!(status.success() && shown.contains("queued"), "{shown}{said}");
    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(id).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_under_the_right_name_takes_the_bytes_over() {
    let mut api = api(&[("UPLOAD_MAX_FILES", "1")]).await;
    let job = mistyped(&api).await;
    let file = api.fleet.file("ferry.md", TEXT).display().to_string();
    api.fleet.set("APP_URL", &api.client.root);
    api.fleet.set("APP_TOKEN", &api.client.token);
    let _worker = api.fleet.worker();
    let (status, table, lines) = api.fleet.run(&["upload", &file]);
    assert!(status.success() && table.contains("complete"), "{table}{lines}");
    assert!(lines.contains("ferry.md: taking over the bytes of the upload that failed for its type"), "{lines}");
    let count = "SELECT count(*) || ' ' || count(stored_at) FROM upload_pipeline.uploads";
    assert_eq!(api.test.value(count).await, "1 1", "nothing was sent again");
    let (_, document) = api.client.get(&format!("/documents/{}", job["document_id"].as_str().unwrap())).await;
    assert_eq!((&document["filename"], &document["kind"]), (&json!("ferry.md"), &json!("markdown")), "{document}");
    assert_ne!(document["job_id"], job["job_id"]);
    let_the_bytes_go(&api).await;
    assert_eq!(files_in(&api.fleet.storage()).len(), 2, "they are the document's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_is_given_with_bytes_that_are_there_and_takes_them_again() {
    let api = api(&[]).await;
    mistyped(&api).await;
    let taken = announce(&api, "ferry.md").await;
    assert_eq!((taken.status, &taken.body["stored"]), (201, &json!(true)), "{taken:?}");
    let again = send(reqwest::Client::new().put(taken.body["signed_url"].as_str().unwrap()).body(TEXT)).await;
    assert_eq!(again.status, 204, "a client that does not know `stored` sends them: {again:?}");
    let late = announce(&api, "ferry.md").await;
    assert_eq!((late.status, &late.body["job_id"]), (409, &taken.body["job_id"]), "{late:?}");
    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(taken.body["job_id"].as_str().unwrap()).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_kept_long_enough_go_and_the_job_says_so_and_asks_for_an_upload() {
    let mut api = api(&[]).await;
    let job = mistyped(&api).await;
    housekeeping(&api).sweep().await.unwrap();
    assert_eq!(files_in(&api.fleet.storage()).len(), 1, "a day is not over");
    let_the_bytes_go(&api).await;
    assert!(files_in(&api.fleet.storage()).is_empty());
    let (_, now) = api.client.get(&path(&job, "")).await;
    assert!(now["last_error"]["bytes_removed_at"].is_string(), "{now}");
    assert_eq!(now["last_error"]["code"], "type_mismatch", "the reason stays");
    assert_eq!(retry(&api, &job, json!({})).await, (409, "retry_needs_upload".to_owned()));
    let refused = patch(&api, &job, "text/markdown").await;
    assert_eq!((refused.status, refused.code()), (409, "retry_needs_upload"), "{refused:?}");
    api.fleet.set("APP_URL", &api.client.root);
    api.fleet.set("APP_TOKEN", &api.client.token);
    let (_, shown, _) = api.fleet.run(&["jobs", "show", job["job_id"].as_str().unwrap()]);
    assert!(shown.contains("The bytes were removed; upload the file again."), "{shown}");
    let new = announce(&api, "ferry.md").await;
    assert_eq!((new.status, &new.body["stored"]), (201, &json!(false)), "{new:?}");
    let stored = send(reqwest::Client::new().put(new.body["signed_url"].as_str().unwrap()).body(TEXT)).await;
    assert_eq!(stored.status, 204, "{stored:?}");
    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(new.body["job_id"].as_str().unwrap()).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_what_was_announced_cannot_be_retried_and_go_too() {
    let api = api(&[]).await;
    let sent = api.client.upload_file("ferry.md", "text/markdown", TEXT).await;
    api.test.run("UPDATE upload_pipeline.documents SET file_sha256 = repeat('0', 64)").await;
    let worker = api.fleet.worker();
    let job = api.client.wait_for_end(sent["job_id"].as_str().unwrap()).await;
    assert_eq!(job["last_error"]["code"], "hash_mismatch", "{job}");
    assert_eq!(worker.stop(), 0);
    assert_eq!(retry(&api, &job, json!({})).await, (409, "retry_needs_upload".to_owned()));
    assert_eq!(files_in(&api.fleet.storage()).len(), 1);
    let_the_bytes_go(&api).await;
    assert!(files_in(&api.fleet.storage()).is_empty());
}
