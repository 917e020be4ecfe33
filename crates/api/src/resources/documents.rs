//! Documents: listing, reading and deleting them.

use actix_web::{HttpResponse, http::header, web};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    http::{ApiError, Call, ChunksQuery, DocumentsQuery, HttpResult, ListId, PageSize, codes, conditions},
    resources::change_document::as_seen,
};
use domain::{Code, DocumentId};
use messages::{BASE_PATH, BoxView, ChunkView, DeletionReceipt, DocumentView, PageOfChunkView, PageOfDocumentView};
use pg::Db;
use store::{
    Cursor,
    deletions::{Deletion, get_deletion},
    documents::{self, Deleting, Document, StoredChunk},
};

pub const DOCUMENTS: PageSize = PageSize { default: 20, max: 100 };
pub const CHUNKS: PageSize = PageSize { default: 50, max: 200 };

pub fn document_view(document: Document) -> DocumentView {
    DocumentView {
        document_id: document.document_id.0,
        filename: document.filename,
        mime: document.mime,
        bytes_len: document.bytes_len,
        sha256: document.file_sha256,
        processing_status: document.processing_status,
        version_no: document.version_no,
        kind: document.kind,
        page_count: document.page_count,
        // A record that a newer build wrote may have another form.
        record: document.record.and_then(|record| serde_json::from_value(record).ok()),
        metadata: document.metadata,
        chunks: document.chunks,
        job_id: document.job_id.map(|id| id.0),
        job_state: document.job_state,
        cost_cents: document.cost,
        uncertain_cents: document.uncertain,
        created_at: document.created_at,
        updated_at: document.updated_at,
    }
}

/// List documents.
///
/// The caller's documents, newest first.
#[utoipa::path(
    get,
    path = "/documents",
    tag = "Documents",
    params(DocumentsQuery),
    responses((
        status = 200,
        description = "A page of documents; without `next_cursor` it is the last.",
        body = PageOfDocumentView
    )),
    extensions(
        ("x-pages" = json!(DOCUMENTS)),
        ("x-codes" = json!(codes(&[Code::StatusInvalid, Code::KindInvalid]))),
        ("x-codes-400" = json!(codes(&[Code::FilenameInvalid, Code::FilterInvalid])))
    )
)]
pub async fn list_documents(Call { state, caller, request }: Call, query: web::Query<DocumentsQuery>) -> HttpResult {
    let (filter, list) = query.filter()?;
    let (limit, after) = (DOCUMENTS.limit(query.limit)?, list.position(query.cursor.as_deref())?);
    let run = async |db: &Db| documents::list_documents(db, caller.user, &filter, after, limit + 1).await;
    let rows = state.read(run).await?;
    let key = |row: &Document| Cursor { created_at: row.created_at, id: row.document_id.0 };
    conditions::json(&request, &list.page(rows, limit, key, document_view))
}

/// Read a document.
///
/// Name, size, kind, pages, chunks, and its latest job.
#[utoipa::path(
    get,
    path = "/documents/{id}",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    responses((status = 200, description = "The document.", body = DocumentView)),
    extensions(("x-codes" = json!(codes(&[Code::DocumentNotFound]))))
)]
pub async fn get_document(Call { state, caller, request }: Call, id: web::Path<Uuid>) -> HttpResult {
    let found = documents::get_document(&state.conn().await?, caller.user, DocumentId(*id)).await?;
    let document = found.ok_or_else(|| ApiError::of(Code::DocumentNotFound))?;
    conditions::json(&request, &document_view(document))
}

