//! Files of pages for browsers.

use actix_web::{HttpResponse, http::header};
use bytes::Bytes;

/// A file with this Content-Security-Policy. Browsers ask for it each time, so that a page, its script and the API are
/// always of one build.
pub fn page_file(content_type: &str, policy: &'static str, bytes: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(bytes)
}
