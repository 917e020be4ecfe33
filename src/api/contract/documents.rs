//! What has been taken in.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Ref, Type},
};

use super::{Doc, StatusName, Tag, samples};
use crate::api::{
    http::filters::{KINDS, MAX_PIECE_CHARS},
    messages::{ChunkView, DeletionReceipt, DocumentView, Page},
    resources::documents::{CHUNKS, DOCUMENTS},
};
use crate::domain::Code;

const WHICH: &str = "The document's id, as the answer to its upload gave it.";

/// `GET /documents`.
pub fn list_documents() -> Doc {
    Doc::new("list_documents", Tag::Documents, "List documents", "The caller's documents, newest first.")
        .pages(DOCUMENTS, &samples::cursor())
        .query(
            "processing_status",
            "Only documents whose latest job is at this status.",
            Ref::from_schema_name(StatusName::name()),
            json!("complete"),
        )
        .refers_to::<StatusName>()
        .query(
            "kind",
            "Only documents that are this by their content.",
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(KINDS)),
            json!("pdf"),
        )
        .query(
            "filename",
            "Only documents whose file name holds this, whatever the case.",
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_PIECE_CHARS)),
            json!("policy"),
        )
        .refuses(&[Code::StatusInvalid, Code::KindInvalid])
        .refuses_with(StatusCode::BAD_REQUEST, Code::FilenameInvalid)
        .answers::<Page<DocumentView>>(
            StatusCode::OK,
            "A page of documents; without `next_cursor` it is the last.",
            &[("page", samples::page(samples::document()))],
        )
        .tagged()
}

/// `GET /documents/{id}`.
pub fn get_document() -> Doc {
    Doc::new(
        "get_document",
        Tag::Documents,
        "Look at a document",
        "Name, size, kind, pages, chunks, and its latest job.",
    )
    .id_in_path("id", WHICH, samples::DOCUMENT)
    .answers::<DocumentView>(StatusCode::OK, "The document.", &[("complete", samples::document())])
    .tagged()
    .refuses(&[Code::DocumentNotFound])
}

/// `DELETE /documents/{id}`.
pub fn delete_document() -> Doc {
    Doc::new(
        "delete_document",
        Tag::Documents,
        "Delete a document",
        "Its rows are gone with the answer: document, jobs, passages. A job that runs is stopped. The stored bytes follow; \
         the receipt says when they are gone.",
    )
    .id_in_path("id", WHICH, samples::DOCUMENT)
    .answers::<DeletionReceipt>(StatusCode::ACCEPTED, "The receipt.", &[("pending", samples::receipt("pending", 2))])
    .leads_to(StatusCode::ACCEPTED, "/deletion_id", &["get_deletion_receipt"])
    .located(StatusCode::ACCEPTED)
    .if_match()
    .refuses(&[Code::DocumentNotFound])
}

/// `GET /documents/{id}/chunks`.
pub fn list_chunks() -> Doc {
    Doc::new(
        "list_chunks",
        Tag::Documents,
        "Read a document's passages",
        "In order of the text, with their headings and pages. They come when the document has been cut; whether each has its \
         vector is said.",
    )
    .id_in_path("id", WHICH, samples::DOCUMENT)
    .pages(CHUNKS, &samples::cursor())
    .answers::<Page<ChunkView>>(
        StatusCode::OK,
        "A page of passages; without `next_cursor` it is the last.",
        &[("page", samples::page(samples::chunk()))],
    )
    .tagged()
    .refuses(&[Code::DocumentNotFound])
}

/// `GET /deletions/{id}`.
pub fn get_deletion() -> Doc {
    Doc::new(
        "get_deletion_receipt",
        Tag::Documents,
        "Ask for a deletion's receipt",
        "Whether every stored object of a deleted document is gone.",
    )
    .id_in_path("id", "The receipt's id, as the answer to DELETE gave it.", samples::DELETION)
    .answers::<DeletionReceipt>(StatusCode::OK, "The receipt.", &[("done", samples::receipt("done", 0))])
    .tagged()
    .refuses(&[Code::DeletionNotFound])
}
