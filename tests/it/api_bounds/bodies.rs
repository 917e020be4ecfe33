//! Bodies have a budget, and are looked at before they are read.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    db::TestDb,
    fleet::{PATIENCE, USER, token},
    served::{Plan, Served},
};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";
const THIRD: &str = "33333333-3333-4333-8333-333333333333";
const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data; boundary=b";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// A request whose body is to follow.
struct Waiting(TcpStream);

impl Waiting {
    /// Sends a head that says how long the body is, and whether the client waits for leave.
    async fn new(api: &Served, path: &str, kind: &str, bearer: &str, length: usize, expects: bool) -> Self {
        let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
        let head = format!(
            "POST /api/upload-pipeline{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n{expect}\r\n"
        );
        let mut socket = TcpStream::connect(api.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        Self(socket)
    }

    /// The first that the server says: a head, or more of an answer.
    async fn hears(&mut self) -> String {
        let mut bytes = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.0.read(&mut bytes)).await.expect("the server says nothing").unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// Status and code of the answer.
    async fn is_refused(&mut self) -> (u16, String) {
        let mut text = self.hears().await;
        while serde_json::from_str::<Value>(text.split_once("\r\n\r\n").unwrap_or_default().1).is_err() {
            let more = self.hears().await;
            assert!(!more.is_empty(), "{text}");
            text += &more;
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        (head[9..12].parse().unwrap(), body["code"].as_str().unwrap().to_owned())
    }
}

/// A body of JSON for `/search` of `length` bytes.
fn question(length: usize) -> String {
    let body = json!({ "query": "q", "mode": "text" }).to_string();
    format!("{body}{}", " ".repeat(length - body.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_declared_too_large_is_refused_before_it_is_sent() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.uploads.max_bytes = 2 << 20;
    plan.settings.uploads.max_files = 2;
    let api = plan.serve(&test.url).await;
    let job = format!("/jobs/{}/retry", uuid::Uuid::nil());
    for (path, kind, code) in [
        ("/search", JSON, "body_too_large"),
        ("/upload", JSON, "body_too_large"),
        ("/jobs/retry", JSON, "body_too_large"),
        (job.as_str(), JSON, "body_too_large"),
        ("/documents", JSON, "body_too_large"),
        ("/documents", FORM, "form_too_large"),
    ] {
        for expects in [false, true] {
            let mut sent = Waiting::new(&api, path, kind, &api.client.token, 25 << 20, expects).await;
            assert_eq!(sent.is_refused().await, (413, code.to_owned()), "{path} {kind} {expects}");
        }
    }
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.uploads").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_leave_to_send_once_login_and_quota_were_looked_at() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.uploads.per_day = 1;
    let api = plan.serve(&test.url).await;
    let mut stranger = Waiting::new(&api, "/documents", JSON, "nonsense", 100, true).await;
    assert_eq!(stranger.is_refused().await, (401, "token_invalid".to_owned()));
    let mut lost = Waiting::new(&api, "/nowhere", JSON, &api.client.token, 100, true).await;
    assert_eq!(lost.is_refused().await, (404, "route_not_found".to_owned()));

    let body = json!({ "text": "# Notes", "title": "Notes" }).to_string();
    let mut waiting = Waiting::new(&api, "/documents", JSON, &api.client.token, body.len(), true).await;
    assert_eq!(waiting.hears().await, CONTINUE);
    waiting.0.write_all(body.as_bytes()).await.unwrap();
    let answer = waiting.hears().await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");

    for kind in [JSON, FORM] {
        let mut second = Waiting::new(&api, "/documents", kind, &api.client.token, 100, true).await;
        assert_eq!(second.is_refused().await, (429, "uploads_per_day".to_owned()), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_hand_are_bounded_for_a_user_and_in_all() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.body_budget_per_user = 100_000;
    plan.settings.http.body_budget = 150_000;
    let api = plan.serve(&test.url).await;
    let search = |user: &str| {
        let bearer = token(user);
        let api = &api;
        async move { Waiting::new(api, "/search", JSON, &bearer, 60_000, true).await }
    };
    let mut first = search(USER).await;
    assert_eq!(first.hears().await, CONTINUE);
    assert_eq!(search(USER).await.is_refused().await, (429, "bodies_per_user".to_owned()));
    let mut other = search(OTHER).await;
    assert_eq!(other.hears().await, CONTINUE);
    let mut third = search(THIRD).await;
    let busy = third.hears().await;
    assert!(busy.starts_with("HTTP/1.1 503") && busy.contains("retry-after: 5"), "{busy}");
    // An upload needs more than is left to anyone.
    let mut form = Waiting::new(&api, "/documents", FORM, &token(THIRD), 1000, true).await;
    assert_eq!(form.is_refused().await, (503, "bodies_full".to_owned()));

    // The share comes back with the answer, and with a client that leaves.
    first.0.write_all(question(60_000).as_bytes()).await.unwrap();
    let answer = first.hears().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut again = search(USER).await;
    assert_eq!(again.hears().await, CONTINUE);
    drop(again);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while search(USER).await.hears().await != CONTINUE {
        assert!(tokio::time::Instant::now() < deadline, "the share of a client that left is not given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_takes_its_share_as_it_comes() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.body_budget_per_user = 100_000;
    let api = plan.serve(&test.url).await;
    let pieces = (0..2).map(|_| Ok::<_, std::io::Error>(vec![b' '; 60_000]));
    let request = reqwest::Client::new().post(api.client.url("/search")).bearer_auth(&api.client.token);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer = request.header("content-type", JSON).body(body).send().await.unwrap();
    assert_eq!(super::problem(answer).await, (429.try_into().unwrap(), "bodies_per_user".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_text_is_streamed_and_answered_again_with_its_key() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.uploads.max_bytes = 8 << 20;
    let api = plan.serve(&test.url).await;
    let text = "A line with \"quotes\", a tab\tand \u{4e2d}\u{6587}.\n".repeat(60_000);
    let post = |text: String| {
        let request = reqwest::Client::new().post(api.client.url("/documents")).bearer_auth(&api.client.token);
        request.header("Idempotency-Key", "large").json(&json!({ "text": text, "title": "Large" })).send()
    };
    let first = post(text.clone()).await.unwrap();
    assert_eq!(first.status(), 202);
    let first: Value = first.json().await.unwrap();
    assert_eq!(first["documents"][0]["filename"], "Large.md");
    let again = post(text.clone()).await.unwrap();
    assert_eq!(super::header(&again, "idempotency-replayed"), "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let other = post(format!("{text}!")).await.unwrap();
    assert_eq!(super::problem(other).await, (422.try_into().unwrap(), "idempotency_key_reused".to_owned()));
    let stored = test.value("SELECT filename || ' ' || bytes_len FROM upload_pipeline.documents").await;
    assert_eq!(stored, format!("Large.md {}", text.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_bounded_where_no_rate_is() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.body_min_rate = 0;
    plan.settings.http.body_grace = Duration::from_millis(300);
    let api = plan.serve(&test.url).await;
    let mut silent = Waiting::new(&api, "/documents", FORM, &api.client.token, 1000, false).await;
    assert_eq!(silent.is_refused().await, (408, "body_too_slow".to_owned()));
}
