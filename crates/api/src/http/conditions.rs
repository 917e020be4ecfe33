//! Conditional requests (RFC 9110, section 13): an answer to GET carries a strong `ETag`, so that a client that has it
//! already hears 304, and one that changes what it saw can say that it must still be so (`If-Match`, else 412).
//!
//! The tag is the hash of the answer's bytes: whatever a reader would see changed, changes it, and nothing else does.

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
use domain::{Code, hex};

/// Bytes of the hash that a tag shows: two answers that a client compares do not have the same 128 bits by chance.
const TAG_BYTES: usize = 16;

/// 200 with `view` as JSON, or 304 where the client has just that.
pub fn json(request: &HttpRequest, view: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(view).map_err(ApiError::internal)?;
    let tag = tag_of(&body);
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_unreadable) => false,
    };
    let mut response =
        if known { HttpResponse::build(StatusCode::NOT_MODIFIED) } else { HttpResponse::build(StatusCode::OK) };
    // Kept by the client alone, and asked for again each time.
    response.insert_header(header::ETag(tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    Ok(if known { response.finish() } else { response.content_type("application/json").body(body) })
}

fn tag_of(body: &[u8]) -> EntityTag {
    EntityTag::new_strong(hex(&Sha256::digest(body)[..TAG_BYTES]))
}

/// What a client says that it has seen.
pub struct IfMatch(header::IfMatch);

impl IfMatch {
    /// The header of `request`; `None`: whatever there is will do. What cannot be read matches nothing.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.headers().contains_key(header::IF_MATCH).then(|| {
            Self(header::IfMatch::parse(request).unwrap_or_else(|_unreadable| header::IfMatch::Items(Vec::new())))
        })
    }

    /// Whether `view` is what it has seen. Weak tags never are (RFC 9110, section 13.1.1).
    pub fn holds(&self, view: &impl Serialize) -> bool {
        match (&self.0, serde_json::to_vec(view)) {
            (header::IfMatch::Any, Ok(_)) => true,
            (header::IfMatch::Items(tags), Ok(body)) => tags.iter().any(|seen| seen.strong_eq(&tag_of(&body))),
            (_, Err(_)) => false,
        }
    }
}

/// 412.
pub fn precondition_failed() -> ApiError {
    ApiError::of(Code::PreconditionFailed)
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
