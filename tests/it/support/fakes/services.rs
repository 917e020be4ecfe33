//! Supabase, OpenAI and LlamaParse, as far as they are asked.

use serde_json::{Value, json};

use super::http::{Reply, Request, Server};

/// Supabase's Auth: its public keys.
pub fn jwks(keys: Value) -> Server {
    Server::start(move |request| match request.path.as_str() {
        "/auth/v1/.well-known/jwks.json" => Reply::json(200, &json!({ "keys": keys })),
        _ => Reply::json(404, &json!({ "message": "no Route matched with those values" })),
    })
}

/// Supabase's Storage API for the bucket `documents`: takes `key`, and says `bucket`, or that there is none.
pub fn bucket_api(key: &str, bucket: Option<Value>) -> impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static {
    let wanted = format!("Bearer {key}");
    move |request| {
        let path = request.path.as_str();
        if path == "/auth/v1/.well-known/jwks.json" {
            return Some(Reply::json(200, &json!({ "keys": [] })));
        }
        let name = path.strip_prefix("/storage/v1/bucket/")?;
        if request.header("authorization") != wanted {
            let body = json!({ "statusCode": "403", "error": "Unauthorized", "message": "Invalid Compact JWS" });
            return Some(Reply::json(400, &body));
        }
        Some(match bucket.as_ref().filter(|_| name == "documents") {
            Some(bucket) => Reply::json(200, bucket),
            None => {
                let body = json!({ "statusCode": "404", "error": "Bucket not found", "message": "Bucket not found" });
                Reply::json(400, &body)
            }
        })
    }
}

/// What an embedding service answers with.
#[derive(Debug, Clone, Copy)]
pub enum OpenAi {
    Well,
    KeyRefused,
    ModelUnknown,
    NoQuota,
}

pub fn openai(mood: OpenAi) -> Server {
    let error = |code: &str, message: &str| json!({ "error": { "code": code, "message": message, "type": "x" } });
    Server::start(move |request| {
        if (request.method.as_str(), request.path.as_str()) != ("POST", "/v1/embeddings") {
            return Reply::json(404, &error("unknown_url", "Unknown request URL"));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(body["input"].is_string() && body["model"].is_string(), "{body}");
        match mood {
            OpenAi::Well => {
                Reply::json(200, &json!({ "object": "list", "data": [{ "index": 0, "embedding": vec![0.025; 1536] }] }))
            }
            OpenAi::KeyRefused => Reply::json(
                401,
                &error("invalid_api_key", &format!("Incorrect key: {}", request.header("authorization"))),
            ),
            OpenAi::ModelUnknown => Reply::json(404, &error("model_not_found", "The model does not exist")),
            OpenAi::NoQuota => Reply::json(429, &error("insufficient_quota", "You exceeded your current quota")),
        }
    })
}

/// LlamaParse, which takes `key`.
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
