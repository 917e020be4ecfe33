//! What is added to the operation of a route because of its properties: its access, method, path and body.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{
    document::Written,
    route::{Access, Route, Schemas},
};
use crate::guard::{auth::READING_POSTS, rates::is_retry};
use domain::Code;

/// An operation, as far as it is complete.
pub struct Draft<'a> {
    route: &'a Route,
    written: &'a Written,
    /// The operation.
    pub operation: Value,
    /// Schemas that it refers to.
    pub schemas: Schemas,
    /// The codes of its problems, each with its status.
    pub refusals: BTreeSet<(u16, Code)>,
}

/// The operation of `route` for one of its methods.
pub fn complete<'a>(route: &'a Route, method: &Method, written: &'a Written) -> Draft<'a> {
    let (operation, schemas) = route.described();
    let mut draft = Draft { route, written, operation, schemas, refusals: BTreeSet::new() };
    draft.add_examples();
    draft.read_extensions();
    draft.add_parameter_codes();
    draft.add_body_codes();
    draft.add_access();
    draft.add_conditions();
    draft.add_idempotency();
    draft.add_parameter("X-Request-Id");
    draft.add_parameter("X-Correlation-Id");
    draft.add_problems();
    draft.add_headers();
    if *method == Method::HEAD {
        let operation = &mut draft.operation;
        operation["operationId"] = json!(format!("head_{}", text(&operation["operationId"])));
        for (_, answer) in fields_mut(&mut operation["responses"]) {
            answer.as_object_mut().map(|answer| answer.remove("content"));
        }
    }
    draft
}

