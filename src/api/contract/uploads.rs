//! Sending documents.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{
    ArrayBuilder, Content, ContentBuilder, KnownFormat, ObjectBuilder, Required, SchemaFormat, Type,
};

use super::{Doc, Tag, doc::json_content, samples};
use crate::api::messages::{DocumentsAccepted, TextRequest, UploadAccepted, UploadRequest};
use crate::domain::Code;

/// What becomes of every upload.
const REFUSED: &[Code] =
    &[Code::FilenameEmpty, Code::FilenameTooLong, Code::FilenameInvalid, Code::MimeInvalid, Code::FileEmpty];

/// What can be done with the job of an upload.
const OF_JOB: &[&str] = &["get_job", "get_events", "cancel_job", "retry_job"];
/// And with its document.
const OF_DOCUMENT: &[&str] = &["get_document", "list_chunks", "delete_document"];

/// `POST /upload`.
pub fn post_upload() -> Doc {
    let request = UploadRequest {
        filename: "household-policy.pdf".to_owned(),
        bytes_len: 182_044,
        mime: "application/pdf".to_owned(),
        sha256: samples::SHA256.to_owned(),
        ocr: false,
    };
    Doc::new(
        "post_upload",
        Tag::Uploads,
        "Announce an upload",
        "Says what will come, and where to send it: PUT the bytes to `signed_url`, exactly as it stands, before \
         `upload_expires_at`. Size and SHA-256 must be those announced here. The same content again is a conflict while its \
         document is complete or on its way.",
    )
    .takes_json::<UploadRequest>("The file.", &[("pdf", request)])
    .answers::<UploadAccepted>(
        StatusCode::CREATED,
        "The job waits for the bytes.",
        &[("announced", samples::upload_accepted())],
    )
    .leads_to(StatusCode::CREATED, "/job_id", OF_JOB)
    .leads_to(StatusCode::CREATED, "/document_id", OF_DOCUMENT)
    .located(StatusCode::CREATED)
    .refuses(&[Code::DocumentExists, Code::FileTooLarge])
    .refuses(REFUSED)
    .refuses(&[Code::Sha256Invalid, Code::UploadsPerDay, Code::StorageUnavailable])
}

/// `PUT /uploads/{upload_id}`.
pub fn put_upload() -> Doc {
    let number =
        ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    Doc::new(
        "put_upload",
        Tag::Uploads,
        "Send an announced file",
        "The bytes as they are, without a form. The URL stands for the caller: no other credential is asked for. Sending the \
         same bytes again is harmless. Where the object store signs URLs itself, `signed_url` leads there, not here.",
    )
    .id_in_path("upload_id", "Part of `signed_url`.", samples::UPLOAD)
    .required_query("expires", "Part of `signed_url`.", number, json!(1_772_446_504))
    .required_query(
        "signature",
        "Part of `signed_url`.",
        ObjectBuilder::new().schema_type(Type::String),
        json!("k3Jx0eQ"),
    )
    .takes("The file's bytes.", Required::True, [("application/octet-stream", bytes())])
    .answers_with(StatusCode::NO_CONTENT, "The bytes are stored, and the job is due.", [])
    .refuses(&[Code::UploadUrlInvalid, Code::UploadStalled, Code::UploadUrlExpired, Code::UploadNotWanted])
    .refuses_with(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeMismatch)
    .refuses(&[Code::SizeMismatch, Code::HashMismatch, Code::StorageUnavailable])
}

/// `POST /documents`.
pub fn post_documents() -> Doc {
    let text = TextRequest {
        title: "Notes on the policy".to_owned(),
        text: "# Water damage\n\nCovered up to 20,000.\n".to_owned(),
    };
    Doc::new(
        "post_documents",
        Tag::Uploads,
        "Send documents",
        "One file or many as a form, or a text as JSON. Each becomes a document and a job. A single one that is refused is \
         the answer's own problem; of several, each has its entry: ids, or a problem.",
    )
    .takes(
        "Files, each a part with a file name; or JSON with `title` and `text`.",
        Required::True,
        [("multipart/form-data", form()), ("application/json", json_content::<TextRequest>(&[("text", text)]))],
    )
    .refers_to::<TextRequest>()
    .answers::<DocumentsAccepted>(
        StatusCode::ACCEPTED,
        "Taken in; one entry a file, in the order of the request.",
        &[("one", samples::one_taken()), ("one_of_two", samples::one_of_two_taken())],
    )
    .leads_to(StatusCode::ACCEPTED, "/documents/0/job_id", OF_JOB)
    .leads_to(StatusCode::ACCEPTED, "/documents/0/document_id", OF_DOCUMENT)
    .located(StatusCode::ACCEPTED)
    .refuses(&[Code::FormInvalid, Code::UploadStalled, Code::DocumentExists, Code::FileTooLarge, Code::TooManyFiles, Code::FormTooLarge, Code::ContentTypeInvalid])
    .refuses(REFUSED)
    .refuses(&[Code::FileMissing, Code::TitleEmpty, Code::TextEmpty, Code::TextInvalid, Code::UploadsPerDay, Code::StorageUnavailable])
}

fn binary() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
}

fn bytes() -> Content {
    ContentBuilder::new().schema(Some(binary())).example(Some(json!("%PDF-1.7 …"))).build()
}

/// Parts may have any name; what counts is that they have a file name.
fn form() -> Content {
    let files = ArrayBuilder::new().items(binary().min_length(Some(1))).min_items(Some(1));
    let schema = ObjectBuilder::new().schema_type(Type::Object).property("file", files).required("file");
    ContentBuilder::new().schema(Some(schema)).example(Some(json!({ "file": ["%PDF-1.7 …"] }))).build()
}
