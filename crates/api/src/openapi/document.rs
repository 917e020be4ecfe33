//! Makes docs/openapi.json: base.json, every route of the table, what several routes share (shared.json), and each
//! operation's examples (examples.json).

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::{
    operation::{Draft, complete},
    route::{Access, Route},
    served::fill_in,
};
use config::Uploads;
use domain::Code;

/// What operations take from JSON files.
pub struct Written {
    /// `parameters` that several operations have, by name, and `responses` without their bodies, by status.
    pub shared: Value,
    /// By operation: its parameters' by name, its request's and its responses' by media type.
    pub examples: Value,
}

/// The document of these routes, with these limits in it.
///
/// # Errors
///
/// None that occurs: tests parse the files.
pub fn document(routes: &[Route], limits: &Uploads, version: &str) -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(include_str!("base.json"))?;
    let written = Written {
        shared: serde_json::from_str(include_str!("shared.json"))?,
        examples: serde_json::from_str(include_str!("examples.json"))?,
    };
    for route in routes {
        for method in route.methods() {
            let Draft { operation, schemas, refusals, .. } = complete(route, &method, &written);
            let item = &mut document["paths"][&route.path];
            if let Some(servers) = servers_of(route.access) {
                item["servers"] = servers;
            }
            item[method.as_str().to_ascii_lowercase()] = operation;
            let components = &mut document["components"];
            for (name, schema) in schemas {
                components["schemas"][name] = json!(schema);
            }
            for (status, code) in refusals {
                components["examples"][format!("{status}_{code}")] = problem_example(status, code);
            }
        }
    }
    fill_in(&mut document, limits, version);
    Ok(document)
}

/// The servers of a path that does not stand below the base path alone.
fn servers_of(access: Access) -> Option<Value> {
    match access {
        Access::Private | Access::Signed => None,
        Access::Page => Some(json!([{ "url": "/", "description": "The root." }])),
        Access::Open => Some(json!([
            { "url": messages::BASE_PATH, "description": "The base path." },
            { "url": "/", "description": "The root, where platforms probe." }
        ])),
    }
}

/// A problem as the client receives it.
fn problem_example(status: u16, code: Code) -> Value {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({
        "type": "about:blank",
        "title": title.unwrap_or("Error"),
        "status": status,
        "code": code.as_str(),
        "detail": code.detail(),
        "request_id": "01939e60-6c18-7d44-8f3b-1a9c5e7d2b60",
    });
    if status == 409 {
        problem["job_id"] = json!("01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90");
        problem["document_id"] = json!("6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18");
    }
    json!({ "summary": code.as_str(), "value": problem })
}
