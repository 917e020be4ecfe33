//! What has been taken in.

use actix_web::http::StatusCode;

use super::{Doc, Tag, samples};
use crate::api::{
    documents::{CHUNKS, DOCUMENTS},
    messages::{ChunkView, DeletionReceipt, DocumentView, Page},
};

const WHICH: &str = "The document's id, as the answer to its upload gave it.";

/// `GET /documents`.
pub fn list_documents() -> Doc {
    Doc::new("list_documents", Tag::Documents, "List documents", "The caller's documents, newest first.")
        .pages(DOCUMENTS, &samples::cursor())
        .answers::<Page<DocumentView>>(
            StatusCode::OK,
            "A page of documents; without `next_cursor` it is the last.",
            &[("page", samples::page(samples::document()))],
        )
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
    .refuses(StatusCode::NOT_FOUND, &["document_not_found"])
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
    .refuses(StatusCode::NOT_FOUND, &["document_not_found"])
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
    .pages(CHUNKS, "49")
    .answers::<Page<ChunkView>>(
        StatusCode::OK,
        "A page of passages; without `next_cursor` it is the last.",
        &[("page", samples::page(samples::chunk()))],
    )
    .refuses(StatusCode::NOT_FOUND, &["document_not_found"])
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
    .refuses(StatusCode::NOT_FOUND, &["deletion_not_found"])
}
