//! The header `Authorization`.

use actix_web::{HttpRequest, http::header};

use crate::http::ApiError;
use domain::Code;

/// Longest token: proxies before us end at 8 KiB of headers.
const MAX_BYTES: usize = 8 * 1024;

/// The token or key of `Authorization: Bearer`.
pub fn bearer(request: &HttpRequest) -> Result<&str, ApiError> {
    let missing = || ApiError::of(Code::TokenMissing);
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(ApiError::new(Code::TokenInvalid, "There are two headers Authorization. Send one."));
    }
    let value = value.to_str().ok().ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    if token.len() > MAX_BYTES {
        return Err(ApiError::new(
            Code::TokenInvalid,
            format!("The token was refused: it is longer than {MAX_BYTES} bytes."),
        ));
    }
    Ok(token)
}
