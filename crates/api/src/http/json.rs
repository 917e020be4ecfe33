//! Bodies of JSON. An object, and nothing else: serde would take an array for a struct, field by field.

use std::ops::Deref;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::http::{ApiError, ApiState, read_whole};
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
        let (is_json, payload) = (is_json(request.content_type()), payload.take());
        let limit = request.app_data::<web::Data<ApiState>>().map(|state| state.settings.json_body_bytes());
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::of(Code::ContentTypeInvalid));
            }
            let limit = limit.ok_or_else(|| ApiError::internal("the application has no state"))?;
            parse(&read_whole(payload, limit).await?).map(Self)
        })
    }
}

/// The object that `body` is.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(ApiError::new(Code::JsonInvalid, "The JSON body is an array. Send an object, in braces."));
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(Code::JsonInvalid, format!("The JSON body is not what this route takes: {error}."))
    })
}

/// Whether a media type is JSON, whatever its parameters.
pub fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
