//! Bodies of JSON. An object, and nothing else: serde would take an array for a struct, field by field.

use std::ops::Deref;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::http::{ApiError, read_whole};
use domain::Code;

/// A body that is one JSON object, of no more than `API_BODY_LIMIT`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            require_json(&request)?;
            parse(&read_whole(&request, payload).await?).map(Self)
        })
    }
}

/// The object that the body is; the default where it is empty.
pub async fn optional<T: DeserializeOwned + Default>(request: &HttpRequest, body: web::Payload) -> Result<T, ApiError> {
    let body = read_whole(request, body).await?;
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    require_json(request)?;
    parse(&body)
}

fn require_json(request: &HttpRequest) -> Result<(), ApiError> {
    if is_json(request.content_type()) { Ok(()) } else { Err(ApiError::of(Code::ContentTypeInvalid)) }
}

/// The object that `body` is.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(ApiError::new(Code::JsonInvalid, "The JSON body is an array. Send an object, in braces."));
    }
    read(body)
}

/// The string whose characters stand in `body` as JSON has them, without the quotes.
pub fn parse_string(body: &[u8]) -> Result<String, ApiError> {
    read(&[b"\"", body, b"\""].concat())
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(|error| {
        ApiError::new(Code::JsonInvalid, format!("The JSON body is not what this route takes: {error}."))
    })
}

/// Whether a media type is JSON, whatever its parameters.
pub fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
