//! Being called back.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{ContentBuilder, KnownFormat, ObjectBuilder, Required, SchemaFormat, Type, path::ParameterIn};

use super::{Doc, Tag, samples};
use crate::{api::messages::WebhookTaken, callback::HEADER, domain::Code};

/// `POST /webhook/llamaparse/{job_id}/{token}`.
pub fn post_llamaparse() -> Doc {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let anything = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    let anything =
        ContentBuilder::new().schema(Some(anything)).example(Some(json!("{\"event_type\":\"parse.success\"}")));
    Doc::new(
        "post_llamaparse",
        Tag::Jobs,
        "Say that a document is parsed",
        "For LlamaParse alone, which is told this URL and its header with each document. A signal: the job is looked at now, and \
         LlamaParse asked what became of it. The body is not read, whatever its type. A repeated call is answered alike and \
         changes nothing, nor does one for a job that waits for nobody.",
    )
    .id_in_path("job_id", "Part of the URL that was given out.", samples::JOB)
    .proof(ParameterIn::Path, "token", "Part of the URL that was given out.", text(), json!("1772446504.k3Jx0eQ"))
    .proof(ParameterIn::Header, HEADER, "The header that was given out with the URL.", text(), json!("9vQ2mZk"))
    .takes(
        "Whatever the parser sends, 1 MiB at most; it is hashed, to know a repeated one by.",
        Required::False,
        [("application/octet-stream", anything.build())],
    )
    .answers::<WebhookTaken>(StatusCode::OK, "It need not be sent again.", &[("taken", WebhookTaken { taken: true })])
    .refuses(&[Code::WebhookForbidden, Code::WebhookExpired, Code::JobNotFound, Code::WebhookStalled])
}
