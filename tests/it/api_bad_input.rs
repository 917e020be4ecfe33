//! Invalid requests: each is answered with a problem document that has its own code, and nothing is stored.

mod bodies;
mod forms;
mod heads;
mod puts;

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    requests::{Answer, Api, files_in, request, send},
    support::fleet::{PATIENCE, USER},
};

/// One request that must be refused.
pub struct Case {
    pub name: String,
    pub request: RequestBuilder,
    pub status: u16,
    pub code: &'static str,
}

impl Case {
    pub fn new(name: impl Into<String>, request: RequestBuilder, status: u16, code: &'static str) -> Self {
        Self { name: name.into(), request, status, code }
    }
}

/// Sends every case, and asserts that each gets its status and code and leaves no rows or objects.
pub async fn refuse_all(api: &Api, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in cases {
        let answer = send(case.request).await;
        let got = problem(&answer).unwrap_or_else(|why| format!("{} without a valid problem: {why}", answer.status));
        if got != format!("{} {}", case.status, case.code) {
            wrong.push(format!("{}: {got}, not {} {}: {}", case.name, case.status, case.code, answer.body));
        }
        if let Some(left) = left(api).await {
            wrong.push(format!("{} leaves {left}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Status and code of a complete problem document; an error says what is missing.
pub fn problem(answer: &Answer) -> Result<String, String> {
    let (body, kind) = (&answer.body, answer.header("content-type"));
    if kind != "application/problem+json" {
        return Err(format!("its content type is {kind:?}"));
    }
    let detail = body["detail"].as_str().unwrap_or_default();
    if body["status"] != answer.status || detail.len() < 10 || !body["request_id"].is_string() {
        return Err(body.to_string());
    }
    Ok(format!("{} {}", answer.status, answer.code()))
}

/// Rows and objects of the user; `None` if there are none.
async fn left(api: &Api) -> Option<String> {
    let rows = api
        .test
        .value(&format!(
            "SELECT concat_ws(' ',
               (SELECT count(*) FROM upload_pipeline.documents WHERE user_id = '{USER}'),
               (SELECT count(*) FROM upload_pipeline.upload_jobs WHERE user_id = '{USER}'),
               (SELECT count(*) FROM upload_pipeline.uploads WHERE user_id = '{USER}'),
               (SELECT count(*) FROM upload_pipeline.idempotency_keys))"
        ))
        .await;
    let files = files_in(&api.fleet.storage());
    (rows != "0 0 0 0" || !files.is_empty())
        .then(|| format!("documents, jobs, uploads, keys: {rows}; objects: {files:?}"))
}

/// A POST of these bytes as this media type.
pub fn post(api: &Api, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
    request(&api.client, Method::POST, path).header("content-type", kind).body(body.into())
}

/// Writes `bytes` to the API's port, shuts down the sending side, and reads the answer.
pub async fn raw(api: &Api, bytes: &[u8]) -> (u16, Value, String) {
    let address: SocketAddr = api.client.root.trim_start_matches("http://").parse().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may answer and close the connection before everything is sent.
    let _may_be_closed = socket.write_all(bytes).await;
    let _may_be_closed = socket.shutdown().await;
    let mut text = Vec::new();
    let _may_be_closed = timeout(PATIENCE, socket.read_to_end(&mut text))
        .await
        .expect("the server neither answered nor closed the connection");
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null), text)
}

/// Waits until the query returns `wanted`.
pub async fn wait_until(api: &Api, sql: &str, wanted: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while api.test.value(sql).await != wanted {
        assert!(std::time::Instant::now() < deadline, "{sql} never gave {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
