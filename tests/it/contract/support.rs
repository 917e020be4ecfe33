//! Reads an OpenAPI document.

use serde_json::Value;

/// The methods that a path can have.
pub const METHODS: [&str; 8] = ["get", "head", "post", "put", "delete", "options", "patch", "trace"];

/// One method of one path.
pub struct Operation<'a> {
    pub path: &'a str,
    pub method: &'a str,
    pub item: &'a Value,
    pub value: &'a Value,
}

impl Operation<'_> {
    /// `GET /jobs`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    /// The servers of its path, or else those of the document.
    pub fn servers(&self, document: &Value) -> Vec<String> {
        let servers = if self.item["servers"].is_array() { &self.item["servers"] } else { &document["servers"] };
        servers.as_array().unwrap().iter().map(|server| server["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether it requires authentication.
    pub fn is_private(&self) -> bool {
        self.value["security"].as_array().is_some_and(|schemes| !schemes.is_empty())
    }
}

/// Every operation of the document.
pub fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(value) = item.get(method) {
                all.push(Operation { path, method, item, value });
            }
        }
    }
    all
}

/// The URL of a path on a server of the document.
pub fn join(server: &str, path: &str) -> String {
    format!("{}{path}", server.trim_end_matches('/'))
}
