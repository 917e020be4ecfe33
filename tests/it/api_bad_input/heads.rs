//! Invalid paths, methods and headers.

use reqwest::Method;

use super::{Case, raw, refuse_all};
use crate::requests::{api, request, send};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_invalid_ids_are_refused() {
    let api = api(&[]).await;
    let mut cases = Vec::new();
    for (resource, code) in
        [("jobs", "job_not_found"), ("documents", "document_not_found"), ("deletions", "deletion_not_found")]
    {
        let long = "a".repeat(8000);
        for id in [
            "x",
            "1",
            "%00",
            "..%2f..%2fetc%2fpasswd",
            "%ff%fe",
            "00000000-0000-0000-0000-00000000000g",
            "'--",
            long.as_str(),
        ] {
            let request = request(&api.client, Method::GET, &format!("/{resource}/{id}"));
            cases.push(Case::new(format!("{resource} {id}"), request, 400, "id_invalid"));
        }
        // These are valid spellings of ids that do not exist.
        for id in ["ABCDEF00-0000-4000-8000-000000000000", "%7Babcdef00-0000-4000-8000-000000000000%7D", NIL] {
            let request = request(&api.client, Method::GET, &format!("/{resource}/{id}"));
            cases.push(Case::new(format!("{resource} {id}"), request, 404, code));
        }
    }
    for path in [
        "/nowhere",
        "/jobs/",
        "//jobs",
        "/documents/x/y",
        &format!("/jobs/{NIL}/cancel/"),
        "/uploads",
        "/%2e%2e/health",
    ] {
        let request = request(&api.client, Method::GET, path);
        cases.push(Case::new(format!("GET {path}"), request, 404, "route_not_found"));
    }
    for (path, status, code) in [
        (format!("/uploads/{NIL}"), 400, "query_invalid"),
        (format!("/uploads/{NIL}?expires=1"), 400, "query_invalid"),
        (format!("/uploads/{NIL}?expires=x&signature=y"), 400, "query_invalid"),
        (format!("/uploads/{NIL}?expires=9999999999&signature=AAAA"), 403, "upload_url_invalid"),
        ("/uploads/x?expires=9999999999&signature=AAAA".to_owned(), 400, "id_invalid"),
    ] {
        let request = reqwest::Client::new().put(api.client.url(&path)).body("x");
        cases.push(Case::new(format!("PUT {path}"), request, status, code));
    }
    refuse_all(&api, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused_with_a_list_of_the_allowed_ones() {
    let api = api(&[]).await;
    let routes = [
        ("/upload", "POST"),
        ("/documents", "GET, HEAD, POST"),
        (&format!("/documents/{NIL}"), "GET, HEAD, PATCH, PUT, DELETE"),
        (&format!("/documents/{NIL}/chunks"), "GET, HEAD"),
        (&format!("/documents/{NIL}/versions"), "GET, HEAD"),
        (&format!("/documents/{NIL}/versions/1/restore"), "POST"),
        (&format!("/deletions/{NIL}"), "GET, HEAD"),
        ("/jobs", "GET, HEAD"),
        ("/jobs/retry", "POST"),
        (&format!("/jobs/{NIL}"), "GET, HEAD"),
        (&format!("/jobs/{NIL}/events"), "GET, HEAD"),
        (&format!("/jobs/{NIL}/retry"), "POST"),
        (&format!("/jobs/{NIL}/cancel"), "POST"),
        ("/search", "POST"),
        (&format!("/uploads/{NIL}"), "PUT"),
        ("/health", "GET, HEAD"),
    ];
    for (path, allow) in routes {
        for method in ["PATCH", "TRACE", "BREW", "PUT", "DELETE"] {
            if allow.contains(method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = send(request(&api.client, method.clone(), path)).await;
            assert_eq!(
                (answer.status, answer.code(), answer.header("allow")),
                (405, "method_not_allowed", allow),
                "{method} {path}"
            );
        }
    }
}

/// The HTTP parser answers these before a handler could make a problem document.
#[tokio::test(flavor = "multi_thread")]
async fn invalid_http_closes_its_connection_and_affects_no_other() {
    let api = api(&[]).await;
    let (path, token) = ("/api/upload-pipeline/jobs", &api.client.token);
    let head = format!("Host: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
    let long = "a".repeat(200_000);
    for (name, text) in [
        ("garbage", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        ("no version", format!("GET {path}\r\n{head}\r\n")),
        ("two lengths", format!("POST {path} HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ("a negative length", format!("POST {path} HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n")),
        (
            "a length and chunks",
            format!("POST {path} HTTP/1.1\r\n{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("a long path", format!("GET {path}/{long} HTTP/1.1\r\n{head}\r\n")),
        ("a long header", format!("GET {path} HTTP/1.1\r\n{head}X: {long}\r\n\r\n")),
        ("many headers", format!("GET {path} HTTP/1.1\r\n{head}{}\r\n", "X: y\r\n".repeat(200))),
        ("a NUL in a header", format!("GET {path} HTTP/1.1\r\n{head}X: a\0b\r\n\r\n")),
    ] {
        let (status, _, text) = raw(&api, text.as_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status), "{name}: {}", text.chars().take(500).collect::<String>());
    }
    assert_eq!(api.client.get("/jobs").await.0, 200, "the server still answers");
}
