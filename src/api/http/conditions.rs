//! Conditional requests (RFC 9110, section 13): an answer to GET carries a strong `ETag`, so that a client that has it
//! already hears 304, and one that changes what it saw can say that it must still be so (`If-Match`, else 412).
//!
//! The tag is the hash of the answer's bytes: whatever a reader would see changed, changes it, and nothing else does.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    api::http::ApiError,
    domain::{Code, hex},
};

/// Bytes of the hash that a tag shows. Source: ours; two answers that a client compares do not meet in 128 bits.
const TAG_BYTES: usize = 16;

/// 200 with `view` as JSON, or 304 where the client has just that.
pub fn json(request: &HttpRequest, view: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(view).map_err(ApiError::internal)?;
    let tag = tag_of(&body);
    let known = listed(request, &header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.iter().any(|known| known == "*" || known.trim_start_matches("W/") == tag));
    let mut response =
        if known { HttpResponse::build(StatusCode::NOT_MODIFIED) } else { HttpResponse::build(StatusCode::OK) };
    // Kept by the client alone, and asked for again each time.
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    Ok(if known { response.finish() } else { response.content_type("application/json").body(body) })
}

fn tag_of(body: &[u8]) -> String {
    format!("\"{}\"", hex(&Sha256::digest(body)[..TAG_BYTES]))
}

/// What a client says that it has seen.
pub struct IfMatch(Vec<String>);

impl IfMatch {
    /// The header of `request`; `None`: whatever there is will do.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        listed(request, &header::IF_MATCH).map(Self)
    }

    /// Whether `view` is what it has seen. Weak tags never are (RFC 9110, section 13.1.1).
    pub fn holds(&self, view: &impl Serialize) -> bool {
        let Ok(body) = serde_json::to_vec(view) else { return false };
        let tag = tag_of(&body);
        self.0.iter().any(|seen| seen == "*" || *seen == tag)
    }
}

/// 412.
pub fn precondition_failed() -> ApiError {
    ApiError::of(Code::PreconditionFailed)
}

/// The tags of a header, over all its lines; `None`: it is not there.
fn listed(request: &HttpRequest, name: &HeaderName) -> Option<Vec<String>> {
    let lines: Vec<&str> = request.headers().get_all(name).map(|line| line.to_str().unwrap_or_default()).collect();
    (!lines.is_empty())
        .then(|| lines.iter().flat_map(|line| line.split(',')).map(|tag| tag.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

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
        let tag = tag_of(b"[1,2]");
        let holds = |value: &str| IfMatch::of(&asked(header::IF_MATCH, value)).unwrap().holds(&[1, 2]);
        assert!(holds(&tag) && holds("*") && holds(&format!("\"x\",{tag}")));
        assert!(!holds(&format!("W/{tag}")) && !holds("\"x\"") && !holds(""));
        assert!(IfMatch::of(&TestRequest::get().to_http_request()).is_none());
    }
}
