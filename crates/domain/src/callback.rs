//! Callbacks of a provider: a URL that is valid for one job until it expires, and a header.
//!
//! Workers create both and the API checks both, from WEBHOOK_SECRET, which is never sent. Each is an HMAC for its own
//! purpose, so that a URL in a proxy's log does not reveal the header.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use time::OffsetDateTime;
use url::Url;

use crate::{JobId, ports::Callback};

/// The header with which a provider proves, besides the URL, that the callback was requested.
pub const HEADER: &str = "X-Webhook-Secret";
/// Bytes of the MAC in a URL: 128 bits cannot be guessed, and LlamaParse refuses URLs of 200 characters or more.
const TOKEN_BYTES: usize = 16;
/// The path of webhooks, below the API's base path.
pub const PATH: &str = "/webhook/llamaparse/";
/// Characters of a callback URL after the API's base path: the path, a UUID, a Unix time, and a MAC in base64.
pub const TAIL_CHARS: usize = PATH.len() + 36 + "/".len() + 10 + ".".len() + 22;

/// Why a callback is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was made with another secret or for another job, or was changed.
    Invalid,
    /// It is genuine, but expired.
    Expired,
}

/// Creates and checks callbacks.
#[derive(Clone)]
pub struct CallbackKey(Vec<u8>);

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a MAC is for.
const URL: &str = "webhook url";
const SECRET: &str = "webhook header";

impl CallbackKey {
    /// From WEBHOOK_SECRET.
    pub fn new(secret: &str) -> Self {
        Self(secret.as_bytes().to_vec())
    }

    /// The callback for `job`, to the API whose base path is at `base`. `None` if the URL cannot be formed.
    pub fn callback(&self, base: &str, job: JobId, expires_at: OffsetDateTime) -> Option<Callback> {
        let expires = expires_at.unix_timestamp();
        let mac = self.mac(URL, job, expires)?.finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(mac.get(..TOKEN_BYTES)?);
        let secret = URL_SAFE_NO_PAD.encode(self.mac(SECRET, job, expires)?.finalize().into_bytes());
        let url = format!("{}{PATH}{job}/{expires}.{mac}", base.trim_end_matches('/'));
        Some(Callback { url: Url::parse(&url).ok()?, header: HEADER, secret })
    }

    /// Checks the MACs of a webhook for `job` in constant time, and after that its expiry.
    ///
    /// # Errors
    ///
    /// One of them is wrong.
    pub fn verify(&self, job: JobId, token: &str, header: &[u8], now: OffsetDateTime) -> Result<(), Refusal> {
        let expires = self.expiry(job, token, header).ok_or(Refusal::Invalid)?;
        if now.unix_timestamp() > expires { Err(Refusal::Expired) } else { Ok(()) }
    }

    /// The expiry that a token names (`1772446504.k3Jx0eQ…`: Unix time and MAC), if both MACs are right.
    fn expiry(&self, job: JobId, token: &str, header: &[u8]) -> Option<i64> {
        let (expires, mac) = token.split_once('.')?;
        let (expires, mac) = (expires.parse().ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        let secret = URL_SAFE_NO_PAD.decode(header).ok()?;
        let url_is_right = self.mac(URL, job, expires)?.verify_truncated_left(&mac).is_ok();
        let header_is_right = self.mac(SECRET, job, expires)?.verify_slice(&secret).is_ok();
        // A shorter MAC could be guessed.
        (mac.len() == TOKEN_BYTES && url_is_right & header_is_right).then_some(expires)
    }

    /// Never `None`, since HMAC accepts keys of any length.
    fn mac(&self, purpose: &str, job: JobId, expires: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{purpose}\nllamaparse\n{job}\n{expires}").as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use uuid::Uuid;

    use super::*;

    const BASE: &str = "https://api.example.com/api/upload-pipeline";

    fn made() -> (CallbackKey, JobId, Callback, String, OffsetDateTime) {
        let (key, job, now) = (CallbackKey::new("a secret"), JobId(Uuid::from_u128(7)), OffsetDateTime::now_utc());
        let callback = key.callback(BASE, job, now + Duration::hours(1)).unwrap();
        let token = callback.url.path_segments().unwrap().next_back().unwrap().to_owned();
        (key, job, callback, token, now)
    }

    #[test]
    fn a_callback_counts_for_its_job_until_it_expires() {
        let (key, job, callback, token, now) = made();
        let header = callback.secret.as_bytes();
        assert_eq!(key.verify(job, &token, header, now), Ok(()));
        assert_eq!(key.verify(job, &token, header, now + Duration::hours(2)), Err(Refusal::Expired));
        assert_eq!(key.verify(JobId(Uuid::from_u128(8)), &token, header, now), Err(Refusal::Invalid));
        assert_eq!(CallbackKey::new("another").verify(job, &token, header, now), Err(Refusal::Invalid));
    }

    #[test]
    fn neither_half_opens_the_door_alone_and_nothing_may_be_changed() {
        let (key, job, callback, token, now) = made();
        let header = callback.secret.as_bytes();
        let (expires, mac) = token.split_once('.').unwrap();
        for wrong in [
            format!("9{token}"),
            format!("{expires}.{}", &mac[..4]),
            format!("{expires}."),
            format!("{expires}.{}", callback.secret),
            format!(".{mac}"),
            expires.to_owned(),
            String::new(),
        ] {
            assert_eq!(key.verify(job, &wrong, header, now), Err(Refusal::Invalid), "{wrong}");
        }
        for wrong in [b"".as_slice(), mac.as_bytes(), token.as_bytes(), &header[..20], b"\xff"] {
            assert_eq!(key.verify(job, &token, wrong, now), Err(Refusal::Invalid));
        }
    }

    #[test]
    fn the_url_is_as_long_as_it_is_said_to_be_and_holds_no_secret() {
        let (_, _, callback, _, _) = made();
        assert_eq!(callback.url.as_str().len(), BASE.len() + TAIL_CHARS);
        assert!(!callback.url.as_str().contains(&callback.secret));
    }
}
