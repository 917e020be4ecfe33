//! Who calls: left in the request by the guard, and asked for by handlers.

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::http::ApiError;
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
