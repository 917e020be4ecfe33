//! Who calls: a user's token, or one of our API keys; and how often.
//!
//! The middleware [`authenticate`] stands before every private route and leaves a [`Caller`]; the extractor only reads
//! it, so a handler that wants one outside the private scope gets an error, never a guess.

mod bearer;
mod key;
mod key_cache;
mod token;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use time::OffsetDateTime;
use uuid::Uuid;

use self::{bearer::bearer, key::caller_of_key, token::caller_of_token};
pub use self::{
    key_cache::{KeyCache, KeyPolicy},
    token::{TokenError, issue_token},
};
use super::{ApiError, ApiState, rates};
use domain::UserId;

/// The user for whom a request acts.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whose documents it sees.
    pub user: UserId,
    /// When what it was let in by expires.
    pub until: Option<OffsetDateTime>,
    /// The API key that let it in; `None`: a token did.
    pub key: Option<Uuid>,
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().copied();
        std::future::ready(
            caller.ok_or_else(|| ApiError::internal("a route outside the private scope asks for its caller")),
        )
    }
}

/// Lets a request through to the private routes when its caller is known, may do what it asks, and asks no more often
/// than it may.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<ApiState>>().cloned() else {
        let error = ApiError::internal("the application has no state");
        return Ok(request.error_response(error).map_into_boxed_body());
    };
    let admitted = match identify_caller(&state, request.request()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            rates::take_request(&state, caller.user, request.request())
        }
        Err(error) => Err(rates::note_refusal(&state, request.request(), error)),
    };
    let response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => return Ok(request.error_response(error).map_into_boxed_body()),
    };
    rates::note_uploads(&state, response.request()).await;
    Ok(response)
}

async fn identify_caller(state: &ApiState, request: &HttpRequest) -> Result<Caller, ApiError> {
    let bearer = bearer(request)?;
    let caller = if key::is_api_key(bearer) {
        rates::refuse_guessing(state, request)?;
        caller_of_key(state, request, bearer).await?
    } else {
        let caller = caller_of_token(&state.settings.auth, state.keys.as_ref(), bearer).await?;
        Caller { user: key::acts_for(Some(caller.user), request)?, ..caller }
    };
    state.require_schema().await?;
    Ok(caller)
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn bytes_as_hex() {
        assert_eq!(hex(&[0, 15, 16, 255]), "000f10ff");
    }
}
