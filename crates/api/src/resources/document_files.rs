//! What a document holds, to be saved: its markdown and its original.

use actix_web::web;
use uuid::Uuid;

use crate::http::{ApiError, Call, Download, HttpResult, codes};
use domain::{Code, DocumentId};
use messages::Binary;
use store::documents::{StoredFiles, get_stored_files};

/// Download a document's markdown.
///
/// What was read, as search sees it. Each page begins with a line `<!-- page N -->` if the format has pages. One byte range
/// may be asked for.
#[utoipa::path(
    get,
    path = "/documents/{id}/markdown",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    responses(
        (status = 200, description = "The markdown.", body = String, content_type = "text/markdown"),
        (status = 206, description = "The range of it that was asked for.", body = String, content_type = "text/markdown")
    ),
    extensions(("x-codes" = json!(codes(&[
        Code::DocumentNotFound,
        Code::MarkdownNotReady,
        Code::MarkdownMissing,
        Code::RangeInvalid,
        Code::StorageUnavailable
    ]))))
)]
pub async fn get_markdown(call: Call, id: web::Path<Uuid>) -> HttpResult {
    let files = stored_files(&call, *id).await?;
    let key = files.markdown_path.ok_or_else(|| ApiError::of(Code::MarkdownNotReady))?;
    let download = Download {
        key: &key,
        filename: &markdown_name(&files.filename),
        content_type: "text/markdown; charset=utf-8",
        missing: Code::MarkdownMissing,
    };
    download.answer(&call.state, &call.request).await
}

/// Download a document's original.
///
/// The bytes as they were uploaded, under their file name. One byte range may be asked for.
#[utoipa::path(
    get,
    path = "/documents/{id}/file",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    responses(
        (status = 200, description = "The bytes.", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 206, description = "The range of them that was asked for.", body = inline(Binary), content_type = "application/octet-stream")
    ),
    extensions(("x-codes" = json!(codes(&[
        Code::DocumentNotFound,
        Code::FileRemoved,
        Code::FileNotStored,
        Code::RangeInvalid,
        Code::StorageUnavailable
    ]))))
)]
pub async fn get_file(call: Call, id: web::Path<Uuid>) -> HttpResult {
    let files = stored_files(&call, *id).await?;
    if files.raw_path.is_empty() {
        return Err(ApiError::of(Code::FileRemoved));
    }
    let download = Download {
        key: &files.raw_path,
        filename: &files.filename,
        content_type: "application/octet-stream",
        missing: Code::FileNotStored,
    };
    download.answer(&call.state, &call.request).await
}

async fn stored_files(call: &Call, id: Uuid) -> Result<StoredFiles, ApiError> {
    let found = get_stored_files(&call.state.conn().await?, call.caller.user, DocumentId(id)).await?;
    found.ok_or_else(|| ApiError::of(Code::DocumentNotFound))
}

/// `report.pdf` gives `report.pdf.md`, so that two documents that differ in their extension do not overwrite each other.
fn markdown_name(filename: &str) -> String {
    if filename.to_ascii_lowercase().ends_with(".md") { filename.to_owned() } else { format!("{filename}.md") }
}
