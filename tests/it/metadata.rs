//! What a client says of a document: given in every way of uploading, changed later, and filtered by.

use serde_json::{Value, json};

use crate::support::{db::TestDb, fleet::Fleet};

const TEXT: &str = "# Whales\n\nThe blue whale sings, wherever it swims.\n";

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_with_each_way_of_uploading_and_changes_without_embedding_again() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let worker = fleet.worker();
    let (status, accepted) = client
        .post(
            "/documents",
            json!({ "title": "text", "text": TEXT, "metadata": { "way": "text", "text": "not the text" } }),
        )
        .await;
    assert_eq!(status, 202, "{accepted}");
    client.wait_for_end(accepted["documents"][0]["job_id"].as_str().unwrap()).await;
    let document = accepted["documents"][0]["document_id"].as_str().unwrap().to_owned();
    for (way, option) in [("two", "--two-step"), ("one", "--one-step")] {
        let file = fleet.file(&format!("{way}.md"), format!("{TEXT}\nAnd {way} more.\n").as_bytes());
        let metadata = json!({ "way": way }).to_string();
        let (status, printed, log) = fleet.run(&["upload", option, "--metadata", &metadata, file.to_str().unwrap()]);
        assert!(status.success(), "{printed} {log}");
    }
    let ways = "SELECT string_agg(metadata->>'way', ' ' ORDER BY metadata->>'way') FROM upload_pipeline.documents";
    assert_eq!(test.value(ways).await, "one text two");

    let named = |filter: Value| {
        let client = &client;
        async move {
            let body = json!({ "query": "whale", "mode": "text", "filter": filter });
            let (status, found) = client.post("/search", body).await;
            assert_eq!(status, 200, "{found}");
            let mut names: Vec<String> = found["hits"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hit| hit["filename"].as_str().unwrap().to_owned())
                .collect();
            names.sort_unstable();
            names
        }
    };
    assert_eq!(named(json!({ "field": "metadata.way", "in": ["one", "text"] })).await, ["one.md", "text.md"]);
    let embedded = "SELECT max(embed_updated_at) || ' ' || count(*) FROM upload_pipeline.document_chunks";
    let before = test.value(embedded).await;
    let path = format!("/documents/{document}");
    let patch = |body: Value| client.send(reqwest::Method::PATCH, &path, Some(body));
    let (status, changed) = patch(json!({ "metadata": { "way": "none", "year": 2018 } })).await;
    assert_eq!((status, &changed["metadata"]), (200, &json!({ "way": "none", "year": 2018 })));
    assert_eq!(named(json!({ "field": "metadata.year", "eq": 2018 })).await, ["text.md"]);
    assert_eq!(named(json!({ "field": "metadata.way", "eq": "text" })).await, [""; 0]);
    assert_eq!(test.value(embedded).await, before);
    for (body, status, code) in [
        (json!({ "metadata": 7 }), 422, "metadata_invalid"),
        (json!({}), 422, "metadata_invalid"),
        (json!({ "mime": "text/html", "metadata": {} }), 422, "metadata_invalid"),
    ] {
        let (got, problem) = patch(body).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    let other = client.as_user("00000000-0000-0000-0000-00000000ffff");
    assert_eq!(other.send(reqwest::Method::PATCH, &path, Some(json!({ "metadata": {} }))).await.0, 404);
    let (status, _, log) =
        fleet.run(&["search", "whale", "--filter", r#"{"field": "metadata.year", "eq": 2018}"#, "--mode", "text"]);
    assert!(status.success(), "{log}");
    assert_eq!(worker.stop(), 0);
}
