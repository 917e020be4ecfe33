//! HTTP requests to the API. Every failure becomes a sentence that says what to do.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use super::connect::Target;
use domain::{Code, ErrorClass, Failure, build_info::BuildInfo, printable};
use messages::{BASE_PATH, Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence of the server. An upload as a whole may take longer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that the client waits for. A longer one is reported.
const MAX_PAUSE: Duration = Duration::from_secs(15);
const MAX_TRIES: u32 = 5;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused the request and said why. Only 429 and 5xx may end differently on another try.
    #[error("{} [{}]{hint}", printable(&.problem.detail), printable(&.problem.code))]
    Refused {
        /// The server's answer.
        problem: Box<Problem>,
        /// What the client adds; empty, or beginning with a space.
        hint: String,
    },
    /// The server gave no answer, the answer is not the API's, or a file of this machine cannot be read.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl ClientError {
    /// The server's code, or the client's own.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => &problem.code,
            Self::Failed(failure) => failure.code.as_str(),
        }
    }

    /// Whether the same request may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => problem.status == 429 || problem.status >= 500,
            Self::Failed(failure) => failure.class.is_retryable(),
        }
    }
}

/// A client of one API, with one token.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    root: String,
    token_from: String,
}

impl ApiClient {
    pub(super) fn new(target: Target, build: &BuildInfo) -> anyhow::Result<Self> {
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", target.token)).with_context(|| {
            format!("the token from {} contains characters that a token cannot have", target.token_from)
        })?;
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
    /// The token cannot stand in a header, or TLS cannot be set up.
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

    /// An HTTP client for signed URLs. It sends no token, because the URL may be another server's.
    pub(super) fn without_token(build: &BuildInfo) -> anyhow::Result<reqwest::Client> {
        Self::builder(build).build().context("couldn't set up HTTP")
    }

    /// The absolute form of a signed URL. The API's own are relative to its address.
    pub(super) fn resolve(&self, signed_url: &str) -> String {
        if signed_url.starts_with('/') { format!("{}{signed_url}", self.root) } else { signed_url.to_owned() }
    }

    /// This client with the server of `url` in its error messages: a signed URL may be the object store's.
    pub(super) fn with_errors_about(&self, url: &str) -> Self {
        let root = url::Url::parse(url).map_or_else(|_| self.root.clone(), |url| url.origin().ascii_serialization());
        Self { root, ..self.clone() }
    }

    /// Sends a GET for `path`, which begins with a slash, below the base path.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        self.read(self.send(|| self.request(Method::GET, path, query)).await?).await
    }

    /// Sends a GET for bytes; the caller reads the body.
    pub(super) async fn download(&self, path: &str) -> Result<Response, ClientError> {
        self.check_status(self.send(|| self.request(Method::GET, path, &[])).await?).await
    }

    /// Sends `body` as JSON in a POST. An `Idempotency-Key` makes a repeated request harmless.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        Ok(self.post_for_status(path, body).await?.1)
    }

    /// The same, with the status of the answer.
    pub(super) async fn post_for_status<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<(StatusCode, T), ClientError> {
        let key = uuid::Uuid::new_v4().to_string();
        let post = || self.request(Method::POST, path, &[]).header("idempotency-key", &key).json(body);
        let response = self.send(post).await?;
        Ok((response.status(), self.read(response).await?))
    }

    /// Sends `body` as JSON in a PATCH.
    pub(super) async fn patch<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.read(self.send(|| self.request(Method::PATCH, path, &[]).json(body)).await?).await
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

    /// Sends the request, and again after a busy server's (429, 503) `Retry-After` if that is short.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, ClientError> {
        let mut tries = 1;
        loop {
            let response = request().send().await.map_err(|error| self.transport_error(&error))?;
            let Some(pause) = retry_after(&response).filter(|_| tries < MAX_TRIES) else { return Ok(response) };
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// The body of a successful answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let response = self.check_status(response).await?;
        let body = response.bytes().await.map_err(|error| self.transport_error(&error))?;
        serde_json::from_slice(&body).map_err(|_shape| self.unreadable())
    }

    pub(super) fn unreadable(&self) -> ClientError {
        let root = &self.root;
        let message =
            format!("this build cannot read the answer of {root}; compare `app --version` with {root}/version");
        Failure::of_class(ErrorClass::Document, Code::UnexpectedAnswer, message).into()
    }

    /// `response`, or the error that its status means.
    pub(super) async fn check_status(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.transport_error(&error))?;
        let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
            let message =
                format!("{} answered {status} without a reason; is there a proxy in front of the API?", self.root);
            let class = if status.is_server_error() { ErrorClass::Transient } else { ErrorClass::Document };
            return Err(Failure::of_class(class, Code::UnexpectedAnswer, message).into());
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED => format!(" The token came from {}.", self.token_from),
            _ => String::new(),
        };
        Err(ClientError::Refused { problem: Box::new(problem), hint })
    }

    pub(super) fn transport_error(&self, error: &reqwest::Error) -> ClientError {
        let root = &self.root;
        if error.is_connect() {
            let message = format!("nothing answers at {root}; is `app dev` or the API running?");
            return Failure::new(Code::NothingAnswers, message).into();
        }
        let what = if error.is_timeout() { "there was no answer in time" } else { "the connection broke" };
        Failure::new(Code::ConnectionBroken, format!("{what} while talking to {root}")).into()
    }
}

/// The pause before the next try; `None` if the answer is final or the server asks for a long pause.
fn retry_after(response: &Response) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    let pause = Duration::from_secs(seconds.max(1));
    (pause <= MAX_PAUSE).then_some(pause)
}
