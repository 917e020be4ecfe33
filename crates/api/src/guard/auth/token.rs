//! Users' tokens (JWT): by a shared secret (HS256), or by the issuer's public keys (ES256, RS256, EdDSA).
//!
//! The key decides the algorithm. A token's header only says which key to look for; what it says of the algorithm must
//! be that key's own, or the token is refused. A public key is never a secret: HS256 knows `SUPABASE_JWT_SECRET` only.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::key_cache::KeyCache;
use crate::http::{ApiError, Caller};
use config::Auth;
use domain::{Code, UserId};

/// How far the clock of the issuer of tokens may be off.
const LEEWAY_SECONDS: u64 = 10;

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("couldn't sign a token: {0}")]
pub struct TokenError(String);

/// A user's token, as Supabase would sign one; for `app dev` and tests.
pub fn issue_token(secret: &[u8], user: UserId, ttl: Duration, audience: &str) -> Result<String, TokenError> {
    let exp = (OffsetDateTime::now_utc() + ttl).unix_timestamp();
    let claims = json!({ "sub": user, "aud": audience, "exp": exp });
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|error| TokenError(error.to_string()))
}

/// The user that a token names.
pub async fn caller_of_token(auth: &Auth, keys: Option<&Arc<KeyCache>>, token: &str) -> Result<Caller, ApiError> {
    let said = Unverified::read(token).ok_or_else(unreadable)?;
    said.refuse_early(auth)?;
    let (algorithm, key) = choose_key(auth, keys, &said.header).await?;
    let verified = jsonwebtoken::decode::<Claims>(token, &key, &validation(auth, algorithm))
        .map_err(|error| refused(error.kind()))?;
    let sub = verified.claims.sub.as_ref().and_then(Value::as_str);
    let user = sub.and_then(|sub| sub.parse().ok()).ok_or_else(|| {
        ApiError::new(
            Code::TokenInvalid,
            "The token's `sub` is no UUID, so it names no user. Send a token that a user signed in for.",
        )
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "a moment beyond the calendar is none, and none is no bound")]
    let exp = verified.claims.exp.and_then(|exp| exp.as_f64()).map(|exp| exp as i64);
    // It counts for the whole of its last second.
    let ends = exp.map(|exp| exp.saturating_add_unsigned(LEEWAY_SECONDS + 1));
    let until = ends.and_then(|ends| OffsetDateTime::from_unix_timestamp(ends).ok());
    Ok(Caller { user, until, key: None })
}

/// What a token says before anything is verified: good for refusing it, and for finding its key.
struct Unverified {
    header: SaidHeader,
    claims: Claims,
}

#[derive(Deserialize)]
struct SaidHeader {
    alg: String,
    kid: Option<String>,
    /// Names what must be understood; here nothing is (RFC 7515, 4.1.11).
    crit: Option<Value>,
}

/// What is read of a token's claims; `validation` checks the others.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    iss: Option<Value>,
    /// May have a fraction (RFC 7519, "NumericDate").
    exp: Option<Value>,
}

impl Unverified {
    fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        let said = Self { header: decoded(header)?, claims: decoded(claims)? };
        parts.next().is_none().then_some(said)
    }

    /// A token that is another project's, or old, is told so, whatever its key: looking for that key would tell less,
    /// and ask the issuer for nothing.
    fn refuse_early(&self, auth: &Auth) -> Result<(), ApiError> {
        if self.header.crit.is_some() {
            return Err(why("its header has `crit`, and no extension is understood here"));
        }
        if let (Some(ours), Some(theirs)) = (auth.issuer(), &self.claims.iss)
            && theirs.as_str() != Some(ours.as_str())
        {
            return Err(other_issuer());
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let exp = self.claims.exp.as_ref().and_then(Value::as_i64);
        if exp.is_some_and(|exp| exp.saturating_add_unsigned(LEEWAY_SECONDS) < now) {
            return Err(ApiError::of(Code::TokenExpired));
        }
        Ok(())
    }
}

fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

async fn choose_key(
    auth: &Auth,
    keys: Option<&Arc<KeyCache>>,
    header: &SaidHeader,
) -> Result<(Algorithm, DecodingKey), ApiError> {
    let algorithm = header.alg.parse().ok();
    match algorithm {
        Some(Algorithm::HS256) => {
            // Supabase's legacy tokens have a `kid`, too, one that is never published.
            if keys.zip(header.kid.as_deref()).is_some_and(|(keys, kid)| keys.peek(kid).is_some()) {
                return Err(why("it says HS256, and its `kid` names a public key"));
            }
            let secret = auth.jwt_secret.as_ref().ok_or_else(|| match keys {
                Some(_) => why("it is signed with HS256, and no secret for that is set here (SUPABASE_JWT_SECRET)"),
                None => keys_only(),
            })?;
            Ok((Algorithm::HS256, DecodingKey::from_secret(secret.expose().as_bytes())))
        }
        Some(Algorithm::ES256 | Algorithm::RS256 | Algorithm::EdDSA) => {
            let keys = keys.ok_or_else(|| match &auth.jwt_secret {
                Some(_) => {
                    why("it is not signed with HS256, and no project is set whose keys could verify it (SUPABASE_URL)")
                }
                None => keys_only(),
            })?;
            let kid = header.kid.as_deref().ok_or_else(|| why("its header lacks `kid`, so it names no key"))?;
            let found = keys.find(kid).await.map_err(|error| keys_unavailable(error.retry_after))?;
            let key = found.ok_or_else(|| why("its `kid` names no key that the project of SUPABASE_URL publishes"))?;
            if algorithm != Some(key.algorithm) {
                return Err(why("its `alg` is not that of the key that its `kid` names"));
            }
            Ok((key.algorithm, key.decoding))
        }
        Some(_) | None => Err(why("it is signed with none of HS256, ES256, RS256 and EdDSA")),
    }
}

fn validation(auth: &Auth, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_audience(&[&auth.audience]);
    validation.set_required_spec_claims(&["exp", "sub", "aud"]);
    if let Some(issuer) = auth.issuer() {
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
    }
    validation
}

fn refused(kind: &ErrorKind) -> ApiError {
    match kind {
        ErrorKind::ExpiredSignature => ApiError::of(Code::TokenExpired),
        ErrorKind::InvalidIssuer => other_issuer(),
        ErrorKind::InvalidAudience => why("its `aud` is not the one that this server serves (JWT_AUDIENCE)"),
        ErrorKind::InvalidSignature => why("its signature was made with another key"),
        ErrorKind::InvalidAlgorithm => why("its `alg` is not that of its key"),
        ErrorKind::MissingRequiredClaim(claim) => why(&format!("it lacks `{claim}`")),
        ErrorKind::ImmatureSignature => why("it is not valid yet (`nbf`)"),
        _ => unreadable(),
    }
}

fn why(why: &str) -> ApiError {
    ApiError::new(Code::TokenInvalid, format!("The token was refused: {why}."))
}

fn unreadable() -> ApiError {
    why("it is no JWT that can be read")
}

fn other_issuer() -> ApiError {
    why("it is of another project: its `iss` is not that of SUPABASE_URL")
}

fn keys_only() -> ApiError {
    ApiError::new(
        Code::TokenInvalid,
        "This server takes API keys only: neither a secret for users' tokens (SUPABASE_JWT_SECRET) nor a project (SUPABASE_URL) is set.",
    )
}

fn keys_unavailable(retry_after: Duration) -> ApiError {
    ApiError::unavailable(Code::KeysUnavailable, "the line of the first failed fetch says why").retry_after(retry_after)
}

#[cfg(test)]
mod tests;
