//! Clients that are slow, broken or too many, over real sockets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    db::TestDb,
    fleet::PATIENCE,
    served::{Plan, Served},
};

/// An API with short timeouts for request heads and idle connections.
async fn serve_with_short_head_timeout(test: &TestDb) -> Served {
    let mut plan = Plan::new();
    plan.settings.http.head_timeout = Duration::from_millis(500);
    plan.settings.keep_alive = Duration::from_millis(500);
    plan.serve(&test.url).await
}

/// An API with a short timeout for bodies.
async fn serve_with_short_body_timeout(test: &TestDb) -> Served {
    let mut plan = Plan::new();
    plan.settings.http.body_grace = Duration::from_millis(300);
    plan.serve(&test.url).await
}

/// Reads until the server closes the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read =
        timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("the server does not close the connection");
    // A reset counts as the end, too.
    drop(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `head`, then the byte `drip` every 50 ms until the server closes the connection; returns the answer.
async fn trickle(api: &Served, head: &str, drip: u8) -> String {
    let socket = TcpStream::connect(api.address).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    writing.write_all(head.as_bytes()).await.unwrap();
    let drips = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            if writing.write_all(&[drip]).await.is_err() {
                return;
            }
        }
    });
    let mut bytes = Vec::new();
    let read =
        timeout(PATIENCE, reading.read_to_end(&mut bytes)).await.expect("the server does not close a slow connection");
    drop(read);
    drips.abort();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Status and body of the answer in `text`.
fn answer(text: &str) -> (u16, Value) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"));
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_arrives_too_slowly_is_answered_with_408() {
    let test = TestDb::new().await;
    let api = serve_with_short_head_timeout(&test).await;
    let text = trickle(&api, "GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ", b'a').await;
    assert_eq!(answer(&text).0, 408, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let test = TestDb::new().await;
    let api = serve_with_short_head_timeout(&test).await;
    let mut socket = TcpStream::connect(api.address).await.unwrap();
    socket.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let text = rest(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "an idle connection gets no second answer: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_arrives_too_slowly_is_refused_on_every_route() {
    let test = TestDb::new().await;
    let api = serve_with_short_body_timeout(&test).await;
    let announced =
        json!({ "filename": "a.md", "bytes_len": 100_000, "mime": "text/markdown", "sha256": "ab".repeat(32) });
    let (_, announced) = api.client.post("/upload", announced).await;
    let put = announced["signed_url"].as_str().unwrap().strip_prefix(&api.client.root).unwrap().to_owned();
    let base = "/api/upload-pipeline";
    let form = "multipart/form-data; boundary=b";
    for (method, path, kind, begin) in [
        ("POST", format!("{base}/search"), "application/json", "{"),
        ("POST", format!("{base}/upload"), "application/json", "{"),
        ("POST", format!("{base}/jobs/retry"), "application/json", "{"),
        ("POST", format!("{base}/documents"), "application/json", "{"),
        (
            "POST",
            format!("{base}/documents"),
            form,
            "--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.md\"\r\n\r\n",
        ),
        ("PUT", put, "text/markdown", "# "),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: 100000\r\n\r\n{begin}",
            api.client.token
        );
        let text = trickle(&api, &head, b' ').await;
        let (status, body) = answer(&text);
        assert_eq!((status, body["code"].as_str()), (408, Some("body_too_slow")), "{path} {kind}: {text}");
        assert!(body["detail"].as_str().unwrap().contains("API_BODY_MIN_RATE"), "{body}");
    }
    // Nothing is stored of an incomplete body.
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.uploads WHERE stored_at IS NOT NULL").await, "0");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.documents").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_at_the_minimum_rate_is_accepted() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.body_grace = Duration::from_secs(2);
    plan.settings.http.body_min_rate = 1000;
    let api = plan.serve(&test.url).await;
    let body = json!({ "query": "q".repeat(900), "mode": "text" }).to_string();
    let mut socket = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /api/upload-pipeline/search HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        api.client.token,
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    for piece in body.as_bytes().chunks(20) {
        every.tick().await;
        socket.write_all(piece).await.unwrap();
    }
    let text = rest(&mut socket).await;
    assert_eq!(answer(&text).0, 200, "{text}");
}

/// The server may close the connection before the handler has answered.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_chunk_fails_only_its_own_request() {
    let test = TestDb::new().await;
    let api = Plan::new().serve(&test.url).await;
    let head = format!(
        "POST /api/upload-pipeline/search HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        api.client.token
    );
    for _ in 0..10 {
        let mut socket = TcpStream::connect(api.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        let text = rest(&mut socket).await;
        if !text.is_empty() {
            let (status, body) = answer(&text);
            assert_eq!((status, body["code"].as_str()), (400, Some("body_incomplete")), "{text}");
        }
    }
    assert_eq!(api.client.get("/jobs").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_until_another_closes() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.max_connections = 2;
    let api = plan.serve(&test.url).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(api.address).await.unwrap();
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut first)).await.unwrap().unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(socket);
    }
    let mut waiting = TcpStream::connect(api.address).await.unwrap();
    waiting.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    assert!(
        timeout(Duration::from_millis(300), waiting.read_exact(&mut first)).await.is_err(),
        "the third connection was served at once"
    );
    drop(held);
    assert!(rest(&mut waiting).await.starts_with("HTTP/1.1 200"));
}
