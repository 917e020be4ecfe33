//! What the head of a request may say about its body: before anything of the body is read.

use actix_web::{
    HttpRequest,
    body::MessageBody,
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderName},
    },
    middleware::Next,
};

use crate::http::{ApiError, MiddlewareResult, is_json};
use domain::Code;

/// Refuses bodies that are compressed or in another charset: nothing is ever unpacked here, so there are no bombs.
pub async fn check_body_head(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    // A body of any other method is never read.
    let has_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    match if has_body { check(request.request()) } else { Ok(()) } {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => Ok(request.error_response(error).map_into_boxed_body()),
    }
}

fn check(request: &HttpRequest) -> Result<(), ApiError> {
    let coded = lines(request, &header::CONTENT_ENCODING).any(|line| !line.eq_ignore_ascii_case("identity"));
    if coded {
        return Err(ApiError::of(Code::ContentEncodingInvalid));
    }
    let mut kinds = lines(request, &header::CONTENT_TYPE);
    let (kind, another) = (kinds.next().unwrap_or_default(), kinds.next());
    if another.is_some() {
        return Err(ApiError::new(Code::ContentTypeInvalid, "The request has more than one Content-Type. Send one."));
    }
    if is_json(kind) && charset(kind).is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(ApiError::new(
            Code::ContentTypeInvalid,
            "JSON is UTF-8 (RFC 8259). Send it so, without another charset.",
        ));
    }
    Ok(())
}

fn lines<'a>(request: &'a HttpRequest, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    request.headers().get_all(name).map(|line| line.to_str().unwrap_or("?").trim())
}

fn charset(kind: &str) -> Option<&str> {
    let mut parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let found = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    found.map(|(_, value)| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn code(headers: &[(HeaderName, &str)]) -> Result<(), Code> {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.append_header(header.clone()));
        check(&request.to_http_request()).map_err(|error| error.code())
    }

    #[test]
    fn only_plain_bodies_in_utf_8_are_read() {
        let (kind, coding) = (header::CONTENT_TYPE, header::CONTENT_ENCODING);
        assert_eq!(code(&[]), Ok(()));
        assert_eq!(code(&[(coding.clone(), "Identity")]), Ok(()));
        for coded in ["gzip", "deflate", "br", "x", "gzip, identity", ""] {
            assert_eq!(code(&[(coding.clone(), coded)]), Err(Code::ContentEncodingInvalid), "{coded}");
        }
        for fine in ["application/json", "application/json; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert_eq!(code(&[(kind.clone(), fine)]), Ok(()), "{fine}");
        }
        assert_eq!(code(&[(kind.clone(), "application/json; charset=utf-16")]), Err(Code::ContentTypeInvalid));
        let twice = [(kind.clone(), "application/json"), (kind, "text/plain")];
        assert_eq!(code(&twice), Err(Code::ContentTypeInvalid));
    }
}
