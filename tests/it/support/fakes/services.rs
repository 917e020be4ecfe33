//! Minimal fakes of Supabase Auth and LlamaParse.

use serde_json::{Value, json};

use super::http::{Reply, Server};

/// Supabase Auth with these public keys.
pub fn jwks(keys: Value) -> Server {
    Server::start(move |request| match request.path.as_str() {
        "/auth/v1/.well-known/jwks.json" => Reply::json(200, &json!({ "keys": keys })),
        _ => Reply::json(404, &json!({ "message": "no Route matched with those values" })),
    })
}

/// LlamaParse that accepts `key`.
pub fn llamaparse(key: &str) -> Server {
    let wanted = format!("Bearer {key}");
    Server::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v2/parse") if request.header("authorization") == wanted => {
            Reply::json(200, &json!({ "items": [], "next_page_token": null }))
        }
        ("GET", "/api/v2/parse") => Reply::json(401, &json!({ "detail": "Invalid API Key" })),
        _ => Reply::json(404, &json!({ "detail": "Not Found" })),
    })
}
