//! Limits for one user, one address and one connection, and the headers of every answer.

mod bodies;
mod fields;
mod headers;
mod health;
mod rates;
mod slow;
mod uploads;

use reqwest::{Response, StatusCode};

/// The value of a header; empty if it is absent.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Status and code of a problem.
pub async fn problem(response: Response) -> (StatusCode, String) {
    let status = response.status();
    assert_eq!(header(&response, "content-type"), "application/problem+json", "{status}");
    let body: serde_json::Value = response.json().await.unwrap();
    assert!(body["request_id"].is_string(), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}
