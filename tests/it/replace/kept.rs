//! Versions that are kept: restored, removed by age, and deleted with their document.

use std::time::Duration;

use serde_json::{Value, json};
use store::retention::Retention;

use super::{World, markdown};
use crate::{requests::files_in, support::fleet::Client};

const BUDGET: Duration = Duration::from_secs(60);

async fn restore(client: &Client, document: &str, version: i32) -> Value {
    let (status, answer) = client.post(&format!("/documents/{document}/versions/{version}/restore"), json!({})).await;
    assert_eq!((status, &answer["version_no"]), (202, &json!(version)), "{answer}");
    client.wait_for_end(answer["job_id"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_previous_version_comes_back_without_being_read_or_embedded_again() {
    let world = World::new().await;
    let (first, second) = (markdown(&[0, 1, 2], &[]), markdown(&[0, 3], &[]));
    let _worker = world.fleet.worker();
    let job = world.replace(&second, 2).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    let vectors = "SELECT max(embed_updated_at) FROM (SELECT embed_updated_at FROM upload_pipeline.document_chunks
        UNION ALL SELECT embed_updated_at FROM upload_pipeline.version_chunks) t";
    let before = world.test.value(vectors).await;

    let ended = restore(&world.client, &world.document, 1).await;
    assert_eq!((&ended["status"], &ended["progress"]["kept"]), (&json!("complete"), &json!(3)), "{ended}");
    world.assert_shows(&first, 1, ["plankton", "riverbank"], "locomotive").await;
    assert_eq!(world.versions().await, [(2, "previous".to_owned()), (1, "active".to_owned())]);
    // The bytes restore it as well, under the name that they come with.
    let answer = world.put("renamed.md", "text/markdown", second.as_bytes()).await;
    assert_eq!((answer.status, &answer.body["version_no"]), (202, &json!(2)), "{answer:?}");
    let job = answer.body["job_id"].as_str().unwrap();
    assert_eq!(world.client.wait_for_end(job).await["status"], "complete");
    world.assert_shows(&second, 2, ["plankton", "locomotive"], "riverbank").await;
    assert_eq!(world.client.get(&world.path()).await.1["filename"], "renamed.md");
    let steps = format!(
        "SELECT string_agg(DISTINCT code, ',') FROM upload_pipeline.events WHERE job_id = '{job}' AND type = 'stage_started'"
    );
    assert_eq!(world.test.value(&steps).await, "finish");
    assert_eq!(world.test.value(vectors).await, before, "nothing was embedded");
    // Of vectors of another model, those are made that are missing.
    world.test.run("UPDATE upload_pipeline.version_chunks SET embed_version = 'older' WHERE chunk_ord = 0").await;
    let ended = restore(&world.client, &world.document, 1).await;
    assert_eq!((&ended["status"], &ended["progress"]["kept"]), (&json!("complete"), &json!(2)), "{ended}");
    assert_eq!(files_in(&world.fleet.storage()).len(), 4, "two originals, two texts");
    world.verify();
    // What is damaged of a version that is not active is found, too.
    world.test.run("UPDATE upload_pipeline.version_chunks SET text = text || ' more' WHERE chunk_ord = 0").await;
    let (status, printed, _) = world.fleet.run(&["verify", "--all"]);
    assert!(status.code() == Some(1) && printed.contains("passages_differ  version 2: "), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_go_with_their_objects_and_their_content_may_come_again() {
    let world = World::new().await;
    let worker = world.fleet.worker();
    for (number, text) in [(2, markdown(&[0, 3], &[])), (3, markdown(&[1, 3], &[]))] {
        let job = world.replace(&text, number).await;
        assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    }
    assert_eq!(worker.stop(), 0);
    assert_eq!(files_in(&world.fleet.storage()).len(), 6);
    world
        .test
        .run(
            "UPDATE upload_pipeline.document_versions SET updated_at = now() - interval '31 days' WHERE version_no = 1",
        )
        .await;
    let mut keep = Retention {
        events_days: 0,
        webhooks_days: 0,
        jobs_days: 0,
        receipts_days: 0,
        versions_days: 0,
        judgements_days: 0,
        usage_days: 0,
    };
    let deleted = housekeeping::delete_old(&world.test.db, keep, BUDGET).await.unwrap();
    assert_eq!(deleted.versions, 0, "0 keeps them for ever");
    keep.versions_days = 30;
    let deleted = housekeeping::delete_old(&world.test.db, keep, BUDGET).await.unwrap();
    assert_eq!(deleted.versions, 1);
    world.fleet.housekeeping(&world.test.db).sweep().await.unwrap();
    assert_eq!(files_in(&world.fleet.storage()).len(), 4);
    assert_eq!(world.versions().await, [(3, "active".to_owned()), (2, "previous".to_owned())]);
    let (status, gone) = world.client.post(&format!("{}/versions/1/restore", world.path()), json!({})).await;
    assert_eq!((status, &gone["code"]), (404, &json!("version_not_found")));
    let first = world.test.value("SELECT job_id FROM upload_pipeline.upload_jobs ORDER BY created_at LIMIT 1").await;
    let (status, gone) = world.client.post(&format!("/jobs/{first}/retry"), json!({ "from": "uploaded" })).await;
    assert_eq!((status, &gone["code"]), (409, &json!("retry_needs_upload")), "{gone}");

    // The content that the document began with is a document of its own.
    let _worker = world.fleet.worker();
    let again = world.client.upload_text("guide", &markdown(&[0, 1, 2], &[])).await;
    let ended = world.client.wait_for_end(&again).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_ne!(ended["document_id"], world.document.as_str());
    assert_eq!(world.found("riverbank").await, ["text", "vector", "hybrid"]);
    assert_eq!(world.found("locomotive").await, ["text", "vector", "hybrid"]);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_document_removes_every_version_with_the_receipt() {
    let world = World::new().await;
    let worker = world.fleet.worker();
    let job = world.replace(&markdown(&[0, 3], &[]), 2).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(worker.stop(), 0);
    // One more is on its way.
    world.replace(&markdown(&[1, 3], &[]), 3).await;
    assert_eq!(files_in(&world.fleet.storage()).len(), 5);
    let (status, receipt) = world.client.send(reqwest::Method::DELETE, &world.path(), None).await;
    assert_eq!((status, &receipt["objects_pending"]), (202, &json!(5)), "{receipt}");
    for table in
        ["documents", "document_versions", "version_chunks", "document_chunks", "upload_jobs", "search_documents"]
    {
        let rows = world.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await;
        assert_eq!(rows, "0", "{table}");
    }
    let sweeper = world.fleet.housekeeping(&world.test.db);
    sweeper.sweep().await.unwrap();
    world.test.run("UPDATE upload_pipeline.storage_deletions SET delete_at = now()").await;
    sweeper.sweep().await.unwrap();
    let files = files_in(&world.fleet.storage());
    assert!(files.iter().all(|file| !file.contains("/raw/") && !file.contains("/parsed/")), "{files:?}");
    let id = receipt["deletion_id"].as_str().unwrap();
    assert_eq!(world.client.get(&format!("/deletions/{id}")).await.1["state"], "done");
}
