//! Our API keys: which callers they let in.

use actix_web::{HttpRequest, http::Method};
use time::OffsetDateTime;

use crate::http::{ApiError, ApiState, Caller};
use domain::{Code, UserId};
use messages::BASE_PATH;
use store::api_keys::{API_KEY_PREFIX, ApiKey, Scope, get_api_key, sha256_of_key};

/// The routes below the base path whose POST only reads.
pub const READING_POSTS: [&str; 2] = ["/search", "/search/terms"];
const USER_HEADER: &str = "X-User-Id";

/// Whether a bearer is one of our keys, valid or not.
pub fn is_api_key(bearer: &str) -> bool {
    bearer.starts_with(API_KEY_PREFIX)
}

/// For whom a key acts in this request, once it may do what is asked. Looked up every time, so that a key is
/// out from the moment it is revoked.
pub async fn caller_of_key(state: &ApiState, request: &HttpRequest, key: &str) -> Result<Caller, ApiError> {
    let conn = state.conn().await?;
    let key = get_api_key(&conn, &sha256_of_key(key)).await?;
    drop(conn);
    let key = check_key(key, OffsetDateTime::now_utc())?;
    check_scope(&key, needed_scope(&key, request))?;
    Ok(Caller { user: acts_for(key.user_id, request)?, until: key.expires_at, key: Some(key.key_id) })
}

fn check_key(key: Option<ApiKey>, now: OffsetDateTime) -> Result<ApiKey, ApiError> {
    match key {
        None => Err(ApiError::new(
            Code::TokenInvalid,
            "This API key is not known here. Check that it is whole and belongs to this environment.",
        )),
        Some(key) if key.revoked_at.is_some() => {
            Err(ApiError::new(Code::TokenInvalid, "This API key was revoked. Make another with `app keys create`."))
        }
        Some(key) if key.expires_at.is_some_and(|at| at <= now) => {
            Err(ApiError::new(Code::TokenExpired, "This API key has expired. Make another with `app keys create`."))
        }
        Some(key) => Ok(key),
    }
}

/// Reading is what GET and HEAD do, and a search and its terms, which are POSTs for their bodies; all else writes, so a new route is
/// taken for one that writes until this says otherwise. To delete, a key that acts for many users must be admin: a
/// stolen key of a service can then not empty the accounts of all its users.
fn needed_scope(key: &ApiKey, request: &HttpRequest) -> Scope {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        Method::POST if reads(request.path()) => Scope::Read,
        Method::DELETE if key.user_id.is_none() => Scope::Admin,
        _ => Scope::Write,
    }
}

fn reads(path: &str) -> bool {
    path.strip_prefix(BASE_PATH).is_some_and(|path| READING_POSTS.contains(&path))
}

fn check_scope(key: &ApiKey, needed: Scope) -> Result<(), ApiError> {
    if needed <= key.scope {
        return Ok(());
    }
    Err(ApiError::new(
        Code::ScopeMissing,
        format!(
            "This key has the scope {}; the request needs one with the scope {needed}. Make one with `app keys create`.",
            key.scope
        ),
    ))
}

/// The one user for whom a caller may act, or whom the request names.
pub fn acts_for(own: Option<UserId>, request: &HttpRequest) -> Result<UserId, ApiError> {
    let mut values = request.headers().get_all(USER_HEADER);
    let named = values
        .next()
        .map(|value| {
            value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| ApiError::of(Code::UserInvalid))
        })
        .transpose()?;
    if values.next().is_some() {
        // A proxy may read the first, and we the last.
        return Err(ApiError::new(
            Code::UserInvalid,
            format!("The request has more than one {USER_HEADER}. Send one."),
        ));
    }
    match (own, named) {
        (Some(own), Some(named)) if own != named => Err(ApiError::new(
            Code::UserForbidden,
            format!(
                "{USER_HEADER} names another user than the one for whom this token or key acts. Leave the header out."
            ),
        )),
        (Some(own), _) => Ok(own),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(ApiError::of(Code::UserRequired)),
    }
}

#[cfg(test)]
mod tests;
