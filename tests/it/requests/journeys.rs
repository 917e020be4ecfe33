//! What users do with documents and jobs: cancel, retry, upload batches, delete.

use std::time::Duration;

use housekeeping::Housekeeping;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::{Api, announcement, api, files_in, request, send};

async fn events(api: &Api, job: &str) -> Vec<String> {
    let (_, events) = api.client.get(&format!("/jobs/{job}/events?limit=500")).await;
    let items = events["items"].as_array().unwrap();
    items.iter().map(|e| format!("{} {}", e["type"], e["code"]).replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_cancelled_retried_and_run_again_from_an_earlier_checkpoint() {
    let api = api(&[]).await;
    let client = &api.client;
    let job = client.upload_text("a", "# One\n\ntwo three").await;
    let (cancel, retry) = (format!("/jobs/{job}/cancel"), format!("/jobs/{job}/retry"));
    for _ in 0..2 {
        let (status, view) = client.post(&cancel, json!(null)).await;
        assert_eq!((status, &view["state"], &view["terminal"]), (200, &json!("cancelled"), &json!(true)), "{view}");
    }
    let (status, problem) = client.post(&retry, json!({ "from": "chunks_stored" })).await;
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("retry_from_invalid")),
        "the job never reached that checkpoint: {problem}"
    );
    assert_eq!(client.post(&retry, json!({})).await.0, 202);
    let _worker = api.fleet.worker();
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    let (status, problem) = client.post(&cancel, json!(null)).await;
    assert_eq!((status, &problem["code"], &problem["job_id"]), (409, &json!("job_ended"), &json!(job)), "{problem}");
    let (status, problem) = client.post(&retry, json!({})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("job_not_retryable")), "{problem}");
    let before = events(&api, &job).await.len();
    let (status, view) = client.post(&retry, json!({ "from": "parse_validated" })).await;
    assert_eq!((status, &view["status"]), (202, &json!("parse_validated")), "{view}");
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(
        events(&api, &job).await[before..],
        [
            "redriven parse_validated",
            "stage_started chunk",
            "stage_done chunks_stored",
            "stage_started embed",
            "stage_done embeddings_stored",
            "stage_started finish",
            "finalized complete"
        ]
    );
    let (_, problem) = client.post(&retry, json!({ "from": "complete" })).await;
    assert_eq!(problem["code"], "retry_from_invalid", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_of_a_batch_has_its_own_result() {
    let api = api(&[("UPLOAD_MAX_BYTES", "1000"), ("UPLOAD_MAX_FILES", "6")]).await;
    let existing = api.client.upload_text("existing", "already here").await;
    let big = "x".repeat(1001);
    let long = format!("{}.md", "n".repeat(130));
    let files = [
        ("good.md", "# Good\n\nnews", None),
        ("empty.md", "", Some("file_empty")),
        ("big.md", big.as_str(), Some("file_too_large")),
        (long.as_str(), "long", Some("filename_too_long")),
        ("again.md", "already here", Some("document_exists")),
        ("fine.md", "# Fine\n\ntoo", None),
        ("seventh.md", "one too many", Some("too_many_files")),
    ];
    let form = files.iter().fold(Form::new(), |form, (name, text, _)| {
        let part = Part::text((*text).to_owned()).file_name((*name).to_owned()).mime_str("text/markdown").unwrap();
        form.part("files", part)
    });
    let answer = send(request(&api.client, Method::POST, "/documents").multipart(form)).await;
    assert_eq!((answer.status, answer.header("location")), (202, ""), "{answer:?}");
    let entries = answer.body["documents"].as_array().unwrap();
    assert_eq!(entries.len(), files.len());
    for ((name, _, code), entry) in files.iter().zip(entries) {
        assert_eq!(entry["filename"], *name);
        assert_eq!(entry["problem"]["code"].as_str(), *code, "{name}: {entry}");
        assert_eq!(entry["job_id"].is_string(), code.is_none() || *code == Some("document_exists"), "{entry}");
    }
    assert_eq!(entries[4]["job_id"], json!(existing));
    assert_eq!(files_in(&api.fleet.storage()).len(), 3, "refused files must not be stored");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.documents").await, "3");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.uploads WHERE job_id IS NULL").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_upload_url_is_a_410() {
    let api = api(&[("UPLOAD_EXPIRY", "1")]).await;
    let text = b"on time";
    let (status, accepted) = api.client.post("/upload", announcement("a.md", text)).await;
    assert_eq!(status, 201, "{accepted}");
    let url = accepted["signed_url"].as_str().unwrap();
    // While the URL is valid, the wrong bytes are refused for their hash.
    let last = loop {
        let answer = send(reqwest::Client::new().put(url).body("not it!")).await;
        if answer.code() != "hash_mismatch" {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((last.status, last.code()), (410, "upload_url_expired"), "{last:?}");
    assert!(files_in(&api.fleet.storage()).is_empty());
}

pub fn housekeeping(api: &Api) -> Housekeeping {
    api.fleet.housekeeping(&api.test.db)
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_removes_rows_at_once_and_objects_later_and_the_receipt_shows_it() {
    let api = api(&[]).await;
    let client = &api.client;
    let job = client.upload_text("a", "# One\n\ntwo three").await;
    let worker = api.fleet.worker();
    let view = client.wait_for_end(&job).await;
    assert_eq!(worker.stop(), 0);
    assert_eq!(files_in(&api.fleet.storage()).len(), 2, "the upload and its markdown");
    let document = format!("/documents/{}", view["document_id"].as_str().unwrap());
    let (status, receipt) = client.send(Method::DELETE, &document, None).await;
    assert_eq!(
        (status, &receipt["state"], &receipt["objects_pending"]),
        (202, &json!("pending"), &json!(2)),
        "{receipt}"
    );
    for gone in [document.clone(), format!("{document}/chunks"), format!("/jobs/{job}"), format!("/jobs/{job}/events")]
    {
        assert_eq!(client.get(&gone).await.0, 404, "{gone}");
    }
    for table in ["documents", "upload_jobs", "document_chunks", "events"] {
        assert_eq!(api.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, "0", "{table}");
    }
    assert_eq!(client.send(Method::DELETE, &document, None).await.0, 404);
    let path = format!("/deletions/{}", receipt["deletion_id"].as_str().unwrap());
    let housekeeping = housekeeping(&api);
    let state = || async { client.get(&path).await.1["state"].clone() };
    housekeeping.sweep().await.unwrap();
    let left = files_in(&api.fleet.storage());
    let is_tombstone =
        |file: &String| file.contains("/deleted/") && file.ends_with(view["document_id"].as_str().unwrap());
    assert!(left.len() == 1 && left.iter().all(is_tombstone), "the first sweep removes the objects: {left:?}");
    assert_eq!(state().await, "pending", "a second sweep must follow, in case a running step wrote an object since");
    api.test.run("UPDATE upload_pipeline.storage_deletions SET delete_at = now()").await;
    housekeeping.sweep().await.unwrap();
    assert_eq!(state().await, "done");
    let stranger = client.as_user("22222222-2222-4222-8222-222222222222");
    assert_eq!(stranger.get(&path).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_document_gets_its_title_as_file_name_and_is_searchable() {
    let api = api(&[]).await;
    let _worker = api.fleet.worker();
    let text = "The ferry leaves at nine.";
    let (status, body) = api.client.post("/documents", json!({ "title": " ../../Ferry \u{5d7} ", "text": text })).await;
    assert_eq!(status, 202, "{body}");
    let job = api.client.wait_for_end(body["documents"][0]["job_id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["filename"]), (&json!("complete"), &json!("../../Ferry \u{5d7}.md")), "{job}");
    let (_, found) = api.client.post("/search", json!({ "query": "ferry", "mode": "text" })).await;
    let hit: &Value = &found["hits"][0];
    assert_eq!(hit["document_id"], job["document_id"], "{found}");
    let store = api.fleet.storage();
    assert!(files_in(&store).iter().all(|file| !file.contains("Ferry")), "a file name must not become part of a path");
}
