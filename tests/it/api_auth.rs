//! Who may do what: users' tokens of every kind, API keys, the rows of other users, and the database's own view of it.

mod api_keys;
mod owners;
mod row_security;
mod signing_keys;
mod tokens;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::fleet::Client;

/// Status, `Retry-After` and body of a GET with this bearer.
pub async fn ask(client: &Client, bearer: &str, path: &str) -> (StatusCode, Option<u64>, Value) {
    let request = reqwest::Client::new().request(Method::GET, client.url(path)).bearer_auth(bearer);
    let response = request.send().await.unwrap();
    let status = response.status();
    let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    (status, wait, response.json().await.unwrap())
}

/// The code of the refusal, or `ok`.
pub async fn code(client: &Client, bearer: &str) -> String {
    let (status, _, body) = ask(client, bearer, "/jobs").await;
    if status == StatusCode::OK { "ok".to_owned() } else { body["code"].as_str().unwrap_or_default().to_owned() }
}