impl Draft<'_> {
    fn refuse(&mut self, codes: &[Code]) {
        self.refusals.extend(codes.iter().map(|code| (code.status(), *code)));
    }

    fn add_parameter(&mut self, name: &str) -> Option<&mut Value> {
        let parameters = &mut self.operation["parameters"];
        if parameters.is_null() {
            *parameters = json!([]);
        }
        let parameters = parameters.as_array_mut()?;
        parameters.push(self.written.shared["parameters"][name].clone());
        parameters.last_mut()
    }

    fn has_parameter(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.operation["parameters"].as_array().is_some_and(|parameters| parameters.iter().any(wanted))
    }

    /// Adds a reference to a header of base.json to the answers with these statuses.
    fn add_header(&mut self, name: &str, to: impl Fn(&str) -> bool) {
        for (_, answer) in fields_mut(&mut self.operation["responses"]).filter(|(status, _)| to(status)) {
            answer["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
        }
    }

    fn add_examples(&mut self) {
        let written = self.written;
        let examples = &written.examples[text(&self.operation["operationId"])];
        for parameter in self.operation["parameters"].as_array_mut().into_iter().flatten() {
            if let Some(example) = examples["parameters"].get(text(&parameter["name"])) {
                parameter["example"] = example.clone();
            }
        }
        for (place, by_type) in examples.as_object().into_iter().flatten().filter(|(place, _)| *place != "parameters") {
            let body = match place.as_str() {
                "request" => &mut self.operation["requestBody"],
                status => &mut self.operation["responses"][status],
            };
            for (media_type, content) in fields_mut(&mut body["content"]) {
                for (field, examples) in by_type[media_type].as_object().into_iter().flatten() {
                    content[field] = examples.clone();
                }
            }
        }
    }

    /// Takes out the extensions that `http::contract` names, and does what they say.
    fn read_extensions(&mut self) {
        let Some(operation) = self.operation.as_object_mut() else { return };
        let names: Vec<String> = operation.keys().filter(|name| name.starts_with("x-")).cloned().collect();
        let extensions: Vec<_> = names.iter().filter_map(|name| operation.remove_entry(name)).collect();
        for (name, value) in extensions {
            match name.as_str() {
                "x-pages" => self.add_pages(&value),
                "x-links" => self.add_links(&value),
                "x-optional-body" => self.operation["requestBody"]["required"] = json!(false),
                codes => {
                    let status = codes.strip_prefix("x-codes-").and_then(|status| status.parse().ok());
                    let named = value.as_array().into_iter().flatten().filter_map(|name| Code::named(name.as_str()?));
                    self.refusals.extend(named.map(|code| (status.unwrap_or(code.status()), code)));
                }
            }
        }
    }

    /// Adds the `limit` and `cursor` of a list.
    fn add_pages(&mut self, size: &Value) {
        if let Some(limit) = self.add_parameter("limit") {
            limit["schema"]["maximum"] = size["max"].clone();
            limit["schema"]["default"] = size["default"].clone();
            limit["example"] = size["default"].clone();
        }
        self.add_parameter("cursor");
        self.refuse(&[Code::LimitInvalid, Code::CursorInvalid]);
    }

    /// Adds links from the ids in an answer's body to the operations that take them.
    fn add_links(&mut self, links: &Value) {
        for (at, operations) in links.as_object().into_iter().flatten() {
            for name in operations.as_array().into_iter().flatten().map(text) {
                let link = json!({ "operationId": name, "parameters": { "id": format!("$response.body#{at}") } });
                for (_, answer) in fields_mut(&mut self.operation["responses"]) {
                    answer["links"][name] = link.clone();
                }
            }
        }
    }

    fn add_parameter_codes(&mut self) {
        if self.has_parameter(|one| one["in"] == "path" && one["schema"]["format"] == "uuid") {
            self.refuse(&[Code::IdInvalid]);
        }
        if self.has_parameter(|one| one["in"] == "query") {
            self.refuse(&[Code::QueryInvalid]);
        }
    }

    fn add_body_codes(&mut self) {
        if matches!(self.route.method, Method::POST | Method::PUT) {
            self.refuse(&[Code::ContentEncodingInvalid, Code::ContentTypeInvalid]);
        }
        let Some(body) = self.operation.get("requestBody").cloned() else { return };
        self.refuse(&[
            Code::BodyIncomplete,
            Code::BodyTooSlow,
            Code::BodyTooLarge,
            Code::BodiesPerUser,
            Code::BodiesFull,
        ]);
        if body["content"].get("application/json").is_some() {
            self.refuse(&[Code::JsonInvalid]);
        }
    }

    fn add_access(&mut self) {
        self.operation["security"] = json!([]);
        if matches!(self.route.access, Access::Open | Access::Page) {
            return;
        }
        self.refuse(&[Code::InternalError, Code::DatabaseUnavailable, Code::SchemaBehind, Code::LoginRateLimited]);
        if self.route.access == Access::Signed {
            return;
        }
        self.refuse(&[
            Code::UserRequired,
            Code::UserInvalid,
            Code::TokenMissing,
            Code::TokenInvalid,
            Code::TokenExpired,
            Code::UserForbidden,
            Code::RateLimited,
            Code::KeysUnavailable,
        ]);
        if is_retry(&self.route.method, &self.route.path) {
            self.refuse(&[Code::RetryRateLimited]);
        }
        let only_reads = self.route.method == Method::GET || READING_POSTS.contains(&self.route.path.as_str());
        if !only_reads {
            self.refuse(&[Code::ScopeMissing]);
        }
        self.add_parameter("X-User-Id");
        self.operation["security"] = json!([{ "user_token": [] }, { "api_key": [] }]);
    }

    /// An answer to a private GET has a tag; a change of one thing may name the tag that it expects.
    fn add_conditions(&mut self) {
        if self.route.access != Access::Private {
            return;
        }
        if self.route.method == Method::GET {
            self.add_parameter("If-None-Match");
            self.operation["responses"]["304"] = self.written.shared["responses"]["304"].clone();
            self.add_header("ETag", |_| true);
        } else if self.route.path.contains("{id}") {
            self.add_parameter("If-Match");
            self.refuse(&[Code::PreconditionFailed]);
        }
    }

    fn add_idempotency(&mut self) {
        if self.route.replayable {
            self.add_parameter("Idempotency-Key");
            self.refuse(&[Code::IdempotencyKeyInvalid, Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused]);
            self.add_header("Idempotency-Replayed", |_| true);
        }
    }

    fn add_problems(&mut self) {
        self.add_header("Location", |status| matches!(status, "201" | "202"));
        let statuses: BTreeSet<u16> = self.refusals.iter().map(|(status, _)| *status).collect();
        for status in statuses {
            let codes = self.refusals.iter().filter(|(other, _)| *other == status).map(|(_, code)| code.as_str());
            let examples: Value = codes
                .clone()
                .map(|code| (code.to_owned(), json!({ "$ref": format!("#/components/examples/{status}_{code}") })))
                .collect();
            let code = json!({ "type": "string", "enum": codes.collect::<Vec<_>>() });
            let schema = json!({ "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "type": "object", "properties": { "code": code } }
            ] });
            let status = status.to_string();
            let mut answer = self.written.shared["responses"][&status].clone();
            answer["content"]["application/problem+json"] = json!({ "schema": schema, "examples": examples });
            self.operation["responses"][status] = answer;
        }
    }

    /// Adds the headers that every answer has.
    fn add_headers(&mut self) {
        let of_all = ["X-Request-Id", "X-Correlation-Id"];
        let of_callers = ["RateLimit", "RateLimit-Policy"].into_iter().filter(|_| self.route.access == Access::Private);
        for name in of_all.into_iter().chain(of_callers) {
            self.add_header(name, |_| true);
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields_mut(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}
