//! Features that many routes share: idempotency keys, conditional requests, filters and paging, live timelines.

mod conditional;
mod downloads;
mod idempotency;
mod interrupted;
mod journeys;
mod lists;
mod live;
mod s3;
mod wrong_type;

use std::{fs, path::Path};

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet},
};

/// An API without a worker.
pub struct Api {
    pub test: TestDb,
    pub fleet: Fleet,
    pub client: Client,
    pub app: App,
}

pub async fn api(settings: &[(&str, &str)]) -> Api {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    for (name, value) in settings {
        fleet.set(name, value);
    }
    let (app, client) = fleet.api();
    Api { test, fleet, client, app }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

pub fn request(client: &Client, method: Method, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, client.url(path)).bearer_auth(&client.token)
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The paths of all files below a folder.
pub fn files_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { files_in(&path) } else { vec![path.display().to_string()] }
    });
    files.collect()
}

/// The body that announces an upload of `bytes`.
pub fn announcement(name: &str, bytes: &[u8]) -> Value {
    serde_json::json!({ "filename": name, "bytes_len": bytes.len(), "mime": "text/markdown", "sha256": sha256(bytes) })
}
