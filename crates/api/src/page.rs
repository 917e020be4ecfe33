//! The page at `/`: three files that need no build and nothing from elsewhere. It is a client of the API like any
//! other, so people who open it still have to sign in with a token or a key.

use actix_web::HttpResponse;
use bytes::Bytes;

use crate::http::page_file;

/// What the page may do: use its own files and its own origin's API, and run nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page for people.
///
/// Upload, watch, search, retry, delete. It signs in as any client does.
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

fn file(content_type: &str, text: &'static str) -> HttpResponse {
    page_file(content_type, POLICY, Bytes::from_static(text.as_bytes()))
}
