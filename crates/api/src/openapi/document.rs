//! The whole document: every route of the table, and what they share.

use serde_json::json;
use utoipa::openapi::{
    Components, ComponentsBuilder, Header, HeaderBuilder, Info, InfoBuilder, License, ObjectBuilder, OpenApi,
    OpenApiBuilder, PathItem, Paths, RefOr, Schema, Server, Type,
    example::{Example, ExampleBuilder},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

use super::{
    operation::{Completed, complete},
    problems,
    route::{Access, Route},
};
use crate::{UploadLimits, resources::samples};
use domain::Code;
use messages::BASE_PATH;

const DESCRIPTION: &str = "\
Takes in documents (PDF, DOCX, PPTX, XLSX, HTML, Markdown, text), and makes them searchable.

**Begin.** Send a file with `POST /documents`, watch its job with `GET /jobs/{id}` or live with `GET /jobs/{id}/events`, \
then ask with `POST /search`. Large files can be announced with `POST /upload` and sent by `PUT` to the `signed_url` of its answer.

**Who calls.** `Authorization: Bearer` with a user's token or an API key. Each user sees and changes only its own; \
another user's id answers 404.

**Again.** A POST with an effect that was sent with an `Idempotency-Key` can be sent again: it is answered as the first time, \
and done once. Answers to GET have an `ETag`.

**Errors** are `application/problem+json` (RFC 9457). `code` is stable and meant for programs; `detail` says what happened \
and what to do. A path that is not listed here answers 404 `route_not_found`, a method that is not, 405 `method_not_allowed`.

**Lists** are pages: send `next_cursor` of the answer as `cursor`, with the same filters. **Times** are RFC 3339, UTC. Fields may be added to \
answers; requests with a field that is not known are refused.";

/// The headings under which operations stand.
const TAGS: [(&str, &str); 6] = [
    ("Uploads", "Sending documents: in one step, or announced and then PUT to a signed URL."),
    ("Documents", "What has been taken in, its passages, and its deletion."),
    ("Jobs", "How far each document has come; stopping and trying again."),
    ("Search", "Asking the documents that are complete."),
    ("Service", "Health, build and figures of this process, and this contract. Open to everyone."),
    ("Pages", "What people look at in a browser. At the root only."),
];

/// The document of these routes, with these limits in it.
pub fn document(routes: &[Route], limits: &UploadLimits, version: &str) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = components();
    for route in routes {
        for method in route.methods() {
            let Completed { operation, schemas, refusals } = complete(route, &method);
            let item = paths.paths.entry(route.path.clone()).or_default();
            item.servers = servers_of(route.access);
            item.merge_operations(PathItem::new(method, operation));
            components.schemas.extend(schemas);
            let refusals = refusals.into_iter().flat_map(|(status, codes)| codes.into_iter().map(move |c| (status, c)));
            components.examples.extend(
                refusals.map(|(status, code)| {
                    (problems::example_name(status, code), RefOr::T(problem_example(status, code)))
                }),
            );
        }
    }
    bound(&mut components, limits);
    OpenApiBuilder::new()
        .info(info(version))
        .servers(Some([server(BASE_PATH, "The base path.")]))
        .paths(paths)
        .components(Some(components))
        .tags(Some(TAGS.map(|(tag, what)| TagBuilder::new().name(tag).description(Some(what)).build())))
        .build()
}

fn info(version: &str) -> Info {
    let license = License::builder().name("MIT").identifier(Some("MIT")).build();
    InfoBuilder::new()
        .title("app: document ingestion and search")
        .version(version)
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build()
}

fn server(url: &str, what: &str) -> Server {
    Server::builder().url(url).description(Some(what)).build()
}

/// Where a path stands that is not below the base path alone.
fn servers_of(access: Access) -> Option<Vec<Server>> {
    match access {
        Access::Private | Access::Signed => None,
        Access::Page => Some(vec![server("/", "The root.")]),
        Access::Open => {
            Some(vec![server(BASE_PATH, "The base path."), server("/", "The root, where platforms probe.")])
        }
    }
}

fn components() -> Components {
    let scheme = |format: &str, what: &str| {
        let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).description(Some(what));
        SecurityScheme::Http(http.build())
    };
    let mut components = ComponentsBuilder::new()
        .security_scheme(
            "user_token",
            scheme("JWT", "The token of a user who has signed in. Its `sub` is the user, a UUID; it must name this server's audience and not be expired."),
        )
        .security_scheme(
            "api_key",
            scheme("apk_…", "A key made with `app keys create`, for one user, or for many: then each request says for whom with `X-User-Id`. A key with the scope `read` only reads and searches; one for many users deletes only with the scope `admin`."),
        )
        .build();
    for (name, what, example) in [
        ("X-Request-Id", "This request's id, which its log lines have.", samples::REQUEST),
        (
            "X-Correlation-Id",
            "The id of all that belongs together; a job's where the request is about a job.",
            samples::CORRELATION,
        ),
        (
            "WWW-Authenticate",
            "`Bearer`, with what was wrong with the token.",
            "Bearer error=\"invalid_token\", error_description=\"token_expired\"",
        ),
        (
            "RateLimit-Policy",
            "What is granted: how many requests at once (`q`), and in how many seconds that comes back (`w`); the day's uploads where the answer is about one. Absent where nothing is bounded.",
            "\"requests\";q=100;w=10, \"uploads\";q=30;w=86400",
        ),
        (
            "RateLimit",
            "How much of that is left (`r`), and in how many seconds there is more (`t`).",
            "\"requests\";r=99;t=1, \"uploads\";r=29;t=86399",
        ),
    ] {
        components.headers.insert(name.to_owned(), RefOr::T(header(what, Type::String, json!(example))));
    }
    for (name, what, example) in [
        ("ETag", "Of just this answer; send it as `If-None-Match` or `If-Match`.", samples::TAG),
        (
            "Location",
            "Where what was made is to be read.",
            "/api/upload-pipeline/jobs/01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90",
        ),
        ("Idempotency-Replayed", "`true`: the answer was given before, to the same request with this key.", "true"),
    ] {
        components.headers.insert(name.to_owned(), RefOr::T(header(what, Type::String, json!(example))));
    }
    let retry_after = header("Seconds to wait before trying again.", Type::Integer, json!(5));
    components.headers.insert("Retry-After".to_owned(), RefOr::T(retry_after));
    components
}

fn header(what: &str, kind: Type, example: serde_json::Value) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(what))
        .example(Some(example))
        .build()
}

fn problem_example(status: u16, code: Code) -> Example {
    ExampleBuilder::new().summary(code.as_str()).value(Some(problems::example(status, code))).build()
}

/// Bounds that are settings; 0 is none.
fn bound(components: &mut Components, limits: &UploadLimits) {
    let mut change = |schema: &str, property: &str, change: &dyn Fn(&mut utoipa::openapi::Object)| {
        if let Some(RefOr::T(Schema::Object(schema))) = components.schemas.get_mut(schema)
            && let Some(RefOr::T(Schema::Object(property))) = schema.properties.get_mut(property)
        {
            change(property);
        }
    };
    if limits.filename_chars > 0 {
        change("UploadRequest", "filename", &|name| name.max_length = Some(limits.filename_chars));
        // The name gets `.md` where it lacks it.
        change("TextRequest", "title", &|title| title.max_length = Some(limits.filename_chars.saturating_sub(3)));
    }
    if limits.max_file_bytes > 0 {
        let most = i64::try_from(limits.max_file_bytes).unwrap_or(i64::MAX);
        change("UploadRequest", "bytes_len", &|size| size.maximum = Some(most.into()));
    }
}
