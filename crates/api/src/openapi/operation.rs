//! What is added to the operation of a route because of its properties: who may call, its method, its path, its body.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::{
    HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema, SchemaFormat,
    Type,
    link::Link,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    security::SecurityRequirement,
};

use super::{
    problems::problem,
    route::{Access, Route, Schemas},
};
use crate::{guard::auth::READING_POSTS, http::paging::PageSize, resources::samples};
use domain::Code;

/// An operation with all that its clients must know.
pub struct Completed {
    /// The operation.
    pub operation: Operation,
    /// Schemas that it refers to.
    pub schemas: Schemas,
    /// The codes of its problems, by status.
    pub refusals: Refusals,
}

type Refusals = BTreeMap<u16, BTreeSet<Code>>;

/// The operation of `route` for one of its methods.
pub fn complete(route: &Route, method: &HttpMethod) -> Completed {
    let (operation, schemas) = route.described();
    let mut making = Making { route, operation, refusals: Refusals::new() };
    making.read_extensions();
    making.add_what_parameters_bring();
    making.add_what_bodies_bring();
    making.add_what_access_brings();
    making.add_conditions();
    making.add_idempotency();
    making.add_request_ids();
    making.answer_problems();
    making.add_headers();
    let mut operation = making.operation;
    if *method == HttpMethod::Head {
        operation.operation_id = operation.operation_id.map(|id| format!("head_{id}"));
        for answer in operation.responses.responses.values_mut() {
            if let RefOr::T(answer) = answer {
                answer.content.clear();
            }
        }
    }
    Completed { operation, schemas, refusals: making.refusals }
}

struct Making<'a> {
    route: &'a Route,
    operation: Operation,
    refusals: Refusals,
}

