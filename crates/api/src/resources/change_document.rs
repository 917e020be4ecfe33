//! Changing what a client says of a document: its metadata, and the declared type of one that failed for it.

use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use crate::{
    http::{ApiError, Call, HttpResult, IfMatch, Json, codes, validate},
    resources::documents::document_view,
};
use domain::{Code, DocumentId};
use messages::{DocumentPatch, DocumentView};
use store::{
    documents::{Changing, Document, set_metadata},
    jobs::{Retyped, retype_document},
};

/// Change a document.
///
/// `metadata` takes the place of what the client said before; nothing is read or embedded again. `mime` is for a document, or a file
/// that was to replace it, that failed with `type_mismatch`: its bytes, which are kept for a while, are read again at once, as what it
/// says; the name no longer counts. Sending the same again changes nothing.
#[utoipa::path(
    patch,
    path = "/documents/{id}",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    request_body(content = DocumentPatch, description = "What to change, one or the other."),
    responses((status = 200, description = "The document as it is now.", body = DocumentView)),
    extensions(("x-codes" = json!(codes(&[
        Code::DocumentNotFound,
        Code::MimeInvalid,
        Code::MetadataInvalid,
        Code::TypeSettled,
        Code::RetryNeedsUpload
    ]))))
)]
pub async fn patch_document(
    Call { state, caller, request }: Call,
    id: web::Path<Uuid>,
    body: Json<DocumentPatch>,
) -> HttpResult {
    let (id, metadata) = (DocumentId(*id), validate::metadata(body.metadata.as_ref())?);
    state.require_schema().await?;
    let mime = match (&body.mime, metadata) {
        (Some(mime), None) => validate::mime(mime)?,
        (None, Some(metadata)) => {
            return match set_metadata(&state.db, caller.user, id, &metadata, &as_seen(&request)).await? {
                Changing::Done(document) => Ok(HttpResponse::Ok().json(document_view(*document))),
                Changing::Changed => Err(ApiError::of(Code::PreconditionFailed)),
                Changing::NotFound => Err(ApiError::of(Code::DocumentNotFound)),
            };
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::new(Code::MetadataInvalid, "Send either `metadata` or `mime`."));
        }
    };
    match retype_document(&state.db, caller.user, id, &mime, &as_seen(&request)).await? {
        Retyped::Done(document) => {
            state.notifier.poke();
            tracing::info!(document.id = %id, "the type of document {id} is corrected");
            Ok(HttpResponse::Ok().json(document_view(*document)))
        }
        Retyped::Refused(code) => Err(ApiError::of(code).about(None, Some(id.0))),
        Retyped::Changed => Err(ApiError::of(Code::PreconditionFailed)),
        Retyped::NotFound => Err(ApiError::of(Code::DocumentNotFound)),
    }
}

/// Whether a document still has the tag that the client sent, if it sent one.
pub fn as_seen(request: &HttpRequest) -> impl Fn(&Document) -> bool + Send + Sync + use<> {
    let seen = IfMatch::of(request);
    move |document| seen.as_ref().is_none_or(|seen| seen.holds(&document_view(document.clone())))
}
