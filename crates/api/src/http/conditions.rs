//! Conditional requests (RFC 9110, section 13). An answer to GET has a strong `ETag`. A client that already has that
//! answer gets 304; a client that changes something can send the tag in `If-Match`, and gets 412 if it has changed.
//!
//! The tag is the hash of the answer's bytes, so it changes exactly when the answer does.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, EntityTag, Header, IfNoneMatch},
    },
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::ApiError;
use domain::hex;

/// Bytes of the hash in a tag: two different answers do not have the same 128 bits by chance.
const TAG_BYTES: usize = 16;

/// 200 with `view` as JSON, or 304 if the client already has it.
pub fn json(request: &HttpRequest, view: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(view).map_err(ApiError::internal)?;
    let tag = tag_of(&body);
    let known = is_known(request, &tag);
    let mut response =
        if known { HttpResponse::build(StatusCode::NOT_MODIFIED) } else { HttpResponse::build(StatusCode::OK) };
    // Only the client may keep it, and must ask again each time.
    response.insert_header(header::ETag(tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    Ok(if known { response.finish() } else { response.content_type("application/json").body(body) })
}

/// Whether the client already has the answer with this tag.
pub fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_unreadable) => false,
    }
}

fn tag_of(body: &[u8]) -> EntityTag {
    EntityTag::new_strong(hex(&Sha256::digest(body)[..TAG_BYTES]))
}

/// The tags of an `If-Match` header.
pub struct IfMatch(header::IfMatch);

impl IfMatch {
    /// The header of `request`; `None`: it has none. A header that cannot be read matches nothing.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.headers().contains_key(header::IF_MATCH).then(|| {
            Self(header::IfMatch::parse(request).unwrap_or_else(|_unreadable| header::IfMatch::Items(Vec::new())))
        })
    }

    /// Whether `view` has one of the tags. Weak tags never match (RFC 9110, section 13.1.1).
    pub fn holds(&self, view: &impl Serialize) -> bool {
        match (&self.0, serde_json::to_vec(view)) {
            (header::IfMatch::Any, Ok(_)) => true,
            (header::IfMatch::Items(tags), Ok(body)) => tags.iter().any(|seen| seen.strong_eq(&tag_of(&body))),
            (_, Err(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{http::header::HeaderName, test::TestRequest};

    fn asked(name: HeaderName, value: &str) -> HttpRequest {
        TestRequest::get().insert_header((name, value)).to_http_request()
    }

    fn status(value: &str) -> u16 {
        json(&asked(header::IF_NONE_MATCH, value), &[1, 2]).unwrap().status().as_u16()
    }

    #[test]
    fn a_client_that_has_it_already_hears_304() {
        let plain = json(&TestRequest::get().to_http_request(), &[1, 2]).unwrap();
        let tag = plain.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        assert_eq!(plain.status().as_u16(), 200);
        for same in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert_eq!(status(&same), 304, "{same}");
        }
        for other in ["\"x\"", "", "nonsense", &tag[1..]] {
            assert_eq!(status(other), 200, "{other}");
        }
    }

    #[test]
    fn only_a_strong_tag_of_just_this_matches() {
        let tag = tag_of(b"[1,2]").to_string();
        let holds = |value: &str| IfMatch::of(&asked(header::IF_MATCH, value)).unwrap().holds(&[1, 2]);
        assert!(holds(&tag) && holds("*") && holds(&format!("\"x\",{tag}")));
        assert!(!holds(&format!("W/{tag}")) && !holds("\"x\"") && !holds(""));
        assert!(IfMatch::of(&TestRequest::get().to_http_request()).is_none());
    }
}
