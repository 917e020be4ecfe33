//! Signed upload URLs of this API, where the object store cannot sign.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use time::OffsetDateTime;
use utoipa::IntoParams;

use config::Secret;
use domain::{UploadId, UserId};

/// What the query string of a signed URL holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignedQuery {
    /// Unix time, in seconds, up to which it counts.
    #[param(example = 1_772_446_504)]
    pub expires: i64,
    /// HMAC-SHA256 in base64url.
    #[param(example = "k3Jx0eQ")]
    pub signature: String,
}

/// Why a signed URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed here, or changed.
    Invalid,
    /// Signed here, and expired.
    Expired,
}

/// Whether the secret can be used is known at once: HMAC takes keys of any length.
fn mac(secret: &Secret<String>, upload: UploadId, user: UserId, expires: i64) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(format!("PUT\n{upload}\n{user}\n{expires}").as_bytes());
    Some(mac)
}

/// The query of a URL with which a client may PUT this one upload until then.
pub fn sign(
    secret: &Secret<String>,
    upload: UploadId,
    user: UserId,
    expires_at: OffsetDateTime,
) -> Option<SignedQuery> {
    let expires = expires_at.unix_timestamp();
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, upload, user, expires)?.finalize().into_bytes());
    Some(SignedQuery { expires, signature })
}

/// Checks a signed URL, in constant time, and only then its expiry.
pub fn verify(
    secret: &Secret<String>,
    upload: UploadId,
    user: UserId,
    query: &SignedQuery,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let given = URL_SAFE_NO_PAD.decode(&query.signature).ok().ok_or(Refusal::Invalid)?;
    let mac = mac(secret, upload, user, query.expires).ok_or(Refusal::Invalid)?;
    mac.verify_slice(&given).ok().ok_or(Refusal::Invalid)?;
    if now.unix_timestamp() > query.expires { Err(Refusal::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use uuid::Uuid;

    fn ids() -> (UploadId, UserId) {
        (UploadId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)))
    }

    #[test]
    fn a_signed_url_counts_until_it_expires() {
        let (upload, user) = ids();
        let (secret, now) = (Secret::new("s".to_owned()), OffsetDateTime::now_utc());
        let query = sign(&secret, upload, user, now + Duration::minutes(5)).unwrap();
        assert_eq!(verify(&secret, upload, user, &query, now), Ok(()));
        assert_eq!(verify(&secret, upload, user, &query, now + Duration::minutes(6)), Err(Refusal::Expired));
    }

    #[test]
    fn whatever_is_changed_makes_it_invalid() {
        let (upload, user) = ids();
        let (secret, now) = (Secret::new("s".to_owned()), OffsetDateTime::now_utc());
        let query = sign(&secret, upload, user, now).unwrap();
        let later = SignedQuery { expires: query.expires + 3600, ..query.clone() };
        let mut tampered = query.clone();
        tampered.signature.replace_range(..1, if query.signature.starts_with('A') { "B" } else { "A" });
        let empty = SignedQuery { signature: String::new(), ..query.clone() };
        let short = SignedQuery { signature: query.signature[..20].to_owned(), ..query.clone() };
        for bad in [&later, &tampered, &empty, &short] {
            assert_eq!(verify(&secret, upload, user, bad, now), Err(Refusal::Invalid), "{bad:?}");
        }
        let other = UploadId(Uuid::from_u128(9));
        assert_eq!(verify(&secret, other, user, &query, now), Err(Refusal::Invalid));
        assert_eq!(verify(&secret, upload, UserId(other.0), &query, now), Err(Refusal::Invalid));
        assert_eq!(verify(&Secret::new("t".to_owned()), upload, user, &query, now), Err(Refusal::Invalid));
    }
}
