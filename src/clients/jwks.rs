//! The public keys of the issuer of users' tokens, over HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use url::Url;

use crate::{
    domain::{Code, Failure, signing_keys::KeySet},
    ports::KeySource,
};

/// For one answer, connecting included: a request may be waiting for it. Source: ours.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// More of an answer is not read. Source: ours; a set of three keys is 1 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// A key set at a URL.
#[derive(Debug)]
pub struct Jwks {
    http: reqwest::Client,
    url: Url,
}

impl Jwks {
    /// The key set at `url`. Redirects are not followed: where the keys are is a setting, not an answer.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(url: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(ANSWER_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Asked every ten minutes; a connection kept that long is closed by the other side first.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, url })
    }

    async fn read(&self) -> Result<Vec<u8>, Failure> {
        let mut answer = self.http.get(self.url.clone()).send().await.map_err(unavailable)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(unavailable(format!("answered with {}", answer.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(unavailable)? {
            if body.len() + bytes.len() > MAX_BYTES {
                return Err(unavailable(format!("the answer is larger than {MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }
}

#[async_trait]
impl KeySource for Jwks {
    async fn fetch(&self) -> Result<KeySet, Failure> {
        KeySet::parse(&self.read().await?).map_err(unavailable)
    }
}

fn unavailable(cause: impl std::fmt::Display) -> Failure {
    let message = format!("The keys of SUPABASE_URL could not be fetched ({cause}). Check that the project runs.");
    Failure::new(Code::KeysUnavailable, message)
}