/// Read a document's passages.
///
/// In order of the text, with their headings and pages. They exist once the document has been chunked; `embedded` says whether
/// a passage has its vector.
#[utoipa::path(
    get,
    path = "/documents/{id}/chunks",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it."), ChunksQuery),
    responses((
        status = 200,
        description = "A page of passages; without `next_cursor` it is the last.",
        body = PageOfChunkView
    )),
    extensions(("x-pages" = json!(CHUNKS)), ("x-codes" = json!(codes(&[Code::DocumentNotFound]))))
)]
pub async fn list_chunks(
    Call { state, caller, request }: Call,
    id: web::Path<Uuid>,
    query: web::Query<ChunksQuery>,
) -> HttpResult {
    let (id, list) = (DocumentId(*id), ListId::new("chunks").with("document_id", *id));
    let before_first = i64::from(query.from.unwrap_or(0)) - 1;
    let (limit, after) = (CHUNKS.limit(query.limit)?, list.position(query.cursor.as_deref())?.unwrap_or(before_first));
    let after = i32::try_from(after).map_err(|_beyond| ApiError::of(Code::CursorInvalid))?;
    let conn = state.conn().await?;
    let rows = documents::list_chunks(&conn, caller.user, id, after, limit + 1).await?;
    if rows.is_empty() && documents::get_document(&conn, caller.user, id).await?.is_none() {
        return Err(ApiError::of(Code::DocumentNotFound));
    }
    let view = |row: StoredChunk| ChunkView {
        chunk_id: row.chunk_id.0,
        ord: row.ord,
        heading: row.heading,
        text: row.text,
        page_first: row.page_first,
        page_last: row.page_last,
        page_label: row.page_label,
        boxes: boxes_view(row.boxes),
        embedded: row.embedded,
    };
    conditions::json(&request, &list.page(rows, limit, |row| i64::from(row.ord), view))
}

/// The boxes of a passage; what another program wrote may have another form.
pub fn boxes_view(boxes: Option<Value>) -> Option<Vec<BoxView>> {
    boxes.and_then(|boxes| serde_json::from_value(boxes).ok())
}

fn receipt(deletion: Deletion) -> DeletionReceipt {
    DeletionReceipt {
        deletion_id: deletion.deletion_id,
        document_id: deletion.document_id.0,
        state: if deletion.objects_pending == 0 { "done" } else { "pending" }.to_owned(),
        objects_pending: deletion.objects_pending,
        requested_at: deletion.requested_at,
    }
}

/// Delete a document.
///
/// Its rows are gone with the answer: document, jobs, passages. A job that runs is stopped. The stored bytes follow;
/// the receipt says when they are gone.
#[utoipa::path(
    delete,
    path = "/documents/{id}",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    responses((status = 202, description = "The receipt.", body = DeletionReceipt)),
    extensions(
        ("x-links" = json!({ "/deletion_id": ["get_deletion_receipt"] })),
        ("x-codes" = json!(codes(&[Code::DocumentNotFound])))
    )
)]
pub async fn delete_document(Call { state, caller, request }: Call, id: web::Path<Uuid>) -> HttpResult {
    let (id, seen) = (DocumentId(*id), as_seen(&request));
    let deletion = match documents::delete_document(&state.db, caller.user, id, Some(&seen)).await? {
        Deleting::Deleted(deletion) => deletion,
        Deleting::Changed => return Err(ApiError::of(Code::PreconditionFailed)),
        Deleting::NotFound => return Err(ApiError::of(Code::DocumentNotFound)),
    };
    tracing::info!(document.id = %id, deletion.id = %deletion.deletion_id, "document {id} is deleted");
    let at = format!("{BASE_PATH}/deletions/{}", deletion.deletion_id);
    Ok(HttpResponse::Accepted().insert_header((header::LOCATION, at)).json(receipt(deletion)))
}

/// Read a deletion's receipt.
///
/// Whether every stored object of a deleted document is gone.
#[utoipa::path(
    get,
    path = "/deletions/{id}",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The receipt's id, as the answer to DELETE gave it.")),
    responses((status = 200, description = "The receipt.", body = DeletionReceipt)),
    extensions(("x-codes" = json!(codes(&[Code::DeletionNotFound]))))
)]
pub async fn get_deletion_receipt(Call { state, caller, request }: Call, id: web::Path<Uuid>) -> HttpResult {
    let found = get_deletion(&state.conn().await?, caller.user, *id).await?;
    conditions::json(&request, &receipt(found.ok_or_else(|| ApiError::of(Code::DeletionNotFound))?))
}
