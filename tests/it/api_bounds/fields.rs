//! Every field of every JSON body has a limit, and each refusal has its own code.

use serde_json::{Value, json};

use crate::support::{db::TestDb, served::Plan};

#[tokio::test(flavor = "multi_thread")]
async fn each_field_has_a_limit_and_a_refusal_stores_nothing() {
    let test = TestDb::new().await;
    let api = Plan::new().serve(&test.url).await;
    let upload = json!({ "filename": "a.md", "bytes_len": 1, "mime": "text/markdown", "sha256": "ab".repeat(32) });
    let with = |name: &str, value: Value| {
        let mut body = upload.clone();
        body[name] = value;
        body
    };
    let long = "x".repeat(100_000);
    let job = uuid::Uuid::new_v4();
    let retry = format!("/jobs/{job}/retry");
    let cases = [
        ("/upload", with("filename", "".into()), 422, "filename_empty"),
        ("/upload", with("filename", "x".repeat(121).into()), 422, "filename_too_long"),
        ("/upload", with("filename", "a\u{0}b".into()), 422, "filename_invalid"),
        ("/upload", with("filename", 7.into()), 400, "json_invalid"),
        ("/upload", with("bytes_len", 0.into()), 422, "file_empty"),
        ("/upload", with("bytes_len", u64::MAX.into()), 413, "file_too_large"),
        ("/upload", with("bytes_len", (-1).into()), 400, "json_invalid"),
        ("/upload", with("bytes_len", json!(1e30)), 400, "json_invalid"),
        ("/upload", with("mime", "x".into()), 422, "mime_invalid"),
        ("/upload", with("mime", format!("text/{long}").into()), 422, "mime_invalid"),
        ("/upload", with("sha256", long.clone().into()), 422, "sha256_invalid"),
        ("/upload", with("ocr", "yes".into()), 400, "json_invalid"),
        ("/upload", with("metadata", json!([])), 422, "metadata_invalid"),
        ("/upload", with("metadata", json!({ "a": "x".repeat(8200) })), 422, "metadata_invalid"),
        ("/upload", with("metadata", json!({ "a": { "b": { "c": [[1]] } } })), 422, "metadata_invalid"),
        ("/documents", json!({ "title": "a", "text": "x", "metadata": "year" }), 422, "metadata_invalid"),
        ("/upload", with(&long, 1.into()), 400, "json_invalid"),
        ("/upload", json!([]), 400, "json_invalid"),
        ("/documents", json!({ "title": "", "text": "x" }), 422, "title_empty"),
        ("/documents", json!({ "title": "x".repeat(121), "text": "x" }), 422, "filename_too_long"),
        ("/documents", json!({ "title": "a\nb", "text": "x" }), 422, "filename_invalid"),
        ("/documents", json!({ "title": "a", "text": " " }), 422, "text_empty"),
        ("/documents", json!({ "title": "a", "text": "x".repeat(1 << 20) }), 413, "body_too_large"),
        ("/search", json!({ "query": "" }), 422, "query_empty"),
        ("/search", json!({ "query": "x".repeat(1001) }), 422, "query_too_long"),
        ("/search", json!({ "query": "a\u{0}" }), 422, "query_invalid"),
        ("/search", json!({ "query": "a", "filter": {} }), 422, "filter_invalid"),
        ("/search", json!({ "query": "a", "filter": { "field": "size", "eq": 1 } }), 422, "filter_invalid"),
        ("/search", json!({ "query": "a", "filter": { "field": "metadata.a", "eq": long } }), 422, "filter_invalid"),
        (
            "/search",
            json!({ "query": "a", "filter": { "and": vec![json!({ "field": "kind", "eq": "pdf" }); 33] } }),
            422,
            "filter_invalid",
        ),
        ("/search", json!({ "query": "a", "limit": 0 }), 422, "limit_invalid"),
        ("/search", json!({ "query": "a", "limit": 51 }), 422, "limit_invalid"),
        ("/search", json!({ "query": "a", "limit": 1e99 }), 400, "json_invalid"),
        ("/search", json!({ "query": "a", "mode": long }), 400, "json_invalid"),
        ("/search", json!({ "query": "a", "document_id": "x" }), 400, "json_invalid"),
        ("/jobs/retry", json!({ "job_ids": vec![job; 101] }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "code": long }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "code": "a\u{0}" }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "status": long }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "from": long }), 422, "retry_from_invalid"),
        ("/jobs/retry", json!({ "all": true, "cursor": long }), 400, "json_invalid"),
        (retry.as_str(), json!({ "from": long }), 422, "retry_from_invalid"),
        (retry.as_str(), json!({ "from": 7 }), 400, "json_invalid"),
    ];
    for (path, body, status, code) in cases {
        let (got, answer) = api.client.post(path, body.clone()).await;
        let mut shown = body.to_string();
        shown.truncate(120);
        assert_eq!((got, answer["code"].as_str()), (status, Some(code)), "{path} {shown}: {answer:.300}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.len() < 1000, "{path} {shown}: the problem repeats the long value");
    }
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.uploads").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_with_and_without_a_declared_length() {
    let test = TestDb::new().await;
    let api = Plan::new().serve(&test.url).await;
    let body = format!("{{\"query\": \"{}\"}}", "x".repeat(2 << 20));
    let request = || reqwest::Client::new().post(api.client.url("/search")).bearer_auth(&api.client.token);
    let known = request().header("content-type", "application/json").body(body.clone()).send().await.unwrap();
    assert_eq!(super::problem(known).await, (reqwest::StatusCode::PAYLOAD_TOO_LARGE, "body_too_large".to_owned()));
    let pieces: Vec<Result<String, std::io::Error>> = vec![Ok(body)];
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let unknown = request().header("content-type", "application/json").body(chunked).send().await.unwrap();
    assert_eq!(super::problem(unknown).await, (reqwest::StatusCode::PAYLOAD_TOO_LARGE, "body_too_large".to_owned()));
}
