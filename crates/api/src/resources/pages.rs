//! A page of a document as a picture, with the places of a passage marked. The file is opened in a child process only.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, EntityTag},
    },
    web,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::http::{ApiError, ApiState, Call, Full, HttpResult, Most, PictureQuery, codes, conditions};
use domain::{Code, DocumentId, ErrorClass, Failure, UserId, document::PageBox, hex};
use messages::Binary;
use store::documents::{PageSource, get_chunk_boxes, get_page_source};

/// Pages that are drawn or wait for it; each takes a copy of its file on the disk, and a child process.
const DRAWING: Most = Most { per_user: 4, in_all: 32 };
/// When to ask again; most pages take a tenth of a second.
const SOON: Duration = Duration::from_secs(1);
/// Changes whenever pages are drawn in another way.
const LOOK: &str = "1";

/// Show a page.
///
/// A page of a PDF as PNG, at 110 dots per inch, with the places of a passage marked. Ask for pages of other formats with
/// their text instead.
#[utoipa::path(
    get,
    path = "/documents/{id}/pages/{n}.png",
    tag = "Documents",
    params(
        ("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it."),
        ("n" = u32, Path, minimum = 1, description = "The page, from 1."),
        PictureQuery
    ),
    responses((status = 200, description = "The page.", body = inline(Binary), content_type = "image/png")),
    extensions(("x-codes" = json!(codes(&[
        Code::DocumentNotFound,
        Code::PageNotFound,
        Code::PassageNotFound,
        Code::PagesNotShown,
        Code::FileRemoved,
        Code::FileNotStored,
        Code::PageNotDrawn,
        Code::PagesBusy,
        Code::PagesUnavailable,
        Code::StorageUnavailable
    ]))))
)]
pub async fn get_page(
    Call { state, caller, request }: Call,
    at: web::Path<(Uuid, u32)>,
    query: web::Query<PictureQuery>,
) -> HttpResult {
    let (id, page) = at.into_inner();
    let id = DocumentId(id);
    let (source, boxes) = {
        let conn = state.conn().await?;
        let source = get_page_source(&conn, caller.user, id).await?;
        let source = source.ok_or_else(|| ApiError::of(Code::DocumentNotFound))?;
        let boxes = match query.boxes {
            Some(chunk) => get_chunk_boxes(&conn, caller.user, id, chunk).await?,
            None => Some(None),
        };
        (source, boxes.ok_or_else(|| ApiError::of(Code::PassageNotFound))?)
    };
    check(&source, page)?;
    // What another program wrote may have another form.
    let boxes: Vec<PageBox> = boxes.and_then(|boxes| serde_json::from_value(boxes).ok()).unwrap_or_default();
    let tag = tag_of(&source, page, &boxes);
    let etag = EntityTag::new_strong(tag.clone());
    let mut response = HttpResponse::Ok();
    response.insert_header(header::ETag(etag.clone())).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if conditions::is_known(&request, &etag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let png = match state.drawn.get(&tag) {
        Some(png) => png,
        None => {
            let png = Bytes::from(draw(&state, caller.user, &source.raw_path, page, &boxes).await?);
            state.drawn.keep(tag, png.clone());
            png
        }
    };
    Ok(response.content_type("image/png").body(png))
}

/// Refuses what has no such page.
fn check(source: &PageSource, page: u32) -> Result<(), ApiError> {
    if source.kind.as_deref() != Some("pdf") {
        return Err(ApiError::of(Code::PagesNotShown));
    }
    if source.raw_path.is_empty() {
        return Err(ApiError::of(Code::FileRemoved));
    }
    let pages = source.page_count.and_then(|pages| u32::try_from(pages).ok()).unwrap_or(0);
    if (1..=pages).contains(&page) {
        return Ok(());
    }
    Err(ApiError::new(Code::PageNotFound, format!("The document has {pages} pages, counted from 1.")))
}

/// The object at a key never changes, so that this names the picture.
fn tag_of(source: &PageSource, page: u32, boxes: &[PageBox]) -> String {
    let drawn: Vec<_> = boxes.iter().filter(|place| place.page == page).map(|place| format!("{place:?}")).collect();
    hex(&Sha256::digest(format!("{LOOK}\n{}\n{page}\n{}", source.raw_path, drawn.join("\n")))[..16])
}

async fn draw(state: &ApiState, user: UserId, key: &str, page: u32, boxes: &[PageBox]) -> Result<Vec<u8>, ApiError> {
    let pictures = state.pictures.as_ref().ok_or_else(|| ApiError::of(Code::PagesUnavailable))?;
    let mut share = state.drawing.share(Some(user), DRAWING);
    share.take(1).map_err(|full| {
        let status = match full {
            Full::User => StatusCode::TOO_MANY_REQUESTS,
            Full::Process => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError::with_status(status, Code::PagesBusy, Code::PagesBusy.detail()).retry_after(SOON)
    })?;
    let file = tempfile::Builder::new().prefix("app-page-").tempfile().map_err(ApiError::internal)?.into_temp_path();
    let found = state.store.fetch(key, &file).await.map_err(|failure| ApiError::storage(&failure))?;
    if found.is_none() {
        return Err(ApiError::of(Code::FileNotStored));
    }
    pictures.picture(&file, page, boxes).await.map_err(|failure| refusal(&failure))
}

fn refusal(failure: &Failure) -> ApiError {
    let cause = format!("{}: {failure}", failure.code);
    match failure.class {
        ErrorClass::Document => ApiError::of(Code::PageNotDrawn).cause(cause),
        ErrorClass::Transient | ErrorClass::Quota | ErrorClass::Configuration => {
            ApiError::unavailable(Code::PagesUnavailable, cause)
        }
    }
}
