//! Fetches the public keys of the issuer of users' tokens over HTTPS.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use url::Url;

use crate::body::read_body;
use domain::{Code, Failure};
use signing_keys::{KeySet, KeySource};

/// The time limit of one fetch, connecting included. Short, because a request may wait for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The most bytes of an answer; a set of three keys has 1 KiB.
const MAX_BYTES: u64 = 64 * 1024;

/// A key set at a URL.
#[derive(Debug)]
pub struct Jwks {
    http: reqwest::Client,
    url: Url,
}

impl Jwks {
    /// The key set at `url`. Redirects are not followed: only the setting decides where the keys are.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(url: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(ANSWER_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Keys are fetched every ten minutes; until then the server has closed an idle connection.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, url })
    }
}

#[async_trait]
impl KeySource for Jwks {
    async fn fetch(&self) -> Result<KeySet, Failure> {
        let answer = self.http.get(self.url.clone()).send().await.map_err(unavailable)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(unavailable(format!("answered with {}", answer.status().as_u16())));
        }
        let body = read_body(answer, MAX_BYTES).await.map_err(unavailable)?;
        let body = body.ok_or_else(|| unavailable(format!("the answer is larger than {MAX_BYTES} bytes")))?;
        KeySet::parse(&body).map_err(unavailable)
    }
}

fn unavailable(cause: impl std::fmt::Display) -> Failure {
    let message = format!("The keys of SUPABASE_URL could not be fetched ({cause}). Check that the project runs.");
    Failure::new(Code::KeysUnavailable, message)
}
