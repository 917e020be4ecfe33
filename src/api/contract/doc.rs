//! The documentation of one route.

mod conditions;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        AllOfBuilder, Content, ContentBuilder, HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Required, Response,
        ResponseBuilder, Schema, SchemaFormat, Type,
        example::{Example, ExampleBuilder},
        link::Link,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        security::SecurityRequirement,
    },
};

use super::Tag;
use crate::api::{http::paging::PageSize, server::endpoint::Access};
use crate::domain::Code;

/// What one method of one path takes and answers.
pub struct Doc {
    id: &'static str,
    tag: Tag,
    summary: &'static str,
    description: &'static str,
    reads: bool,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: BTreeMap<u16, ResponseBuilder>,
    refusals: BTreeMap<u16, BTreeSet<Code>>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// A [`Doc`] in the terms of OpenAPI.
pub struct Built {
    /// The operation.
    pub operation: Operation,
    /// Schemas that it refers to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
    /// The codes of its problems, by status.
    pub refusals: BTreeMap<u16, BTreeSet<Code>>,
}

impl Doc {
    /// `id` is the handler's name, and the operation's.
    pub fn new(id: &'static str, tag: Tag, summary: &'static str, description: &'static str) -> Self {
        Self {
            id,
            tag,
            summary,
            description,
            reads: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            schemas: Vec::new(),
        }
    }

    /// A read, whatever the method.
    pub fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// The id in the path.
    pub fn id_in_path(self, name: &str, what: &str, example: &str) -> Self {
        let parameter = parameter(ParameterIn::Path, name, what, uuid(), json!(example));
        self.with(parameter.required(Required::True)).refuses(&[Code::IdInvalid])
    }

    /// A parameter of the path that is no id.
    pub fn in_path(self, name: &str, what: &str, schema: impl Into<RefOr<Schema>>, example: &str) -> Self {
        let parameter = parameter(ParameterIn::Path, name, what, schema, json!(example));
        self.with(parameter.required(Required::True))
    }

    /// A parameter of the query string.
    pub fn query(self, name: &str, what: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        self.with(parameter(ParameterIn::Query, name, what, schema, example)).refuses(&[Code::QueryInvalid])
    }

    /// A parameter of the query string that must be there.
    pub fn required_query(self, name: &str, what: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        self.with(parameter(ParameterIn::Query, name, what, schema, example).required(Required::True))
            .refuses(&[Code::QueryInvalid])
    }

    /// What proves who calls: where it lacks, that is a refusal like any other.
    pub fn proof(
        self,
        place: ParameterIn,
        name: &str,
        what: &str,
        schema: impl Into<RefOr<Schema>>,
        example: Value,
    ) -> Self {
        self.with(parameter(place, name, what, schema, example).required(Required::True))
    }

    /// A list's `limit` and `cursor`.
    pub fn pages(self, size: PageSize, cursor: &str) -> Self {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1_i64))
            .maximum(Some(size.max))
            .default(Some(json!(size.default)));
        self.query("limit", "Items wanted.", limit, json!(size.default))
            .query(
                "cursor",
                "`next_cursor` of the page before, as it came; the first page when absent.",
                ObjectBuilder::new().schema_type(Type::String),
                json!(cursor),
            )
            .refuses(&[Code::LimitInvalid, Code::CursorInvalid])
    }

    /// A header of the request.
    pub fn header(self, name: &str, what: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        self.with(parameter(ParameterIn::Header, name, what, schema, example))
    }

    fn with(mut self, parameter: ParameterBuilder) -> Self {
        self.parameters.push(parameter.build());
        self
    }

    /// A JSON body that must be there; the examples have names.
    pub fn takes_json<T: ToSchema + Serialize>(self, what: &str, examples: &[(&str, T)]) -> Self {
        let content = json_content::<T>(examples);
        self.refers_to::<T>()
            .takes(what, Required::True, [("application/json", content)])
            .refuses(&[Code::ContentTypeInvalid])
    }

    /// A body of one of some kinds.
    pub fn takes<'a>(
        mut self,
        what: &str,
        required: Required,
        contents: impl IntoIterator<Item = (&'a str, Content)>,
    ) -> Self {
        let body = RequestBodyBuilder::new().description(Some(what)).required(Some(required));
        let body = contents.into_iter().fold(body, |body, (kind, content)| {
            if kind == "application/json" {
                self.refuse(&[Code::JsonInvalid]);
            }
            body.content(kind, content)
        });
        self.refuse(&[Code::BodyIncomplete, Code::BodyTooSlow, Code::BodyTooLarge]);
        self.body = Some(body.build());
        self
    }

    /// Makes a schema known that [`takes`](Self::takes) or an answer refers to.
    pub fn refers_to<T: ToSchema>(mut self) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// A JSON answer.
    pub fn answers<T: ToSchema + Serialize>(self, status: StatusCode, what: &str, examples: &[(&str, T)]) -> Self {
        let content = json_content::<T>(examples);
        self.refers_to::<T>().answers_with(status, what, [("application/json", content)])
    }

    /// An answer of one of some kinds, or without a body.
    pub fn answers_with<'a>(
        mut self,
        status: StatusCode,
        what: &str,
        contents: impl IntoIterator<Item = (&'a str, Content)>,
    ) -> Self {
        let answer = ResponseBuilder::new().description(what);
        let answer = contents.into_iter().fold(answer, |answer, (kind, content)| answer.content(kind, content));
        self.answers.insert(status.as_u16(), answer);
        self
    }

    /// What an answer gives to go on with: the id at `at` in the body, a JSON pointer, is that of these operations.
    pub fn leads_to(mut self, status: StatusCode, at: &str, operations: &[&str]) -> Self {
        if let Some(mut answer) = self.answers.remove(&status.as_u16()) {
            for operation in operations {
                let link = Link::builder().operation_id(*operation).parameter("id", format!("$response.body#{at}"));
                answer = answer.link(*operation, link.build());
            }
            self.answers.insert(status.as_u16(), answer);
        }
        self
    }

    /// Problems that the handler answers with, each with its usual status.
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.refuse(codes);
        self
    }

    /// A problem that the handler answers with, with another of its statuses.
    pub fn refuses_with(mut self, status: StatusCode, code: Code) -> Self {
        self.refusals.entry(status.as_u16()).or_default().insert(code);
        self
    }

    fn refuse(&mut self, codes: &[Code]) {
        for code in codes {
            self.refusals.entry(code.status()).or_default().insert(*code);
        }
    }

    /// Adds what comes with the method and with who may call.
    pub fn build(mut self, method: &HttpMethod, access: Access) -> Built {
        let mut operation = OperationBuilder::new()
            .tag(self.tag.name())
            .summary(Some(self.summary))
            .description(Some(self.description));
        operation = match method {
            HttpMethod::Head => operation.operation_id(Some(format!("head_{}", self.id))),
            _ => operation.operation_id(Some(self.id)),
        };
        if matches!(method, HttpMethod::Post | HttpMethod::Put) {
            self.refuse(&[Code::ContentEncodingInvalid, Code::ContentTypeInvalid]);
        }
        operation = self.secure(operation, method, access);
        for parameter in request_ids().into_iter().chain(self.parameters) {
            operation = operation.parameter(parameter);
        }
        for (status, answer) in self.answers {
            operation = operation.response(status.to_string(), answered(answer, method, access));
        }
        for (status, codes) in &self.refusals {
            operation = operation.response(status.to_string(), answered(problem(*status, codes), method, access));
        }
        let operation = operation.request_body(self.body).build();
        Built { operation, schemas: self.schemas, refusals: self.refusals }
    }

    fn secure(&mut self, operation: OperationBuilder, method: &HttpMethod, access: Access) -> OperationBuilder {
        let none: [SecurityRequirement; 0] = [];
        if matches!(access, Access::Open | Access::Page) {
            return operation.securities(Some(none));
        }
        self.refuse(&[Code::InternalError, Code::DatabaseUnavailable, Code::SchemaBehind, Code::LoginRateLimited]);
        if access == Access::Signed {
            return operation.securities(Some(none));
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
        if !self.reads && !matches!(method, HttpMethod::Get | HttpMethod::Head) {
            self.refuse(&[Code::ScopeMissing]);
        }
        let user = parameter(
            ParameterIn::Header,
            "X-User-Id",
            "For whom to act. A key that speaks for many users needs it; leave it out otherwise.",
            uuid(),
            json!(crate::api::resources::samples::USER),
        );
        self.parameters.push(user.build());
        let by = |scheme: &str| SecurityRequirement::new(scheme, Vec::<String>::new());
        operation.securities(Some([by("user_token"), by("api_key")]))
    }
}

