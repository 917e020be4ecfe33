//! HTTP to the API: every failure becomes a sentence that says what to do.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use super::connect::Target;
use domain::{Code, build_info::BuildInfo};
use messages::{BASE_PATH, Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte from the server; uploads of any length may take longer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that asks for a short pause is obeyed; a longer one is for the person to know.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const MAX_TRIES: u32 = 5;

/// Why a request had no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server says no, and why. Another try ends the same way, but for 429 and 503.
    #[error("{} [{}]{hint}", super::render::printable(&.problem.detail), super::render::printable(&.problem.code))]
    Refused {
        /// Its words.
        problem: Box<Problem>,
        /// What this side knows about it; empty, or beginning with a space.
        hint: String,
    },
    /// Nobody listens there. May pass.
    #[error("nothing answers at {root}; is `app dev` or the API running?")]
    NothingAnswers {
        /// Where.
        root: String,
    },
    /// The connection broke or fell silent. May pass.
    #[error("{what} while talking to {root}")]
    Broken {
        /// Where.
        root: String,
        /// How.
        what: &'static str,
    },
    /// Something answered that does not speak this protocol: a proxy, another server, another version. 5xx may pass.
    #[error("{root} answered {status} without saying why; is something between here and the API?")]
    NotOurs {
        /// Where.
        root: String,
        /// Its HTTP status.
        status: StatusCode,
    },
    /// A good answer that this build cannot read.
    #[error("{root} answered in a form that this build does not know; compare `app --version` with {root}/version")]
    Unreadable {
        /// Where.
        root: String,
    },
}

impl ClientError {
    /// The server's code, or one of this side's.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => &problem.code,
            Self::NothingAnswers { .. } => Code::NothingAnswers.as_str(),
            Self::Broken { .. } => Code::ConnectionBroken.as_str(),
            Self::NotOurs { .. } | Self::Unreadable { .. } => Code::UnexpectedAnswer.as_str(),
        }
    }

    /// Whether asking again may end differently with nobody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => problem.status == 429 || problem.status >= 500,
            Self::NothingAnswers { .. } | Self::Broken { .. } => true,
            Self::NotOurs { status, .. } => status.is_server_error(),
            Self::Unreadable { .. } => false,
        }
    }
}

/// A client of one API, as one user.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    root: String,
    token_from: String,
}

impl ApiClient {
    pub(super) fn new(target: Target, build: &BuildInfo) -> anyhow::Result<Self> {
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", target.token))
            .with_context(|| format!("the token from {} holds characters that no token has", target.token_from))?;
        bearer.set_sensitive(true);
        let mut headers = header::HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]);
        if let Some(user) = &target.user_id {
            let user = header::HeaderValue::try_from(user.to_string()).context("couldn't name the user in a header")?;
            headers.insert("x-user-id", user);
        }
        let http = Self::builder(build).default_headers(headers).build().context("couldn't set up HTTP")?;
        Ok(Self { http, root: target.root, token_from: target.token_from })
    }

    /// A client of the API at `url` (without the base path), with `token`.
    ///
    /// # Errors
    ///
    /// When HTTP cannot be set up.
    pub fn at(url: &str, token: &str, build: &BuildInfo) -> anyhow::Result<Self> {
        let target = Target {
            root: url.to_owned(),
            token: token.to_owned(),
            user_id: None,
            token_from: "this process".to_owned(),
        };
        Self::new(target, build)
    }

    fn builder(build: &BuildInfo) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(format!("app/{}", build.version))
    }

    /// A client for signed URLs, which other servers may own: it carries no token.
    pub(super) fn without_token(build: &BuildInfo) -> anyhow::Result<reqwest::Client> {
        Self::builder(build).build().context("couldn't set up HTTP")
    }

    /// Where a signed URL leads: our own are relative to the API.
    pub(super) fn resolve(&self, signed_url: &str) -> String {
        if signed_url.starts_with('/') { format!("{}{signed_url}", self.root) } else { signed_url.to_owned() }
    }

    /// This client, but its failures name the server that `url` leads to: a signed URL may be the object store's.
    pub(super) fn naming(&self, url: &str) -> Self {
        let root = url::Url::parse(url).map_or_else(|_| self.root.clone(), |url| url.origin().ascii_serialization());
        Self { root, ..self.clone() }
    }

    /// GETs `path`, which begins with a slash, below the base path.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        self.patient(|| self.request(Method::GET, path, query)).await
    }

    /// POSTs `body` as JSON. Its `Idempotency-Key` makes asking again after a broken answer harmless.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        let key = uuid::Uuid::new_v4().to_string();
        self.patient(|| self.request(Method::POST, path, &[]).header("idempotency-key", &key).json(body)).await
    }

    pub(super) fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = format!("{}{BASE_PATH}{path}", self.root);
        if !query.is_empty() {
            let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
            url.push('?');
            url.push_str(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
        }
        self.http.request(method, url)
    }

    /// Asks again after the pause that a busy server (429, 503) names, as long as that is a short one.
    async fn patient<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, ClientError> {
        for _ in 1..MAX_TRIES {
            let response = request().send().await.map_err(|error| self.broken(&error))?;
            match pause_asked_for(&response) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return self.read(response).await,
            }
        }
        let response = request().send().await.map_err(|error| self.broken(&error))?;
        self.read(response).await
    }

    /// The body of a good answer, or the problem.
    pub(super) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let response = self.accepted(response).await?;
        let body = response.bytes().await.map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&body).map_err(|_shape| self.unreadable())
    }

    pub(super) fn unreadable(&self) -> ClientError {
        ClientError::Unreadable { root: self.root.clone() }
    }

    /// `response`, unless it is a refusal.
    pub(super) async fn accepted(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.broken(&error))?;
        let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
            return Err(ClientError::NotOurs { root: self.root.clone(), status });
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED => format!(" The token came from {}.", self.token_from),
            _ => String::new(),
        };
        Err(ClientError::Refused { problem: Box::new(problem), hint })
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> ClientError {
        let root = self.root.clone();
        if error.is_connect() {
            return ClientError::NothingAnswers { root };
        }
        let what = if error.is_timeout() { "there was no answer in time" } else { "the connection broke" };
        ClientError::Broken { root, what }
    }
}

/// A short pause before asking again; `None` where the answer is final, or the pause a long one.
fn pause_asked_for(response: &Response) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    let pause = Duration::from_secs(seconds.max(1));
    (pause <= LONGEST_PAUSE).then_some(pause)
}
