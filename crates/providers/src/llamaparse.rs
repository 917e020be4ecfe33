//! LlamaParse: uploads a file, starts a job, polls it and fetches its markdown.
//!
//! Written after "REST API Guide" (`/api/v2/parse`), "Upload File" (`/api/v1/beta/files`) and "Webhooks" on
//! developers.llamaindex.ai. The answers do not contain the cost of a job.

mod answer;
mod error;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::{
    RequestBuilder, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue},
    multipart::{Form, Part},
    redirect,
};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;
use url::Url;

use domain::{
    Code, Failure,
    ports::{Callback, RemoteParser, RemoteState, RemoteText, StartFailed},
};
use error::RequestFailed;
use telemetry::metrics::{METRICS, ProviderCall};

/// The time limit for connecting; a handshake across an ocean takes a tenth of it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The time limit of a request with a short answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The time limit for sending a file or receiving a text; 25 MB at 1 Mbit/s take 200 s.
const TRANSFER_WITHIN: Duration = Duration::from_secs(300);
/// The most bytes of a short answer.
const SHORT_ANSWER: u64 = 64 * 1024;
/// The events that LlamaParse reports; progress is polled.
const EVENTS: [&str; 4] = ["parse.success", "parse.error", "parse.partial_success", "parse.cancelled"];

/// The address of LlamaParse, and how it parses.
#[derive(Debug, Clone)]
pub struct LlamaParseOptions {
    /// The address without a path.
    pub url: Url,
    /// How thoroughly LlamaParse reads: `cost_effective`, `agentic` or `agentic_plus`.
    pub tier: String,
    /// The time limit of a request with a short answer.
    pub answer_within: Duration,
}

impl LlamaParseOptions {
    /// Options with the default time limit.
    pub fn new(url: Url, tier: String) -> Self {
        Self { url, tier, answer_within: ANSWER_WITHIN }
    }
}

/// A client of LlamaParse.
pub struct LlamaParse {
    http: reqwest::Client,
    base: String,
    options: LlamaParseOptions,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LlamaParseError {
    /// The key contains characters that a header cannot hold.
    #[error("LLAMAPARSE_API_KEY contains characters that a key cannot have")]
    Key(#[source] InvalidHeaderValue),
    /// TLS cannot be set up.
    #[error("couldn't set up the client for LlamaParse: {0}")]
    Client(#[source] reqwest::Error),
}

impl LlamaParse {
    /// A client with this key. It sends no request yet.
    ///
    /// # Errors
    ///
    /// The key is invalid, or TLS cannot be set up.
    pub fn new(options: &LlamaParseOptions, key: &str) -> Result<Self, LlamaParseError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}")).map_err(LlamaParseError::Key)?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            // Neither the key nor the document may go to another server.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(LlamaParseError::Client)?;
        let base = options.url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, options: options.clone() })
    }

    fn job_url(&self, job: &str) -> String {
        let job: String = url::form_urlencoded::byte_serialize(job.as_bytes()).collect();
        format!("{}/api/v2/parse/{job}", self.base)
    }

    /// The body of the request that starts a job.
    fn job_request(&self, file_id: &str, callback: Option<&Callback>) -> Value {
        let mut body = json!({ "file_id": file_id, "tier": self.options.tier, "version": "latest" });
        if let Some(callback) = callback {
            body["webhook_configurations"] = json!([{
                "webhook_url": callback.url.as_str(),
                "webhook_events": EVENTS,
                "webhook_headers": { callback.header: callback.secret },
                "webhook_output_format": "json",
            }]);
        }
        body
    }
}

/// Sends a request, and counts and times it. An answer other than success is an error.
async fn send(call: ProviderCall, request: RequestBuilder) -> Result<Response, RequestFailed> {
    let began = Instant::now();
    let outcome = match request.send().await {
        Err(error) => Err(error::of_transport(&error)),
        Ok(response) if response.status().is_success() => Ok(response),
        Ok(response) => Err(error::of_status(response).await),
    };
    let told = outcome.as_ref().map(drop).map_err(|refused| refused.failure.code);
    METRICS.record_provider_call("llamaparse", call, told, began.elapsed());
    outcome
}

#[async_trait]
impl RemoteParser for LlamaParse {
    fn name(&self) -> &'static str {
        "llamaparse"
    }

    async fn upload(&self, file: &Path, name: &str, mime: &str) -> Result<String, Failure> {
        let opened = tokio::fs::File::open(file).await.map_err(|error| unreadable(&error))?;
        let bytes = opened.metadata().await.map_err(|error| unreadable(&error))?.len();
        let part = Part::stream_with_length(reqwest::Body::wrap_stream(ReaderStream::new(opened)), bytes)
            .file_name(name.to_owned())
            .mime_str(mime)
            .map_err(|error| error::of_transport(&error).failure)?;
        let form = Form::new().text("purpose", "parse").part("file", part);
        let request = self.http.post(format!("{}/api/v1/beta/files", self.base)).multipart(form);
        let response =
            send(ProviderCall::Upload, request.timeout(TRANSFER_WITHIN)).await.map_err(RequestFailed::of_address)?;
        answer::id(answer::read(response, SHORT_ANSWER).await?)
    }

    async fn start(&self, file_id: &str, callback: Option<&Callback>) -> Result<String, StartFailed> {
        let request = self.http.post(format!("{}/api/v2/parse", self.base)).json(&self.job_request(file_id, callback));
        let response = send(ProviderCall::Start, request.timeout(self.options.answer_within)).await;
        let response =
            response.map_err(|failed| StartFailed { uncertain: failed.uncertain, failure: failed.of_address() })?;
        // The job is started; a failure from here on means only that its id is unknown.
        let id = answer::read(response, SHORT_ANSWER).await.and_then(answer::id);
        id.map_err(|failure| StartFailed { failure, uncertain: true })
    }

    async fn get_state(&self, job: &str) -> Result<RemoteState, Failure> {
        let request = self.http.get(self.job_url(job)).timeout(self.options.answer_within);
        match send(ProviderCall::Look, request).await {
            Ok(response) => answer::state(answer::read(response, SHORT_ANSWER).await?),
            Err(failed) if failed.not_found => Ok(RemoteState::Gone),
            Err(failed) => Err(failed.failure),
        }
    }

    async fn fetch(&self, job: &str, max_bytes: u64) -> Result<Option<RemoteText>, Failure> {
        let request = self.http.get(format!("{}?expand=markdown", self.job_url(job))).timeout(TRANSFER_WITHIN);
        // JSON is longer than the text: it has two bytes for a line feed, and fields for each page.
        let bound = max_bytes.saturating_mul(2).saturating_add(SHORT_ANSWER);
        match send(ProviderCall::Fetch, request).await {
            Ok(response) => match answer::read(response, bound).await? {
                None => Err(too_long(max_bytes)),
                body => answer::text(body, max_bytes).map(Some),
            },
            Err(failed) if failed.not_found => Ok(None),
            Err(failed) => Err(failed.failure),
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        let request = self.http.get(format!("{}/api/v2/parse?page_size=1", self.base));
        send(ProviderCall::Probe, request.timeout(self.options.answer_within))
            .await
            .map(drop)
            .map_err(RequestFailed::of_address)
    }
}

fn too_long(limit: u64) -> Failure {
    let message = format!("The document's text is longer than {limit} bytes, the limit. Split the document.");
    Failure::new(Code::ParseOutputLimit, message)
}

fn unreadable(error: &std::io::Error) -> Failure {
    let message = format!("A temporary file could not be read back: {}.", error.kind());
    Failure::new(Code::ScratchUnavailable, message)
}
