//! A reranker by HTTP, in the two forms that servers speak.
//!
//! - Cohere (`POST /v2/rerank`), Jina (`/v1/rerank`), Voyage (`/v1/rerank`) and servers that copy them: `{model, query, documents}`, answered
//!   with `{results: [{index, relevance_score}]}`, or `data` in place of `results`.
//! - Text Embeddings Inference (`POST /rerank`), which has one model: `{query, texts}`, answered with `[{index, score}]`.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue},
    redirect,
};
use serde_json::{Value, json};
use url::Url;

use crate::body::read_body;
use domain::{Code, Failure, ports::Reranker};
use telemetry::metrics::{METRICS, ProviderCall};

/// How long it is left alone after a failure, so that not every search waits for a server that is away.
const PAUSE: Duration = Duration::from_secs(10);
/// The most bytes of an answer: a number and an index for each passage, and servers that repeat the texts.
const ANSWER: u64 = 4 * 1024 * 1024;

/// Where a reranker is, and how it is asked.
#[derive(Debug, Clone)]
pub struct RerankOptions {
    /// The address, with its path.
    pub url: Url,
    /// The model; `None`: the server has one, and speaks the form of Text Embeddings Inference.
    pub model: Option<String>,
    /// How long one question may take.
    pub timeout: Duration,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RerankError {
    /// The key contains characters that a header cannot hold.
    #[error("RERANK_API_KEY contains characters that a key cannot have")]
    Key(#[source] InvalidHeaderValue),
    /// TLS cannot be set up.
    #[error("couldn't set up the client for RERANK_URL: {0}")]
    Client(#[source] reqwest::Error),
}

/// A client of a reranker.
pub struct HttpReranker {
    http: reqwest::Client,
    options: RerankOptions,
    name: String,
    failed_at: Mutex<Option<Instant>>,
}

impl HttpReranker {
    /// A client with this key, if the server wants one. It sends no request yet.
    ///
    /// # Errors
    ///
    /// The key is invalid, or TLS cannot be set up.
    pub fn new(options: RerankOptions, key: Option<&str>) -> Result<Self, RerankError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut authorization = HeaderValue::from_str(&format!("Bearer {key}")).map_err(RerankError::Key)?;
            authorization.set_sensitive(true);
            headers.insert(AUTHORIZATION, authorization);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("app/", env!("CARGO_PKG_VERSION")))
            .timeout(options.timeout)
            // Neither the key nor passages may go to another server.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(RerankError::Client)?;
        let host = options.url.host_str().unwrap_or_default();
        let name = options.model.clone().unwrap_or_else(|| host.to_owned());
        Ok(Self { http, options, name, failed_at: Mutex::new(None) })
    }

    fn request(&self, question: &str, passages: &[String]) -> Value {
        match &self.options.model {
            Some(model) => json!({ "model": model, "query": question, "documents": passages }),
            None => json!({ "query": question, "texts": passages }),
        }
    }

    async fn ask(&self, question: &str, passages: &[String]) -> Result<Vec<f64>, Failure> {
        let request = self.http.post(self.options.url.clone()).json(&self.request(question, passages));
        let answer = request.send().await.map_err(|error| transport(&error))?;
        match answer.status() {
            status if status.is_success() => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let message =
                    format!("The reranker refuses RERANK_API_KEY ({}). Set one that it takes.", status.as_u16());
                return Err(Failure::new(Code::RerankerKeyRefused, message));
            }
            status => return Err(failed(&format!("it answered with {}", status.as_u16()))),
        }
        let body = read_body(answer, ANSWER).await.map_err(|error| transport(&error))?;
        let body = body.ok_or_else(|| failed("its answer is longer than 4 MiB"))?;
        scores(&body, passages.len()).map_err(|why| failed(&why))
    }

    fn is_paused(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        failed_at.is_some_and(|at| at.elapsed() < PAUSE)
    }

    fn note(&self, has_failed: bool) {
        *self.failed_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = has_failed.then(Instant::now);
    }
}

#[async_trait]
impl Reranker for HttpReranker {
    fn name(&self) -> &str {
        &self.name
    }

    async fn rerank(&self, question: &str, passages: &[String]) -> Result<Vec<f64>, Failure> {
        if self.is_paused() {
            return Err(failed("it failed less than 10 s ago, and is left alone until then"));
        }
        let began = Instant::now();
        let outcome = self.ask(question, passages).await;
        let told = outcome.as_ref().map(drop).map_err(|failure| failure.code);
        METRICS.record_provider_call("reranker", ProviderCall::Rerank, told, began.elapsed());
        self.note(outcome.is_err());
        outcome
    }
}

/// The score of each of `passages` passages.
fn scores(body: &[u8], passages: usize) -> Result<Vec<f64>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|_error| "its answer is no JSON".to_owned())?;
    let list = [&body["results"], &body["data"], &body].into_iter().find_map(Value::as_array);
    let list = list.ok_or_else(|| "its answer has neither `results` nor `data`, and is no list".to_owned())?;
    let mut scores = vec![None; passages];
    for judged in list {
        let index = judged["index"].as_u64().and_then(|index| usize::try_from(index).ok());
        let score = [&judged["relevance_score"], &judged["score"]].into_iter().find_map(Value::as_f64);
        let place = index.and_then(|index| scores.get_mut(index));
        let (Some(place), Some(score)) = (place, score) else {
            return Err("its answer has an entry without the `index` of a passage and a `relevance_score`".to_owned());
        };
        *place = Some(score.clamp(0.0, 1.0));
    }
    let judged: Option<Vec<f64>> = scores.into_iter().collect();
    judged.ok_or_else(|| "it did not judge every passage".to_owned())
}

fn transport(error: &reqwest::Error) -> Failure {
    failed(match error {
        error if error.is_timeout() => "it did not answer within RERANK_TIMEOUT",
        error if error.is_connect() => "no connection could be made",
        _ => "the connection broke",
    })
}

fn failed(why: &str) -> Failure {
    Failure::new(Code::RerankerFailed, format!("The reranker could not be asked: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_answer_is_read_in_any_order() {
        let forms = [
            r#"{"results":[{"index":1,"relevance_score":0.25},{"index":0,"relevance_score":0.75}]}"#,
            r#"{"data":[{"index":0,"relevance_score":0.75,"document":"a"},{"index":1,"relevance_score":0.25}]}"#,
            r#"[{"index":0,"score":0.75},{"index":1,"score":0.25}]"#,
        ];
        for form in forms {
            assert_eq!(scores(form.as_bytes(), 2).unwrap(), [0.75, 0.25], "{form}");
        }
    }

    #[test]
    fn what_is_no_judgement_of_each_passage_is_refused() {
        let wrong = [
            "<html>",
            "{}",
            r#"[{"index":0,"score":0.5}]"#,
            r#"[{"index":0,"score":0.5},{"index":2,"score":0.5}]"#,
            r#"[{"index":0,"score":"0.5"},{"index":1,"score":0.5}]"#,
        ];
        for body in wrong {
            assert!(scores(body.as_bytes(), 2).is_err(), "{body}");
        }
        assert_eq!(scores(br#"[{"index":0,"score":-3.0}]"#, 1).unwrap(), [0.0], "a bare logit stays within 0 to 1");
    }
}