impl Making<'_> {
    fn refuse(&mut self, codes: &[Code]) {
        for code in codes {
            self.refuse_with(code.status(), *code);
        }
    }

    fn refuse_with(&mut self, status: u16, code: Code) {
        self.refusals.entry(status).or_default().insert(code);
    }

    fn add_parameter(&mut self, parameter: ParameterBuilder) {
        self.operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
    }

    /// The answers that are no problems.
    fn answers(&mut self, wanted: impl Fn(u16) -> bool) -> impl Iterator<Item = &mut Response> {
        self.operation.responses.responses.iter_mut().filter_map(move |(status, answer)| match answer {
            RefOr::T(answer) if status.parse().is_ok_and(&wanted) => Some(answer),
            RefOr::T(_) | RefOr::Ref(_) => None,
        })
    }

    /// Those that `http::contract` names.
    fn read_extensions(&mut self) {
        let Some(extensions) = self.operation.extensions.take() else { return };
        for (name, value) in extensions.iter() {
            match name.as_str() {
                "x-pages" => self.add_pages(value),
                "x-links" => self.add_links(value),
                "x-optional-body" => {
                    if let Some(RefOr::T(body)) = &mut self.operation.request_body {
                        body.required = Some(Required::False);
                    }
                }
                codes => {
                    let status = codes.strip_prefix("x-codes-").and_then(|status| status.parse().ok());
                    let named = value.as_array().into_iter().flatten().filter_map(|name| Code::named(name.as_str()?));
                    for code in named {
                        self.refuse_with(status.unwrap_or_else(|| code.status()), code);
                    }
                }
            }
        }
    }

    /// A list's `limit` and `cursor`.
    fn add_pages(&mut self, size: &Value) {
        let Ok(size) = PageSize::deserialize(size) else { return };
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1_i64))
            .maximum(Some(size.max))
            .default(Some(json!(size.default)));
        self.add_parameter(parameter(ParameterIn::Query, "limit", "Items wanted.", limit, json!(size.default)));
        let what = "`next_cursor` of the page before, as it came; the first page when absent.";
        self.add_parameter(parameter(ParameterIn::Query, "cursor", what, text(), json!(samples::cursor())));
        self.refuse(&[Code::LimitInvalid, Code::CursorInvalid]);
    }

    /// What an answer gives to go on with: ids in its body, each with the operations that take it.
    fn add_links(&mut self, links: &Value) {
        for (at, operations) in links.as_object().into_iter().flatten() {
            for operation in operations.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let link = Link::builder().operation_id(operation).parameter("id", format!("$response.body#{at}"));
                let link = link.build();
                for answer in self.answers(is_success) {
                    answer.links.insert(operation.to_owned(), RefOr::T(link.clone()));
                }
            }
        }
    }

    fn add_what_parameters_bring(&mut self) {
        let id_in_path = self.parameters().any(|one| one.parameter_in == ParameterIn::Path && is_uuid(one));
        let query = self.parameters().any(|one| one.parameter_in == ParameterIn::Query);
        if id_in_path {
            self.refuse(&[Code::IdInvalid]);
        }
        if query {
            self.refuse(&[Code::QueryInvalid]);
        }
    }

    fn add_what_bodies_bring(&mut self) {
        if matches!(self.route.method, HttpMethod::Post | HttpMethod::Put) {
            self.refuse(&[Code::ContentEncodingInvalid, Code::ContentTypeInvalid]);
        }
        let Some(RefOr::T(body)) = &self.operation.request_body else { return };
        let json = body.content.contains_key("application/json");
        self.refuse(&[Code::BodyIncomplete, Code::BodyTooSlow, Code::BodyTooLarge]);
        if json {
            self.refuse(&[Code::JsonInvalid]);
        }
    }

    fn add_what_access_brings(&mut self) {
        self.operation.security = Some(Vec::new());
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
        if !self.only_reads() {
            self.refuse(&[Code::ScopeMissing]);
        }
        let what = "For whom to act. A key that speaks for many users needs it; leave it out otherwise.";
        self.add_parameter(parameter(ParameterIn::Header, "X-User-Id", what, uuid(), json!(samples::USER)));
        let by = |scheme: &str| SecurityRequirement::new(scheme, Vec::<String>::new());
        self.operation.security = Some(vec![by("user_token"), by("api_key")]);
    }

    fn only_reads(&self) -> bool {
        self.route.method == HttpMethod::Get || READING_POSTS.contains(&self.route.path.as_str())
    }

    /// An answer to a private GET has a tag; a change of one thing may name the tag that it is a change of.
    fn add_conditions(&mut self) {
        if self.route.access != Access::Private {
            return;
        }
        if self.route.method == HttpMethod::Get {
            let what = "The `ETag` of an answer that the client has.";
            self.add_parameter(parameter(ParameterIn::Header, "If-None-Match", what, text(), json!(samples::TAG)));
            let not_modified = ResponseBuilder::new().description("What the client has is what there is.").build();
            let status = StatusCode::NOT_MODIFIED.as_str().to_owned();
            self.operation.responses.responses.insert(status, RefOr::T(not_modified));
            self.answers(|_| true).for_each(|answer| add_header(answer, "ETag"));
        } else if self.route.path.contains("{id}") {
            let what = "The `ETag` that GET gave; refused once it is another.";
            self.add_parameter(parameter(ParameterIn::Header, "If-Match", what, text(), json!("*")));
            self.refuse(&[Code::PreconditionFailed]);
        }
    }

    fn add_idempotency(&mut self) {
        if !self.route.replayable {
            return;
        }
        let key = text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]+$"));
        let what =
            "Visible ASCII, new for each request: a repeat within 24 h is answered as the first was, and does nothing.";
        self.add_parameter(parameter(ParameterIn::Header, "Idempotency-Key", what, key, json!(samples::KEY)));
        self.refuse(&[Code::IdempotencyKeyInvalid, Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused]);
        self.answers(|_| true).for_each(|answer| add_header(answer, "Idempotency-Replayed"));
    }

    fn add_request_ids(&mut self) {
        for (name, what, example) in [
            ("X-Request-Id", "A UUID to know this request by in logs; anything else is ignored.", samples::REQUEST),
            (
                "X-Correlation-Id",
                "A UUID that holds together what belongs together, across requests; a job keeps it. Anything else is ignored.",
                samples::CORRELATION,
            ),
        ] {
            self.add_parameter(parameter(ParameterIn::Header, name, what, text(), json!(example)));
        }
    }

    fn answer_problems(&mut self) {
        // What was made or begun is to be read elsewhere.
        self.answers(|status| matches!(status, 201 | 202)).for_each(|answer| add_header(answer, "Location"));
        for (status, codes) in &self.refusals {
            let mut answer = problem(*status, codes);
            match status {
                401 => add_header(&mut answer, "WWW-Authenticate"),
                429 | 503 => add_header(&mut answer, "Retry-After"),
                _ => {}
            }
            self.operation.responses.responses.insert(status.to_string(), RefOr::T(answer));
        }
    }

    /// What every answer has.
    fn add_headers(&mut self) {
        let limits: &[&str] =
            if self.route.access == Access::Private { &["RateLimit", "RateLimit-Policy"] } else { &[] };
        for name in ["X-Request-Id", "X-Correlation-Id"].iter().chain(limits) {
            self.answers(|_| true).for_each(|answer| add_header(answer, name));
        }
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn is_uuid(parameter: &Parameter) -> bool {
    let uuid = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    matches!(&parameter.schema, Some(RefOr::T(Schema::Object(schema))) if schema.format.as_ref() == Some(&uuid))
}

fn add_header(answer: &mut Response, name: &str) {
    answer.headers.insert(name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
}

fn parameter(place: ParameterIn, name: &str, what: &str, schema: ObjectBuilder, example: Value) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(what))
        .schema(Some(schema))
        .example(Some(example))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn uuid() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}
