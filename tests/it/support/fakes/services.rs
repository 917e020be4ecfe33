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

/// The key of [`reranker`].
pub const KEY_OF_RERANKER: &str = "rr-right";
/// What a passage holds that [`reranker`] finds best.
pub const RERANKED: &str = "as the keeper knows";

/// A reranker that gives passages with [`RERANKED`] 0.9 and others 0.2, in the form of Cohere and Jina where the request names a model,
/// else in that of Text Embeddings Inference. Like both, it answers best first.
pub fn reranker() -> Server {
    Server::start(|request| {
        if request.header("authorization") != format!("Bearer {KEY_OF_RERANKER}") {
            return Reply::json(401, &json!({ "detail": "Invalid API key" }));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let has_model = body["model"].is_string();
        let passages = if has_model { &body["documents"] } else { &body["texts"] };
        let Some(passages) = passages.as_array().filter(|_| body["query"].is_string()) else {
            return Reply::json(422, &json!({ "detail": "no query, or no passages" }));
        };
        let score = |passage: &Value| if passage.as_str().unwrap_or_default().contains(RERANKED) { 0.9 } else { 0.2 };
        let mut judged: Vec<(usize, f64)> = passages.iter().map(score).enumerate().collect();
        judged.sort_by(|a, b| b.1.total_cmp(&a.1));
        let name = if has_model { "relevance_score" } else { "score" };
        let judged: Vec<Value> = judged.into_iter().map(|(i, score)| json!({ "index": i, name: score })).collect();
        Reply::json(200, &if has_model { json!({ "model": "judge-1", "results": judged }) } else { json!(judged) })
    })
}
