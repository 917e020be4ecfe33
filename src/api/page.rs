//! The page at `/`: three files that need no build and nothing from elsewhere. It is a client of the API like any other, so
//! whoever opens it still has to sign in with a token or a key.

use actix_web::{HttpResponse, http::header};

/// What the page may do: use its own files and its own origin's API, and run nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// `GET /dashboard.css`.
pub async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("page/dashboard.css"))
}

/// `GET /dashboard.js`.
pub async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("page/dashboard.js"))
}

/// Asked for anew each time, so that page and script are always of one build.
fn file(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(text)
}
