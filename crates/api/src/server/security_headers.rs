//! The headers that every answer has: what browsers may do with it, and how much is left to its caller. Where a handler
//! has set one of them, that stays.

use actix_web::{
    body::MessageBody,
    dev::ServiceRequest,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};

use crate::{
    guard::{client_address::is_https, rates::insert_rate_headers},
    http::{ApiState, MiddlewareResult},
};

/// From OWASP, "REST Security Cheat Sheet". The policy is for answers that are no pages: nothing in them is loaded,
/// run or framed. A page sets its own.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Pages of other origins read answers by CORS or not at all; this is for what they embed.
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A year: the least that browsers' preload lists ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers that an answer lacks, and those about its caller's rates.
pub async fn add_security_headers(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    let by_https = request.app_data::<web::Data<ApiState>>().is_some_and(|state| {
        let settings = &state.settings;
        settings.environment != "development" && is_https(request.headers(), settings.http.trusted_proxies)
    });
    let mut response = next.call(request).await?.map_into_boxed_body();
    let request = response.request().clone();
    let headers = response.headers_mut();
    insert_absent(headers, by_https);
    insert_rate_headers(&request, headers);
    Ok(response)
}

fn insert_absent(headers: &mut HeaderMap, by_https: bool) {
    let hsts = by_https.then_some((header::STRICT_TRANSPORT_SECURITY, HSTS));
    for (name, value) in HEADERS.into_iter().chain(hsts) {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_set_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        insert_absent(&mut headers, false);
        assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "private, no-cache");
        assert_eq!(headers.get(header::X_FRAME_OPTIONS).unwrap(), "DENY");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        insert_absent(&mut headers, true);
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
