//! Embeddings by OpenAI's API, which Azure, Ollama, vLLM, TEI and LiteLLM speak too: `POST /embeddings`.
//!
//! Written after "Embeddings" of OpenAI's API reference and the tables of compatibility of the others. A request is sent
//! once: the caller, which knows what was paid, sends it again. What OpenAI publishes of its models is known here; of another
//! model the first request, with one word, tells the dimension.

mod answer;
mod error;
mod models;

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::{
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect,
};
use serde_json::json;
use unicode_normalization::UnicodeNormalization;
use url::Url;

use domain::{
    Code, Failure,
    ports::{Bought, BuyFailed, EmbedModel, EmbedPriority, EmbedService, Embedder, RequestBounds},
};
use models::known;
use telemetry::metrics::{METRICS, ProviderCall};

/// For `active_model.provider` and metrics.
pub const NAME: &str = "openai";
/// The time limit for connecting; a handshake across an ocean takes a tenth of it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Idle connections are closed before load balancers do so (60 s), since a request on one that is being closed is lost.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// For so long no question is sent after one got no answer: each search would wait for its time limit.
const REST: Duration = Duration::from_secs(5);
/// Tokens that a model reads of which nothing is known; passages are shorter.
const ASSUMED_TOKENS: usize = 512;
/// What a probe sends.
const PROBE: &str = "ok";

/// The service, and the model that it is asked for.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Its address; `/v1` is added to one without a path. `None`: it is not set.
    pub url: Option<Url>,
    /// The key; `None`: the service wants none.
    pub key: Option<String>,
    /// The service's name of the model, which is also the value of `embed_model`.
    pub model: String,
    /// The value of `embed_version`.
    pub version: String,
    /// Goes before a question, with a space; may be empty.
    pub query_prefix: String,
    /// Goes before a passage, in the same way.
    pub passage_prefix: String,
    /// What requests may hold.
    pub bounds: RequestBounds,
    /// The time limit of a request with passages.
    pub passages_within: Duration,
    /// The time limit of a request with a question.
    pub query_within: Duration,
    /// The time limit of a probe. A server that has to load the model first takes some seconds.
    pub probe_within: Duration,
}

impl fmt::Debug for OpenAiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiOptions").field("model", &self.model).finish_non_exhaustive()
    }
}

/// The dimension of the model's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// That of the vectors that are stored.
    Stored(usize),
    /// That of the settings, for the first vectors; `None`: the model's own.
    Wanted(Option<usize>),
}

/// An embedding service with one model.
pub struct OpenAi {
    http: reqwest::Client,
    endpoint: String,
    options: OpenAiOptions,
    model: EmbedModel,
    /// The dimension that requests ask for; `None`: they do not say.
    asked_dim: Option<usize>,
    /// Whether the service refuses to be asked for base64.
    is_plain: AtomicBool,
    /// Until then questions fail at once.
    rests_until: Mutex<Option<Instant>>,
}

impl OpenAi {
    /// A client for the model. Where vectors are to be the first, or nothing is known of the model, it sends one word first,
    /// so that key, model, dimension and length are known to be right before anything of a document is sent.
    ///
    /// # Errors
    ///
    /// The service refuses the word or does not answer, or the model has another dimension.
    pub async fn connect(options: OpenAiOptions, dimension: Dimension) -> Result<Self, Failure> {
        let http = client(options.key.as_deref())?;
        let published = known(&options.model);
        let model = EmbedModel {
            name: options.model.clone(),
            version: options.version.clone(),
            dim: 0,
            max_tokens: published.map_or(ASSUMED_TOKENS, |known| known.max_tokens),
        };
        let message = "OPENAI_API_URL is not set.";
        let url = options.url.as_ref().ok_or_else(|| Failure::new(Code::EmbedServiceNotSet, message))?;
        let endpoint = endpoint(url);
        let (is_plain, rests_until) = (AtomicBool::new(false), Mutex::new(None));
        let mut service = Self { http, endpoint, options, model, asked_dim: None, is_plain, rests_until };
        let (wanted, is_first) = match dimension {
            Dimension::Stored(dim) => (Some(dim), false),
            Dimension::Wanted(dim) => (dim, true),
        };
        if let Some(known) = published {
            service.model.dim = wanted.unwrap_or(known.dim);
            service.asked_dim = Some(service.model.dim).filter(|dim| *dim != known.dim);
            if service.asked_dim.is_some_and(|dim| !known.shortens || dim > known.dim) {
                return Err(service.wrong_dimension(known.dim));
            }
            if is_first {
                service.probe().await?;
            }
            return Ok(service);
        }
        let own = service.measure().await?;
        service.model.dim = wanted.unwrap_or(own);
        if service.model.dim != own {
            service.asked_dim = Some(service.model.dim);
            // A service that cannot shorten refuses, or gives vectors of the model's own dimension.
            let shortened = service.measure().await.unwrap_or(own);
            if shortened != service.model.dim {
                return Err(service.wrong_dimension(own));
            }
        }
        Ok(service)
    }

    fn wrong_dimension(&self, own: usize) -> Failure {
        let message = format!(
            "The service's model {} has {own} components, but {} are wanted: by this database's vectors of that name, or by \
             EMBED_DIMENSIONS. A model of another dimension needs a name or a version of its own (EMBED_VERSION).",
            self.model.name, self.model.dim
        );
        Failure::new(Code::ModelDimension, message)
    }

