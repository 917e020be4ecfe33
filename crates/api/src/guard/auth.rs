//! Who calls: a user's token, or one of our API keys; and how often.
//!
//! The middleware [`authenticate`] stands before every private route and leaves a [`Caller`] in the request.

mod bearer;
mod key;
mod key_cache;
mod token;

use actix_web::{HttpMessage, HttpRequest, body::MessageBody, dev::ServiceRequest, middleware::Next, web};

#[cfg(test)]
pub use self::key::READING_POSTS;
use self::{bearer::bearer, key::caller_of_key, token::caller_of_token};
pub use self::{
    key_cache::KeyCache,
    token::{TokenError, issue_token},
};

use crate::{
    guard::{Guard, rates},
    http::{ApiError, ApiState, Caller, MiddlewareResult},
};

/// Lets a request through to the private routes when its caller is known, may do what it asks, and asks no more often
/// than it may.
pub async fn authenticate(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    let state = ApiState::of(request.request())?;
    let guard = request.app_data::<web::Data<Guard>>().cloned();
    let guard = guard.ok_or_else(|| ApiError::internal("the application has no guard"))?;
    let admitted = match identify_caller(&state, &guard, request.request()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            guard.rates.take_request(caller.user, request.request())
        }
        Err(error) => Err(guard.rates.note_refusal(request.request(), error)),
    };
    let response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => return Ok(request.error_response(error).map_into_boxed_body()),
    };
    rates::note_uploads(&state, response.request()).await;
    Ok(response)
}

async fn identify_caller(state: &ApiState, guard: &Guard, request: &HttpRequest) -> Result<Caller, ApiError> {
    let bearer = bearer(request)?;
    let caller = if key::is_api_key(bearer) {
        guard.rates.refuse_guessing(request)?;
        caller_of_key(state, request, bearer).await?
    } else {
        let caller = caller_of_token(&state.settings.auth, guard.keys.as_ref(), bearer).await?;
        Caller { user: key::acts_for(Some(caller.user), request)?, ..caller }
    };
    state.require_schema().await?;
    Ok(caller)
}
