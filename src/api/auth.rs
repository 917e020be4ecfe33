//! Who calls: a user's token, or one of our API keys.
//!
//! The middleware [`authenticate`] stands before every private route and leaves a [`Caller`]; the extractor only reads
//! it, so a handler that wants one outside the private scope gets an error, never a guess.

use std::time::Duration;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{ApiError, ApiState, AuthSettings};
use crate::{
    db::api_keys::{ApiKey, Scope, get_api_key},
    domain::UserId,
};

/// How far the clock of whoever issues tokens may be off.
const LEEWAY_SECONDS: u64 = 10;
/// What our keys begin with, so that people and secret scanners know one when they see it.
const KEY_PREFIX: &str = "apk_";
const USER_HEADER: &str = "X-User-Id";

/// The user for whom a request acts.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whose documents it sees.
    pub user: UserId,
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

/// Lets a request through to the private routes when its caller is known and may do what it asks.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<ApiState>>().cloned() else {
        let error = ApiError::internal("the application has no state");
        return Ok(request.error_response(error).map_into_boxed_body());
    };
    match identify_caller(&state, request.request()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(error) => Ok(request.error_response(error).map_into_boxed_body()),
    }
}

async fn identify_caller(state: &ApiState, request: &HttpRequest) -> Result<Caller, ApiError> {
    let token = bearer(request)?;
    let caller = if token.starts_with(KEY_PREFIX) {
        caller_by_key(state, request, token).await?
    } else {
        Caller { user: verify_token(&state.settings.auth, token)? }
    };
    state.require_schema().await?;
    Ok(caller)
}

fn bearer(request: &HttpRequest) -> Result<&str, ApiError> {
    let missing = || {
        unauthorized(
            "token_missing",
            "This route needs a user's token or an API key. Send the header Authorization: Bearer <token>.",
        )
    };
    let value = request.headers().get(header::AUTHORIZATION).ok_or_else(missing)?;
    let value = value.to_str().ok().ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

fn unauthorized(code: &'static str, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, detail)
}

async fn caller_by_key(state: &ApiState, request: &HttpRequest, key: &str) -> Result<Caller, ApiError> {
    let conn = state.conn().await?;
    let key = get_api_key(&conn, &sha256_hex(key.as_bytes())).await?;
    drop(conn);
    let key = check_key(key, OffsetDateTime::now_utc())?;
    if needed_scope(request) > key.scope {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "scope_missing",
            format!(
                "This key may only {}; the route needs a key with the scope write. Make one with `app keys create`.",
                key.scope
            ),
        ));
    }
    Ok(Caller { user: user_of_key(&key, request)? })
}

fn check_key(key: Option<ApiKey>, now: OffsetDateTime) -> Result<ApiKey, ApiError> {
    match key {
        None => Err(unauthorized(
            "token_invalid",
            "This API key is not known here. Check that it is whole and belongs to this environment.",
        )),
        Some(key) if key.revoked_at.is_some() => {
            Err(unauthorized("token_invalid", "This API key was revoked. Make another with `app keys create`."))
        }
        Some(key) if key.expires_at.is_some_and(|at| at <= now) => {
            Err(unauthorized("token_expired", "This API key has expired. Make another with `app keys create`."))
        }
        Some(key) => Ok(key),
    }
}

/// Reading is what GET and HEAD do, and a search, which is a POST for its body; all else writes, so a new route is
/// taken for one that writes until this says otherwise.
fn needed_scope(request: &HttpRequest) -> Scope {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || request.path() == format!("{}/search", super::BASE_PATH);
    if reads { Scope::Read } else { Scope::Write }
}

fn user_of_key(key: &ApiKey, request: &HttpRequest) -> Result<UserId, ApiError> {
    let named =
        request
            .headers()
            .get(USER_HEADER)
            .map(|value| {
                value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
                    ApiError::bad_request("user_invalid", format!("The header {USER_HEADER} is no UUID."))
                })
            })
            .transpose()?;
    match (key.user_id, named) {
        (Some(own), Some(named)) if own != named => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "user_forbidden",
            format!("This key acts for one user, and {USER_HEADER} names another. Leave the header out."),
        )),
        (Some(own), _) => Ok(own),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(ApiError::bad_request(
            "user_required",
            format!("This key acts for many users. Say for which with the header {USER_HEADER}: <uuid>."),
        )),
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
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

/// A new API key. Shown once; only its hash is kept.
#[derive(Clone)]
pub struct ApiKeySecret {
    key: String,
}

impl ApiKeySecret {
    /// From 32 random bytes. `None`: the system gave no randomness.
    pub fn generate() -> Option<Self> {
        let mut bytes = [0; 32];
        rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
        Some(Self { key: format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)) })
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.key
    }

    /// For `api_keys.key_sha256`.
    pub fn sha256(&self) -> String {
        sha256_hex(self.key.as_bytes())
    }
}

impl std::fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: serde_json::Value,
    exp: i64,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("couldn't sign a token: {0}")]
pub struct TokenError(String);

/// A user's token, as Supabase would sign one; for `app dev` and tests.
pub fn issue_token(secret: &[u8], user: UserId, ttl: Duration, audience: &str) -> Result<String, TokenError> {
    let claims =
        Claims { sub: user.to_string(), aud: audience.into(), exp: (OffsetDateTime::now_utc() + ttl).unix_timestamp() };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|error| TokenError(error.to_string()))
}

/// The user whom a token names. HS256 only, whatever the token's own header says.
fn verify_token(auth: &AuthSettings, token: &str) -> Result<UserId, ApiError> {
    let Some(secret) = &auth.hs256_secret else {
        return Err(unauthorized(
            "token_invalid",
            "This server takes API keys only: no secret for users' tokens is set (SUPABASE_JWT_SECRET).",
        ));
    };
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_audience(&[&auth.audience]);
    validation.set_required_spec_claims(&["exp", "sub", "aud"]);
    if let Some(issuer) = &auth.issuer {
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
    }
    let token = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret.expose()), &validation)
        .map_err(|error| refused(error.kind()))?;
    token.claims.sub.parse().ok().ok_or_else(|| {
        unauthorized(
            "token_invalid",
            "The token's `sub` is no UUID, so it names no user. Send a token that a user signed in for.",
        )
    })
}

fn refused(kind: &ErrorKind) -> ApiError {
    let why = match kind {
        ErrorKind::ExpiredSignature => {
            return unauthorized("token_expired", "The token has expired. Sign in again, or refresh it.");
        }
        ErrorKind::InvalidAudience => "its `aud` is not the one that this server serves (JWT_AUDIENCE)".to_owned(),
        ErrorKind::InvalidIssuer => "its `iss` is not the one that this server trusts".to_owned(),
        ErrorKind::InvalidSignature => "its signature was made with another secret".to_owned(),
        ErrorKind::InvalidAlgorithm => "it is not signed with HS256".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it lacks `{claim}`"),
        ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
        _ => "it is no JWT that can be read".to_owned(),
    };
    unauthorized("token_invalid", format!("The token was refused: {why}."))
}

#[cfg(test)]
mod tests;