/// Of every request.
fn request_ids() -> [Parameter; 2] {
    let header = |name: &str, what: &str, example: &str| {
        parameter(ParameterIn::Header, name, what, ObjectBuilder::new().schema_type(Type::String), json!(example))
            .build()
    };
    [
        header(
            "X-Request-Id",
            "A UUID to know this request by in logs; anything else is ignored.",
            crate::api::resources::samples::REQUEST,
        ),
        header(
            "X-Correlation-Id",
            "A UUID that holds together what belongs together, across requests; a job keeps it. Anything else is ignored.",
            crate::api::resources::samples::CORRELATION,
        ),
    ]
}

fn parameter(
    place: ParameterIn,
    name: &str,
    what: &str,
    schema: impl Into<RefOr<Schema>>,
    example: Value,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(what))
        .schema(Some(schema))
        .example(Some(example))
}

/// An id.
pub fn uuid() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

/// JSON of type `T`, with typed examples.
pub fn json_content<T: ToSchema + Serialize>(examples: &[(&str, T)]) -> Content {
    let examples = examples.iter().map(|(name, value)| {
        let example = ExampleBuilder::new().value(serde_json::to_value(value).ok());
        (*name, RefOr::T(example.build()))
    });
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).examples_from_iter(examples).build()
}

/// Text with an example.
pub fn text_content(example: &str) -> Content {
    ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!(example)))
        .build()
}

/// A problem whose `code` is one of these.
fn problem(status: u16, codes: &BTreeSet<Code>) -> ResponseBuilder {
    let names: BTreeSet<&str> = codes.iter().map(|code| code.as_str()).collect();
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().schema_type(Type::Object).property("code", code));
    let examples = codes.iter().map(|code| {
        let at = format!("#/components/examples/{}", super::codes::example_name(status, *code));
        (code.as_str(), RefOr::<Example>::Ref(Ref::new(at)))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let answer =
        ResponseBuilder::new().description(super::codes::what(status)).content("application/problem+json", content);
    match status {
        401 => answer.header_ref("WWW-Authenticate", header_ref("WWW-Authenticate")),
        429 | 503 => answer.header_ref("Retry-After", header_ref("Retry-After")),
        _ => answer,
    }
}

fn header_ref(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

/// What every answer has; none to HEAD has a body.
fn answered(answer: ResponseBuilder, method: &HttpMethod, access: Access) -> Response {
    let limits: &[&str] = if access == Access::Private { &["RateLimit", "RateLimit-Policy"] } else { &[] };
    let named = ["X-Request-Id", "X-Correlation-Id"].iter().chain(limits);
    let mut answer = named.fold(answer, |answer, name| answer.header_ref(*name, header_ref(name))).build();
    if *method == HttpMethod::Head {
        answer.content.clear();
    }
    answer
}