    /// The dimension that the service answers with. One that fails when it is asked for base64, as some gateways do, is asked
    /// for numbers from then on.
    async fn measure(&self) -> Result<usize, Failure> {
        let ask = || self.request(ProviderCall::Probe, vec![PROBE.to_owned()], None, self.options.probe_within);
        let mut answer = ask().await;
        let may_be_plain = |failed: &BuyFailed| {
            matches!(failed.failure.code, Code::EmbedServiceTextRefused | Code::EmbedServiceUnavailable)
        };
        if answer.as_ref().is_err_and(may_be_plain) && !self.is_plain.swap(true, Ordering::Relaxed) {
            let plain = ask().await;
            if plain.is_ok() {
                answer = plain;
            } else {
                self.is_plain.store(false, Ordering::Relaxed);
            }
        }
        let vectors = answer.map_err(|failed| failed.failure)?.whole()?;
        Ok(vectors.first().map_or(0, Vec::len))
    }

    async fn request(
        &self,
        call: ProviderCall,
        inputs: Vec<String>,
        dim: Option<usize>,
        within: Duration,
    ) -> Result<Bought, BuyFailed> {
        let mut body = json!({ "model": self.model.name, "input": inputs });
        if !self.is_plain.load(Ordering::Relaxed) {
            // A third of the bytes.
            body["encoding_format"] = json!("base64");
        }
        if let Some(dim) = self.asked_dim {
            body["dimensions"] = json!(dim);
        }
        let began = Instant::now();
        let answer = match self.http.post(&self.endpoint).json(&body).timeout(within).send().await {
            Err(error) => Err(error::of_transport(&error, within)),
            Ok(response) if response.status().is_success() => answer::read(response, inputs.len(), dim, within).await,
            Ok(response) => Err(error::of_status(response, &self.model.name).await),
        };
        let told = answer.as_ref().map(drop).map_err(|failed| failed.failure.code);
        METRICS.record_provider_call(NAME, call, told, began.elapsed());
        answer
    }

    fn rests_until(&self) -> Option<Instant> {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(key: Option<&str>) -> Result<reqwest::Client, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let authorization = HeaderValue::from_str(&format!("Bearer {key}")).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let message = "OPENAI_API_KEY contains characters that a key cannot have. Copy it again.";
        let authorization = authorization.map_err(|_invalid| Failure::new(Code::EmbedServiceKeyRefused, message))?;
        headers.insert(AUTHORIZATION, authorization);
    }
    let built = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_FOR)
        // Neither the key nor the texts may go to another server.
        .redirect(redirect::Policy::none())
        .build();
    built.map_err(|error| {
        let message = format!("The client for the embedding service could not be set up: {error}.");
        Failure::new(Code::EmbedServiceUnavailable, message)
    })
}

/// Where requests go. An address without a path is that of a server, whose API is below `/v1`.
fn endpoint(url: &Url) -> String {
    let base = url.as_str().trim_end_matches('/');
    let version = if url.path().trim_matches('/').is_empty() { "/v1" } else { "" };
    format!("{base}{version}/embeddings")
}

/// What is sent: the text in Unicode's composed form, after the prefix.
fn prepare(prefix: &str, text: &str) -> String {
    let space = if prefix.is_empty() { "" } else { " " };
    prefix.chars().chain(space.chars()).chain(text.nfc()).collect()
}

#[async_trait]
impl Embedder for OpenAi {
    fn model(&self) -> &EmbedModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = Vec::with_capacity(texts.len());
        match priority {
            EmbedPriority::Query => {
                for question in texts {
                    vectors.extend(self.ask(&question).await.map_err(|failed| failed.failure)?.whole()?);
                }
            }
            EmbedPriority::Document => {
                for passages in texts.chunks(self.options.bounds.inputs.max(1)) {
                    vectors.extend(self.buy(passages).await.map_err(|failed| failed.failure)?.whole()?);
                }
            }
        }
        Ok(vectors)
    }

    fn service(&self) -> Option<&dyn EmbedService> {
        Some(self)
    }
}

#[async_trait]
impl EmbedService for OpenAi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn bounds(&self) -> RequestBounds {
        self.options.bounds
    }

    async fn buy(&self, passages: &[String]) -> Result<Bought, BuyFailed> {
        let inputs = passages.iter().map(|text| prepare(&self.options.passage_prefix, text)).collect();
        self.request(ProviderCall::Embed, inputs, Some(self.model.dim), self.options.passages_within).await
    }

    /// After a question that got no answer, questions fail at once for a while.
    async fn ask(&self, question: &str) -> Result<Bought, BuyFailed> {
        if self.rests_until().is_some_and(|until| Instant::now() < until) {
            let message = "The embedding service did not answer a moment ago; questions go by words for some seconds.";
            return Err(error::free(Code::EmbedServiceUnavailable, message));
        }
        let inputs = vec![prepare(&self.options.query_prefix, question)];
        let answer = self.request(ProviderCall::Embed, inputs, Some(self.model.dim), self.options.query_within).await;
        let rests = answer.as_ref().is_err_and(|failed| failed.failure.class.is_retryable());
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = rests.then(|| Instant::now() + REST);
        answer
    }

    async fn probe(&self) -> Result<(), Failure> {
        let dim = self.measure().await?;
        if dim == self.model.dim { Ok(()) } else { Err(self.wrong_dimension(dim)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_embeddings_below_the_address() {
        for (url, wanted) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"),
            ("http://ollama:11434", "http://ollama:11434/v1/embeddings"),
            ("https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai/v1/embeddings"),
        ] {
            assert_eq!(endpoint(&url.parse().unwrap()), wanted);
        }
    }

    #[test]
    fn a_prefix_is_followed_by_a_space() {
        assert_eq!(prepare("query:", "cafe\u{301}"), "query: caf\u{e9}");
        assert_eq!(prepare("", "cafe"), "cafe");
    }
}
