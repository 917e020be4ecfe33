//! Documents that an older reader has read are read again, behind everything else, and stay searchable as they are until the
//! new reading is complete.

use serde_json::{Value, json};

use crate::{
    requests::files_in,
    support::{
        db::TestDb,
        fleet::{Client, Fleet},
    },
};

async fn complete(client: &Client, title: &str, text: &str) -> (String, String) {
    let job = client.upload_text(title, text).await;
    let ended = client.wait_for_end(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    (job, ended["document_id"].as_str().unwrap().to_owned())
}

async fn hits(client: &Client) -> usize {
    let (_, found) = client.post("/search", json!({ "query": "whale", "mode": "text" })).await;
    found["hits"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_reader_read_is_read_again_and_unchanged_passages_keep_their_vectors() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let worker = fleet.worker();
    let (job, document) = complete(&client, "old", "# Whales\n\nThe blue whale sings.\n").await;
    complete(&client, "new", "# Ferries\n\nThe captain hears the bell.\n").await;
    let (_, paid) = complete(&client, "paid", "# Otters\n\nThe otter swims.\n").await;
    assert_eq!(worker.stop(), 0);
    // One was read before readers had versions, one by a parser that would be paid again.
    test.run(&format!(
        "UPDATE upload_pipeline.documents SET record = NULL WHERE document_id IN ('{document}', '{paid}');
         UPDATE upload_pipeline.documents SET parser = 'llamaparse' WHERE document_id = '{paid}'"
    ))
    .await;
    let embedded = format!(
        "SELECT string_agg(embed_updated_at::text, ',') FROM upload_pipeline.document_chunks WHERE document_id = '{document}'"
    );
    let before = test.value(&embedded).await;

    let current = domain::record::READER_VERSION.to_string();
    let retry = |more: &[&str]| {
        let (status, printed, log) =
            fleet.run(&[&["jobs", "retry", "--all", "--reader-before", &current], more].concat());
        assert!(status.success(), "{log}");
        printed
    };
    assert!(retry(&["--dry-run"]).starts_with("1 jobs would be queued"));
    assert!(retry(&[]).starts_with("1 jobs queued"));
    let (_, waiting) = client.get(&format!("/jobs/{job}")).await;
    assert_eq!(
        (&waiting["status"], &waiting["state"], &waiting["priority"]),
        (&json!("uploaded"), &json!("queued"), &json!(100))
    );
    assert_eq!(hits(&client).await, 1, "what waits to be read again can be searched");
    assert!(retry(&[]).starts_with("0 jobs queued"), "it waits already");

    let _worker = fleet.worker();
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    let (_, read) = client.get(&format!("/documents/{document}")).await;
    assert_eq!(read["record"]["reader_version"], domain::record::READER_VERSION, "{read}");
    assert_eq!(test.value(&embedded).await, before, "nothing was embedded again");
    assert_eq!(hits(&client).await, 1);
    assert!(retry(&[]).starts_with("0 jobs queued"));

    // A retry that a person asks for is not held up.
    let (status, asked) = client.post(&format!("/jobs/{job}/retry"), json!({ "from": "parsed" })).await;
    assert_eq!((status, &asked["priority"]), (202, &json!(0)), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_again_is_left_out_with_the_reason_and_stays_as_it_is() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let worker = fleet.worker();
    let (_, lost) = complete(&client, "lost", "# Whales\n\nThe blue whale sings.\n").await;
    assert_eq!(worker.stop(), 0);
    let key = test.value("SELECT raw_path FROM upload_pipeline.documents").await;
    std::fs::remove_file(fleet.storage().join(key)).unwrap();
    let ask = json!({ "all": true, "reader_before": 99 });
    let (status, answer) = client.post("/jobs/retry", ask).await;
    assert_eq!(
        (status, &answer["queued"], &answer["reasons"]),
        (200, &json!(0), &json!({ "retry_needs_upload": 1 })),
        "{answer}"
    );
    let (_, document) = client.get(&format!("/documents/{lost}")).await;
    assert_eq!(document["processing_status"], "complete");
    assert_eq!(hits(&client).await, 1);
    for wrong in [
        json!({ "all": true, "reader_before": 2, "code": "file_corrupt" }),
        json!({ "all": true, "reader_before": 2, "status": "failed_parse" }),
        json!({ "job_ids": [lost], "reader_before": 2 }),
    ] {
        let (status, refused) = client.post("/jobs/retry", wrong).await;
        assert_eq!((status, &refused["code"]), (422, &Value::from("retry_selection_invalid")), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_searched_as_it_is_until_a_new_reading_is_complete_and_after_one_that_failed() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let worker = fleet.worker();
    let (job, document) = complete(&client, "whales", "# Whales\n\nThe blue whale sings.\n").await;
    assert_eq!(worker.stop(), 0);
    let path = format!("/documents/{document}");
    let (read, chunks) = (format!("{path}/markdown"), format!("{path}/chunks"));
    let before = (client.get(&read).await, client.get(&chunks).await);
    let original = fleet.storage().join(test.value("SELECT raw_path FROM upload_pipeline.documents").await);
    let bytes = std::fs::read(&original).unwrap();
    std::fs::remove_file(&original).unwrap();

    let again = json!({ "from": "uploaded" });
    let (status, queued) = client.post(&format!("/jobs/{job}/retry"), again.clone()).await;
    assert_eq!((status, &queued["status"]), (202, &json!("uploaded")), "{queued}");
    assert_eq!(hits(&client).await, 1);
    let worker = fleet.worker();
    assert_eq!(client.wait_for_end(&job).await["last_error"]["code"], "object_missing");
    let (_, seen) = client.get(&path).await;
    assert_eq!((&seen["processing_status"], &seen["job_state"]), (&json!("complete"), &json!("deadletter")), "{seen}");
    assert_eq!((client.get(&read).await, client.get(&chunks).await), before);
    assert_eq!(hits(&client).await, 1);
    let (_, versions) = client.get(&format!("{path}/versions")).await;
    assert_eq!(versions["items"].as_array().unwrap().len(), 1, "a reading is no version: {versions}");

    std::fs::write(&original, bytes).unwrap();
    assert_eq!(client.post(&format!("/jobs/{job}/retry"), json!({})).await.0, 202);
    let ended = client.wait_for_end(&job).await;
    assert_eq!((&ended["status"], &ended["progress"]["kept"]), (&json!("complete"), &json!(1)), "{ended}");
    // From behind the chunk step it begins with the passages that are there.
    assert_eq!(client.post(&format!("/jobs/{job}/retry"), json!({ "from": "chunks_stored" })).await.0, 202);
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    assert_eq!((client.get(&read).await, client.get(&chunks).await), before, "the same text at the same ids");
    assert_eq!(worker.stop(), 0);
    let sweeper = fleet.housekeeping(&test.db);
    sweeper.sweep().await.unwrap();
    assert_eq!(files_in(&fleet.storage()).len(), 2, "the original, and one text");
    let (status, printed, log) = fleet.run(&["verify", "--all"]);
    assert!(status.success(), "{printed}{log}");
}
