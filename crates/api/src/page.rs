//! The page at `/`: files that need no build and nothing from elsewhere. It is a client of the API like any
//! other, so people who open it still have to sign in with a token or a key.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use crate::http::{ApiError, codes, page_file};
use domain::Code;

/// What the page may do: use its own files and its own origin's API, and run nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: blob:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The parts of the script, by name.
const PARTS: [(&str, &str); 7] = [
    ("api.js", include_str!("page/dashboard/api.js")),
    ("documents.js", include_str!("page/dashboard/documents.js")),
    ("jobs.js", include_str!("page/dashboard/jobs.js")),
    ("lists.js", include_str!("page/dashboard/lists.js")),
    ("search.js", include_str!("page/dashboard/search.js")),
    ("uploads.js", include_str!("page/dashboard/uploads.js")),
    ("view.js", include_str!("page/dashboard/view.js")),
];

/// A page for people.
///
/// Upload, watch, search, judge what was found, replace, retry, delete. It signs in as any client does.
#[utoipa::path(
    get,
    path = "/",
    tag = "Pages",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub async fn dashboard() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// The style of the page at /.
///
/// CSS.
#[utoipa::path(
    get,
    path = "/dashboard.css",
    tag = "Pages",
    responses((status = 200, description = "The style.", body = String, content_type = "text/css"))
)]
pub async fn dashboard_style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("page/dashboard.css"))
}

/// The script of the page at /.
///
/// JavaScript.
#[utoipa::path(
    get,
    path = "/dashboard.js",
    tag = "Pages",
    responses((status = 200, description = "The script.", body = String, content_type = "text/javascript"))
)]
pub async fn dashboard_script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("page/dashboard.js"))
}

/// The name of one of the [`PARTS`].
struct PartName;

impl utoipa::PartialSchema for PartName {
    fn schema() -> RefOr<Schema> {
        let names = PARTS.map(|(name, _text)| name);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl utoipa::ToSchema for PartName {}

/// A part of the script of the page at /.
///
/// A JavaScript module.
#[utoipa::path(
    get,
    path = "/dashboard/{file}",
    tag = "Pages",
    params(("file" = inline(PartName), Path, description = "The part's name.")),
    responses((status = 200, description = "The module.", body = String, content_type = "text/javascript")),
    extensions(("x-codes" = json!(codes(&[Code::RouteNotFound]))))
)]
pub async fn dashboard_part(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = PARTS.iter().find(|(part, _text)| *part == name.as_str()).ok_or_else(ApiError::route_not_found)?;
    Ok(file("text/javascript; charset=utf-8", found.1))
}

fn file(content_type: &str, text: &'static str) -> HttpResponse {
    page_file(content_type, POLICY, Bytes::from_static(text.as_bytes()))
}
