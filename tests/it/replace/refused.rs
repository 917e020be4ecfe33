//! What a replacement is refused for, and what it leaves untouched.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::{World, markdown, put};
use crate::{
    requests::{Answer, files_in, request, send},
    support::fleet::Client,
};

fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

async fn restore(client: &Client, document: &str, version: i32) -> (u16, Value) {
    client.post(&format!("/documents/{document}/versions/{version}/restore"), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_why_and_changes_nothing() {
    let world = World::new().await;
    let worker = world.fleet.worker();
    let theirs = world.client.upload_file("other.md", "text/markdown", b"# Other\n\nwords of another document\n").await;
    let other = theirs["document_id"].as_str().unwrap();
    world.client.wait_for_end(theirs["job_id"].as_str().unwrap()).await;
    assert_eq!(worker.stop(), 0);
    let stored = files_in(&world.fleet.storage()).len();
    let rows = "SELECT (SELECT count(*) FROM upload_pipeline.upload_jobs) || ' ' || (SELECT count(*) FROM upload_pipeline.uploads)
        || ' ' || (SELECT count(*) FROM upload_pipeline.document_versions)";
    let before = world.test.value(rows).await;

    let same = world.put("guide.md", "text/markdown", markdown(&[0, 1, 2], &[]).as_bytes()).await;
    assert_eq!(refusal(&same), (409, "version_active"), "{same:?}");
    let taken = world.put("guide.md", "text/markdown", b"# Other\n\nwords of another document\n").await;
    assert_eq!((refusal(&taken), &taken.body["document_id"]), ((409, "document_exists"), &json!(other)), "{taken:?}");
    assert_eq!(refusal(&world.put("guide.md", "text/markdown", b"").await), (422, "file_empty"));
    assert_eq!(refusal(&world.put(&"a".repeat(200), "text/markdown", b"x").await), (422, "filename_too_long"));
    let stranger = world.client.as_user("00000000-0000-0000-0000-00000000ffff");
    for (client, document) in
        [(&stranger, world.document.as_str()), (&world.client, "00000000-0000-0000-0000-00000000dead")]
    {
        assert_eq!(refusal(&put(client, document, "a.md", "text/markdown", b"x").await), (404, "document_not_found"));
        let (status, listed) = client.get(&format!("/documents/{document}/versions")).await;
        assert_eq!((status, &listed["code"]), (404, &json!("document_not_found")));
        assert_eq!(restore(client, document, 1).await.0, 404);
    }
    for (version, status, code) in [(1, 409, "version_active"), (7, 404, "version_not_found")] {
        let (got, problem) = restore(&world.client, &world.document, version).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem}");
    }
    let file = |text: &'static str| Part::bytes(text.as_bytes()).file_name("a.md").mime_str("text/markdown").unwrap();
    let two = Form::new().part("a", file("one")).part("b", file("two"));
    let answer = send(request(&world.client, Method::PUT, &world.path()).multipart(two)).await;
    assert_eq!(answer.code(), "too_many_files", "{answer:?}");
    let none = Form::new().text("ocr", "false");
    let answer = send(request(&world.client, Method::PUT, &world.path()).multipart(none)).await;
    assert_eq!(answer.code(), "file_missing", "{answer:?}");
    let stale = Form::new().part("a", file("one"));
    let stale = request(&world.client, Method::PUT, &world.path()).multipart(stale).header("If-Match", "\"stale\"");
    assert_eq!(refusal(&send(stale).await), (412, "precondition_failed"));
    let json_body = request(&world.client, Method::PUT, &world.path()).json(&json!({ "title": "a", "text": "b" }));
    assert_eq!(send(json_body).await.code(), "content_type_invalid");

    assert_eq!(world.test.value(rows).await, before);
    assert_eq!(files_in(&world.fleet.storage()).len(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_job_lives_only_the_same_bytes_again_are_accepted_for_the_same_job() {
    let world = World::new().await;
    let job = world.replace(&markdown(&[0, 3], &[]), 2).await;
    assert_eq!(world.replace(&markdown(&[0, 3], &[]), 2).await, job);
    let other = world.put("guide.md", "text/markdown", markdown(&[3], &[]).as_bytes()).await;
    assert_eq!((refusal(&other), &other.body["job_id"]), ((409, "document_busy"), &json!(job)), "{other:?}");
    assert_eq!(restore(&world.client, &world.document, 1).await.1["code"], "document_busy");
    // Nor does the same content become a document of its own meanwhile.
    let upload = world.client.upload_file("copy.md", "text/markdown", markdown(&[0, 3], &[]).as_bytes()).await;
    assert!(upload.is_null(), "{upload}");
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.documents").await, "1");

    // Cancelled, it makes room, and its number is not given again.
    assert_eq!(world.client.post(&format!("/jobs/{job}/cancel"), json!({})).await.0, 200);
    let next = world.replace(&markdown(&[3], &[]), 3).await;
    let _worker = world.fleet.worker();
    assert_eq!(world.client.wait_for_end(&next).await["status"], "complete");
    world.assert_shows(&markdown(&[3], &[]), 3, ["locomotive", "chapter"], "plankton").await;
    let states = [(3, "active"), (2, "failed"), (1, "previous")].map(|(number, state)| (number, state.to_owned()));
    assert_eq!(world.versions().await, states);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_stays_unless_some_is_given_and_changes_with_the_version() {
    let world = World::new().await;
    let said = json!({ "metadata": { "year": 2024 } });
    assert_eq!(world.client.send(Method::PATCH, &world.path(), Some(said)).await.0, 200);
    let worker = world.fleet.worker();
    let job = world.replace(&markdown(&[0, 3], &[]), 2).await;
    world.client.wait_for_end(&job).await;
    assert_eq!(worker.stop(), 0);
    let metadata = || async { world.client.get(&world.path()).await.1["metadata"].clone() };
    assert_eq!(metadata().await, json!({ "year": 2024 }));

    let part =
        Part::bytes(markdown(&[1], &[]).into_bytes()).file_name("guide 2025.md").mime_str("text/markdown").unwrap();
    let form = Form::new().text("metadata", r#"{"year": 2025}"#).part("file", part);
    let put = request(&world.client, Method::PUT, &world.path()).multipart(form).header("Idempotency-Key", "p1");
    let first = send(put).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, ""), "{first:?}");
    assert_eq!(metadata().await, json!({ "year": 2024 }), "until the new version is there");
    let part =
        Part::bytes(markdown(&[1], &[]).into_bytes()).file_name("guide 2025.md").mime_str("text/markdown").unwrap();
    let form = Form::new().text("metadata", r#"{"year": 2025}"#).part("file", part);
    let put = request(&world.client, Method::PUT, &world.path()).multipart(form).header("Idempotency-Key", "p1");
    let again = send(put).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body), "{again:?}");
    let _worker = world.fleet.worker();
    world.client.wait_for_end(first.body["job_id"].as_str().unwrap()).await;
    assert_eq!(metadata().await, json!({ "year": 2025 }));
    let (_, document) = world.client.get(&world.path()).await;
    assert_eq!((&document["filename"], &document["version_no"]), (&json!("guide 2025.md"), &json!(3)), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_knows_no_versions_leaves_the_job_to_one_that_does() {
    let world = World::new().await;
    let job = world.replace(&markdown(&[0, 3], &[]), 2).await;
    // As earlier builds claim.
    let claim = "SELECT count(*) FROM upload_pipeline.claim_jobs(p_worker => gen_random_uuid(), p_slots => 5, p_max_per_user => 0,
        p_after => NULL, p_statuses => ARRAY['uploaded'], p_steps => ARRAY['parse'], p_alone_from => 2, p_lease => 30, p_now => now())";
    assert_eq!(world.test.value(claim).await, "0");
    let state = "SELECT state || ' ' || lease_epoch FROM upload_pipeline.upload_jobs WHERE version_no = 2";
    assert_eq!(world.test.value(state).await, "queued 0");
    // What another program inserts is of the active version, and is anybody's.
    world
        .test
        .run(&format!(
            "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
             VALUES (gen_random_uuid(), '{}', 'uploaded', 'queued', '{{}}', NOW(), NOW())",
            world.document
        ))
        .await;
    assert_eq!(world.test.value(claim).await, "1");
    world.test.run("DELETE FROM upload_pipeline.upload_jobs WHERE version_no IS NULL").await;
    let _worker = world.fleet.worker();
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
}
