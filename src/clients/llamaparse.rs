//! LlamaParse: a file is uploaded, a job begun, asked about, and its markdown fetched.
//!
//! Source: developers.llamaindex.ai, "REST API Guide" (`/api/v2/parse`), "Upload File" (`/api/v1/beta/files`) and "Webhooks".
//! Its answers do not say what a job has cost.

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

use crate::{
    domain::{Code, Failure},
    ports::{Callback, RemoteParser, RemoteState, RemoteText, StartFailed},
    telemetry::metrics::{METRICS, ProviderCall},
};
use error::Refused;

/// For a connection to stand. Source: ours; a handshake across an ocean takes a tenth of it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// For an answer that is short. Source: ours.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// For a file to go out, or a text to come in. Source: ours; 25 MB at 1 Mbit/s take 200 s.
const TRANSFER_WITHIN: Duration = Duration::from_secs(300);
/// Of an answer that should be short, in bytes.
const SHORT_ANSWER: u64 = 64 * 1024;
/// What is worth a call: a success says so once, all else comes by asking.
const EVENTS: [&str; 4] = ["parse.success", "parse.error", "parse.partial_success", "parse.cancelled"];

/// Where LlamaParse is and how it parses.
#[derive(Debug, Clone)]
pub struct LlamaParseOptions {
    /// Its address, without a path.
    pub url: Url,
    /// How thoroughly it reads: `cost_effective`, `agentic` or `agentic_plus`.
    pub tier: String,
    /// For an answer that is short to come.
    pub answer_within: Duration,
    /// For a file to go out, or a text to come in.
    pub transfer_within: Duration,
}

impl LlamaParseOptions {
    /// With the usual patience.
    pub fn new(url: Url, tier: String) -> Self {
        Self { url, tier, answer_within: ANSWER_WITHIN, transfer_within: TRANSFER_WITHIN }
    }
}

/// A client of LlamaParse.
pub struct LlamaParse {
    http: reqwest::Client,
    base: String,
    options: LlamaParseOptions,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum LlamaParseError {
    /// The key cannot stand in a header.
    #[error("LLAMAPARSE_API_KEY holds characters that no key has")]
    Key(#[source] InvalidHeaderValue),
    /// TLS cannot be set up.
    #[error("couldn't set up the client for LlamaParse: {0}")]
    Client(#[source] reqwest::Error),
}

impl LlamaParse {
    /// A client with this key; calls nobody yet.
    ///
    /// # Errors
    ///
    /// The key is none, or TLS cannot be set up.
    pub fn new(options: &LlamaParseOptions, key: &str) -> Result<Self, LlamaParseError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}")).map_err(LlamaParseError::Key)?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            // The key and the document go nowhere else.
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

    /// What is asked for when a job is begun.
    fn configuration(&self, file_id: &str, callback: Option<&Callback>) -> Value {
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

/// Sends a request; an answer other than success is a refusal. Counted, and timed.
async fn send(call: ProviderCall, request: RequestBuilder) -> Result<Response, Refused> {
    let began = Instant::now();
    let outcome = match request.send().await {
        Err(error) => Err(error::unheard(&error)),
        Ok(response) if response.status().is_success() => Ok(response),
        Ok(response) => Err(error::refused(response).await),
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
            .map_err(|error| error::unheard(&error).failure)?;
        let form = Form::new().text("purpose", "parse").part("file", part);
        let request = self.http.post(format!("{}/api/v1/beta/files", self.base)).multipart(form);
        let response =
            send(ProviderCall::Upload, request.timeout(self.options.transfer_within)).await.map_err(Refused::here)?;
        answer::id(answer::read(response, SHORT_ANSWER).await?)
    }

    async fn start(&self, file_id: &str, callback: Option<&Callback>) -> Result<String, StartFailed> {
        let request =
            self.http.post(format!("{}/api/v2/parse", self.base)).json(&self.configuration(file_id, callback));
        let response = send(ProviderCall::Start, request.timeout(self.options.answer_within)).await;
        let response =
            response.map_err(|refused| StartFailed { uncertain: refused.uncertain, failure: refused.here() })?;
        // It has said yes: what follows is only about to what.
        let id = answer::read(response, SHORT_ANSWER).await.and_then(answer::id);
        id.map_err(|failure| StartFailed { failure, uncertain: true })
    }

    async fn look(&self, job: &str) -> Result<RemoteState, Failure> {
        let request = self.http.get(self.job_url(job)).timeout(self.options.answer_within);
        match send(ProviderCall::Look, request).await {
            Ok(response) => answer::state(answer::read(response, SHORT_ANSWER).await?),
            Err(refused) if refused.not_found => Ok(RemoteState::Gone),
            Err(refused) => Err(refused.failure),
        }
    }

    async fn fetch(&self, job: &str, max_bytes: u64) -> Result<Option<RemoteText>, Failure> {
        let request =
            self.http.get(format!("{}?expand=markdown", self.job_url(job))).timeout(self.options.transfer_within);
        // As JSON the text is longer: two bytes for a line feed, and what is said of each page.
        let bound = max_bytes.saturating_mul(2).saturating_add(SHORT_ANSWER);
        match send(ProviderCall::Fetch, request).await {
            Ok(response) => match answer::read(response, bound).await? {
                None => Err(too_long(max_bytes)),
                body => answer::text(body, max_bytes).map(Some),
            },
            Err(refused) if refused.not_found => Ok(None),
            Err(refused) => Err(refused.failure),
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        let request = self.http.get(format!("{}/api/v2/parse?page_size=1", self.base));
        send(ProviderCall::Probe, request.timeout(self.options.answer_within)).await.map(drop).map_err(Refused::here)
    }
}

fn too_long(limit: u64) -> Failure {
    let message = format!("The document's text is longer than {limit} bytes, the limit. Split the document.");
    Failure::new(Code::ParseOutputLimit, message)
}

fn unreadable(error: &std::io::Error) -> Failure {
    let message = format!("A file in hand could not be read back: {}.", error.kind());
    Failure::new(Code::ScratchUnavailable, message)
}
