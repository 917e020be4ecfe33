//! Invalid JSON bodies.

use reqwest::Method;
use serde_json::json;

use super::{Case, post, refuse_all};
use crate::requests::{announcement, api, request};

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn invalid_json_is_refused_by_every_route() {
    let api = api(&[]).await;
    let job = uuid::Uuid::nil();
    let routes = ["/upload", "/documents", "/search", "/jobs/retry", &format!("/jobs/{job}/retry")];
    let deep = format!("{{\"filename\":{}", "[".repeat(10_000));
    let mut cases = Vec::new();
    for path in routes {
        for (name, body) in [
            ("half an object", b"{".as_slice()),
            ("an array", b"[\"a\"]"),
            ("an empty array", b" []"),
            ("null", b"null"),
            ("a text", b"\"x\""),
            ("a number", b"1"),
            ("not JSON", b"filename=a.pdf"),
            ("two objects", b"{}{}"),
            ("a trailing comma", b"{\"query\":\"a\",}"),
            ("an unknown field", b"{\"surprise\":1}"),
            ("not UTF-8", b"{\"query\":\"\xff\xfe\",\"title\":\"\xc3\x28\",\"from\":\"\xff\"}"),
            (
                "half a surrogate pair",
                br#"{"query":"\ud800","filename":"\udc00","title":"\ud800","from":"\ud800","code":"\ud800"}"#,
            ),
            (
                "a number out of range",
                b"{\"bytes_len\":1e999,\"limit\":1e999,\"title\":1e999,\"from\":1e999,\"all\":1e999}",
            ),
            ("a byte order mark", b"\xef\xbb\xbf{}"),
            (
                "a raw line break in a text",
                b"{\"query\":\"a\nb\",\"filename\":\"a\nb\",\"title\":\"a\nb\",\"from\":\"a\nb\",\"code\":\"a\nb\"}",
            ),
            ("a deep nest", deep.as_bytes()),
        ] {
            cases.push(Case::new(format!("{name} to {path}"), post(&api, path, JSON, body), 400, "json_invalid"));
        }
        let object = || post(&api, path, JSON, "{\"from\":\"uploaded\"}");
        for (name, kind) in [
            ("a text", "text/plain"),
            ("a form", "application/x-www-form-urlencoded"),
            ("UTF-16", "application/json; charset=utf-16"),
        ] {
            let request = post(&api, path, kind, "{\"from\":\"uploaded\"}");
            cases.push(Case::new(format!("{name} to {path}"), request, 415, "content_type_invalid"));
        }
        let twice = object().header("content-type", JSON);
        cases.push(Case::new(format!("two types to {path}"), twice, 415, "content_type_invalid"));
        for coding in ["gzip", "deflate", "br", "zstd", "gzip, identity"] {
            let coded = object().header("content-encoding", coding);
            cases.push(Case::new(format!("{coding} to {path}"), coded, 415, "content_encoding_invalid"));
        }
        let key = object().header("Idempotency-Key", "two words");
        if path != "/search" {
            cases.push(Case::new(format!("a bad key to {path}"), key, 400, "idempotency_key_invalid"));
        }
    }
    for path in ["/upload", "/documents", "/search", "/jobs/retry"] {
        let nothing = post(&api, path, JSON, "");
        cases.push(Case::new(format!("nothing to {path}"), nothing, 400, "json_invalid"));
        let untyped = request(&api.client, Method::POST, path).body("{}");
        cases.push(Case::new(format!("no type to {path}"), untyped, 415, "content_type_invalid"));
    }
    let large = format!("{{\"query\":\"{}\"}}", "x".repeat(3 << 20));
    for path in ["/upload", "/search", "/jobs/retry", &format!("/jobs/{job}/retry")] {
        cases.push(Case::new(format!("3 MiB to {path}"), post(&api, path, JSON, large.clone()), 413, "body_too_large"));
        let with_key = post(&api, path, JSON, large.clone()).header("Idempotency-Key", "k");
        cases.push(Case::new(format!("3 MiB with a key to {path}"), with_key, 413, "body_too_large"));
    }
    refuse_all(&api, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invalid_field_has_its_own_code() {
    let api = api(&[("UPLOAD_MAX_BYTES", "100000")]).await;
    let good = announcement("a.md", b"text");
    let with = |field: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let mut cases: Vec<(&str, serde_json::Value, u16, &'static str)> = Vec::new();
    for field in ["filename", "bytes_len", "mime", "sha256"] {
        cases.push(("/upload", without(field), 400, "json_invalid"));
        for wrong in [json!(null), json!([]), json!({}), json!(true)] {
            cases.push(("/upload", with(field, wrong), 400, "json_invalid"));
        }
    }
    cases.extend([
        ("/upload", with("ocr", json!("yes")), 400, "json_invalid"),
        ("/upload", with("bytes_len", json!(-1)), 400, "json_invalid"),
        ("/upload", with("bytes_len", json!(1.5)), 400, "json_invalid"),
        ("/upload", with("bytes_len", json!("4")), 400, "json_invalid"),
        ("/upload", with("bytes_len", json!(u64::MAX)), 413, "file_too_large"),
        ("/upload", with("bytes_len", json!(i64::MAX)), 413, "file_too_large"),
        ("/upload", with("bytes_len", json!(0)), 422, "file_empty"),
        ("/upload", with("filename", json!("")), 422, "filename_empty"),
        ("/upload", with("filename", json!(" \t ")), 422, "filename_empty"),
        ("/upload", with("filename", json!("a\u{0}b")), 422, "filename_invalid"),
        ("/upload", with("filename", json!("a\r\nX: y")), 422, "filename_invalid"),
        ("/upload", with("filename", json!("annexe\u{202e}fdp.exe")), 422, "filename_invalid"),
        ("/upload", with("filename", json!("a\u{2028}b")), 422, "filename_invalid"),
        ("/upload", with("filename", json!("n".repeat(121))), 422, "filename_too_long"),
        ("/upload", with("mime", json!("pdf")), 422, "mime_invalid"),
        ("/upload", with("mime", json!("text/plain\u{0}")), 422, "mime_invalid"),
        ("/upload", with("mime", json!("multipart/form-data")), 422, "mime_invalid"),
        ("/upload", with("sha256", json!("abc")), 422, "sha256_invalid"),
        ("/upload", with("sha256", json!("g".repeat(64))), 422, "sha256_invalid"),
        ("/documents", json!({ "title": "t" }), 400, "json_invalid"),
        ("/documents", json!({ "title": null, "text": "x" }), 400, "json_invalid"),
        ("/documents", json!({ "title": "t", "text": ["x"] }), 400, "json_invalid"),
        ("/documents", json!({ "title": " ", "text": "x" }), 422, "title_empty"),
        ("/documents", json!({ "title": "a\u{0}", "text": "x" }), 422, "filename_invalid"),
        ("/documents", json!({ "title": "\u{2066}a", "text": "x" }), 422, "filename_invalid"),
        ("/documents", json!({ "title": "t".repeat(200), "text": "x" }), 422, "filename_too_long"),
        ("/documents", json!({ "title": "t", "text": "" }), 422, "text_empty"),
        ("/documents", json!({ "title": "t", "text": "\n \t" }), 422, "text_empty"),
        ("/documents", json!({ "title": "t", "text": "a\u{0}b" }), 422, "text_invalid"),
        ("/documents", json!({ "title": "t", "text": "x".repeat(100_001) }), 413, "body_too_large"),
        ("/search", json!({ "query": "" }), 422, "query_empty"),
        ("/search", json!({ "query": "a\u{0}b" }), 422, "query_invalid"),
        ("/search", json!({ "query": "q".repeat(1001) }), 422, "query_too_long"),
        ("/search", json!({ "query": "a", "limit": 0 }), 422, "limit_invalid"),
        ("/search", json!({ "query": "a", "limit": 51 }), 422, "limit_invalid"),
        ("/search", json!({ "query": "a", "limit": -1 }), 400, "json_invalid"),
        ("/search", json!({ "query": "a", "limit": 1u64 << 40 }), 400, "json_invalid"),
        ("/search", json!({ "query": "a", "mode": "magic" }), 400, "json_invalid"),
        ("/search", json!({ "query": "a", "document_id": "x" }), 400, "json_invalid"),
        ("/jobs/retry", json!({}), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": "yes" }), 400, "json_invalid"),
        ("/jobs/retry", json!({ "job_ids": ["x"] }), 400, "json_invalid"),
        ("/jobs/retry", json!({ "all": true, "code": "a\u{0}" }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "status": "complete" }), 422, "retry_selection_invalid"),
        ("/jobs/retry", json!({ "all": true, "from": "nowhere" }), 422, "retry_from_invalid"),
        ("/jobs/00000000-0000-0000-0000-000000000000/retry", json!({ "from": "a\u{0}" }), 422, "retry_from_invalid"),
        ("/jobs/00000000-0000-0000-0000-000000000000/retry", json!({ "from": 1 }), 400, "json_invalid"),
        ("/jobs/00000000-0000-0000-0000-000000000000/cancel", json!({}), 404, "job_not_found"),
    ]);
    let mut cases: Vec<Case> = cases
        .into_iter()
        .map(|(path, body, status, code)| {
            let name = format!("{path} {}", body.to_string().chars().take(200).collect::<String>());
            Case::new(name, post(&api, path, JSON, body.to_string()), status, code)
        })
        .collect();
    for twice in ["filename", "sha256"] {
        let body = good.to_string().replacen('{', &format!("{{\"{twice}\":\"x\","), 1);
        cases.push(Case::new(format!("{twice} twice"), post(&api, "/upload", JSON, body), 400, "json_invalid"));
    }
    refuse_all(&api, cases).await;
}
