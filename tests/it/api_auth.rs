//! Authentication and authorization: tokens of every kind, API keys, other users' rows, and row-level security.

mod api_keys;
mod owners;
mod row_security;
mod signing_keys;
mod tokens;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::fleet::Client;

/// Sends a GET with this bearer token; returns status, `Retry-After` and body.
pub async fn ask(client: &Client, bearer: &str, path: &str) -> (StatusCode, Option<u64>, Value) {
    let request = reqwest::Client::new().request(Method::GET, client.url(path)).bearer_auth(bearer);
    let response = request.send().await.unwrap();
    let status = response.status();
    let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    (status, wait, response.json().await.unwrap())
}

/// The problem code of a GET of `/jobs` with this bearer token, or `ok`.
pub async fn code(client: &Client, bearer: &str) -> String {
    let (status, _, body) = ask(client, bearer, "/jobs").await;
    if status == StatusCode::OK { "ok".to_owned() } else { body["code"].as_str().unwrap_or_default().to_owned() }
}
