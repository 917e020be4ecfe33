//! The two-step upload with S3: the client sends the bytes to a presigned URL of the store, not to the API.

use serde_json::json;

use super::{announcement, request, send};
use crate::support::{
    db::TestDb,
    fakes::s3::{Fault, S3},
    fleet::Fleet,
};

pub fn fleet(test: &TestDb, store: &S3) -> Fleet {
    let mut fleet = Fleet::new(&test.url, &test.url);
    for (name, value) in [
        ("STORAGE_URL", store.storage_url()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-so-secret-secret".to_owned()),
    ] {
        fleet.set(name, &value);
    }
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_finds_bytes_that_were_put_to_a_presigned_url() {
    let (test, store) = (TestDb::new().await, S3::start(Fault::Nothing));
    let fleet = fleet(&test, &store);
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let text = b"# Lighthouse\n\nThe lamp turns once in twelve seconds.\n";
    let announce = || {
        send(
            request(&client, reqwest::Method::POST, "/upload")
                .header("Idempotency-Key", "s3")
                .json(&announcement("l.md", text)),
        )
    };
    let (first, again) = (announce().await, announce().await);
    assert_eq!((first.status, again.header("idempotency-replayed")), (201, "true"), "{first:?} {again:?}");
    assert_eq!(first.body["job_id"], again.body["job_id"]);
    let url = again.body["signed_url"].as_str().unwrap();
    assert!(url.starts_with(&store.url()) && url.contains("X-Amz-Signature="), "{url}");
    let stored = test.value("SELECT response::text FROM upload_pipeline.idempotency_keys").await;
    assert!(!stored.contains("X-Amz"), "a signed URL is stored: {stored}");
    assert_eq!(reqwest::Client::new().put(url).body(text.to_vec()).send().await.unwrap().status(), 200);
    let job = client.wait_for_end(first.body["job_id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "complete", "{job}");
    let (_, found) = client.post("/search", json!({ "query": "How often does the lamp turn?" })).await;
    assert_eq!(found["hits"][0]["filename"], "l.md", "{found}");
    assert!(store.requests().iter().any(|(request, by_url)| *by_url && request.starts_with("PUT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_degrades_health_and_stops_only_uploads() {
    let (test, store) = (TestDb::new().await, S3::start(Fault::DenyAll));
    let (_api, client) = fleet(&test, &store).api();
    let health: serde_json::Value = reqwest::get(format!("{}/health", client.root))
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&health["status"], &health["checks"]["database"]), (&json!("degraded"), &json!("ok")), "{health}");
    assert_eq!(health["checks"]["storage"], "storage_denied", "{health}");
    assert_eq!(client.get("/jobs").await.0, 200);
    let (status, problem) = client.post("/documents", json!({ "title": "t", "text": "words" })).await;
    assert_eq!((status, &problem["code"]), (503, &json!("storage_unavailable")), "{problem}");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.documents").await, "0");
}
