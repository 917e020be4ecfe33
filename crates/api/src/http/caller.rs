//! Who calls: left in the request by the guard, and asked for by handlers.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::http::{ApiError, ApiState};
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

/// A request to a private route, as its handler receives it.
pub struct Call {
    /// What every handler can reach.
    pub state: web::Data<ApiState>,
    /// Who calls.
    pub caller: Caller,
    /// The request.
    pub request: HttpRequest,
}

impl Call {
    /// The call that `request` is; an error where the server lacks its state or its authentication.
    pub fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let state = ApiState::of(request)?;
        let caller = request.extensions().get::<Caller>().copied();
        let caller =
            caller.ok_or_else(|| ApiError::internal("a route outside the private scope asks for its caller"))?;
        Ok(Self { state, caller, request: request.clone() })
    }
}

impl FromRequest for Call {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
