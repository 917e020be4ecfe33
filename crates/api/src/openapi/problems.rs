//! What problems look like, and what a status stands for.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type, example::Example,
};

use crate::resources::samples;
use domain::Code;

/// What a refusal with this status means, whatever its code.
fn what(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood; `detail` names what is wrong. Mend it before sending it again.",
        401 => "The caller is not known: send a valid user's token or API key.",
        403 => "The caller is known, and may not do this.",
        404 => "It is not there, or belongs to another user.",
        408 => "The request came too slowly. Send it again.",
        409 => "Something stands in the way; `job_id` and `document_id` name it.",
        410 => "What this was for is over. Start again.",
        412 => "It is not as `If-Match` says that it was seen.",
        413 => "Larger than the limit that `detail` names.",
        415 => "Not a media type that this route takes.",
        422 => "Well formed, but not acceptable; `detail` says why.",
        429 => "Too much at once, within a minute or within a day. Come back when `Retry-After` says.",
        500 => "A defect on our side. Try again; the `request_id` leads to the log.",
        503 => "Something that this depends on is away. Come back when `Retry-After` says.",
        _ => "Refused; `code` and `detail` say why.",
    }
}

/// Under which name an example stands among the components.
pub fn example_name(status: u16, code: Code) -> String {
    format!("{status}_{code}")
}

/// A problem as it comes over the wire.
pub fn example(status: u16, code: Code) -> Value {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({
        "type": "about:blank",
        "title": title.unwrap_or("Error"),
        "status": status,
        "code": code.as_str(),
        "detail": code.detail(),
        "request_id": samples::REQUEST,
    });
    if status == 409 {
        problem["job_id"] = json!(samples::JOB);
        problem["document_id"] = json!(samples::DOCUMENT);
    }
    problem
}

/// The answer whose `code` is one of these.
pub fn problem(status: u16, codes: &BTreeSet<Code>) -> Response {
    let names = codes.iter().map(|code| code.as_str());
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().schema_type(Type::Object).property("code", code));
    let examples = codes.iter().map(|code| {
        let at = format!("#/components/examples/{}", example_name(status, *code));
        (code.as_str(), RefOr::<Example>::Ref(Ref::new(at)))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    ResponseBuilder::new().description(what(status)).content("application/problem+json", content).build()
}
