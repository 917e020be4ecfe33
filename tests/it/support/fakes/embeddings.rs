//! A fake embedding service with OpenAI's wire protocol. It bills each text that it has read, and fails as a test tells it to.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::http::{Reply, Request, Server};

/// The word of a probe, which is no text of a document.
const PROBE: &str = "ok";

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429, with the seconds to wait. Not billed, like the next two.
    Busy(u64),
    /// 429 as of an account without credit.
    NoQuota,
    /// 500.
    Error,
    /// No answer; billed, like those that follow.
    Silence,
    /// The answer breaks off.
    Cut,
    /// A vector has one component too few.
    Dimension,
    /// A vector is not a number.
    NotANumber,
    /// A vector is missing.
    Count,
}

/// How it answers now.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// The key that it wants; `None`: none.
    pub key: Option<String>,
    /// The model that it knows.
    pub model: String,
    /// Components of that model's vectors.
    pub dim: usize,
    /// Whether it can shorten vectors.
    pub shortens: bool,
    /// The status with which it refuses to be asked for base64; `None`: it knows it.
    pub refuses_base64: Option<u16>,
    /// The most texts of a request.
    pub max_inputs: usize,
    /// The most characters of a text.
    pub max_chars: usize,
    /// It refuses texts with this word.
    pub refuses: Option<&'static str>,
    /// The faults of the next requests with passages, in order.
    pub next: VecDeque<Fault>,
    /// The fault of all other requests.
    pub always: Option<Fault>,
    /// It answers nothing but probes until this is false again.
    pub holds: bool,
}

/// A request that was billed.
#[derive(Debug, Clone)]
pub struct Billed {
    pub at: Instant,
    pub texts: Vec<String>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    released: Condvar,
    billed: Mutex<Vec<Billed>>,
}

pub struct Embeddings {
    server: Server,
    shared: Arc<Shared>,
}

impl Embeddings {
    /// One that knows `model` and wants no key.
    pub fn start(model: &str, dim: usize) -> Self {
        let behaviour = Behaviour {
            key: None,
            model: model.to_owned(),
            dim,
            shortens: false,
            refuses_base64: None,
            max_inputs: usize::MAX,
            max_chars: usize::MAX,
            refuses: None,
            next: VecDeque::new(),
            always: None,
            holds: false,
        };
        let (released, billed) = (Condvar::new(), Mutex::default());
        let shared = Arc::new(Shared { behaviour: Mutex::new(behaviour), released, billed });
        let answering = shared.clone();
        Self { server: Server::start(move |request| answering.answer(request)), shared }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
        self.shared.released.notify_all();
    }

    /// Requests that were billed, without probes.
    pub fn billed(&self) -> Vec<Billed> {
        self.shared.billed.lock().unwrap().iter().filter(|billed| billed.texts != [PROBE]).cloned().collect()
    }

    /// Texts that were billed: units to pay.
    pub fn units(&self) -> Vec<String> {
        self.billed().into_iter().flat_map(|billed| billed.texts).collect()
    }

    /// The JSON bodies of all requests so far.
    pub fn bodies(&self) -> Vec<Value> {
        self.server.seen().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Reply {
        let mut behaviour = self.behaviour.lock().unwrap();
        let refusal = |status, code: &str, message: &str| {
            Reply::json(status, &json!({ "error": { "message": message, "type": code, "param": null, "code": code } }))
        };
        if (request.method.as_str(), request.path.as_str()) != ("POST", "/v1/embeddings") {
            return Reply::json(404, &json!({ "detail": "Not Found" }));
        }
        if behaviour.key.as_ref().is_some_and(|key| request.header("authorization") != format!("Bearer {key}")) {
            return refusal(401, "invalid_api_key", "Incorrect API key provided: sk-w***.");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        if body["model"] != behaviour.model.as_str() {
            return refusal(404, "model_not_found", "The model does not exist or you do not have access to it.");
        }
        let texts: Vec<String> =
            body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        let dim = body["dimensions"].as_u64().map_or(behaviour.dim, |dim| usize::try_from(dim).unwrap());
        let as_base64 = body["encoding_format"] == "base64";
        let is_refused = |text: &String| {
            text.chars().count() > behaviour.max_chars || behaviour.refuses.is_some_and(|word| text.contains(word))
        };
        if texts.len() > behaviour.max_inputs || texts.iter().any(is_refused) {
            return refusal(400, "invalid_request_error", &format!("cannot take '{}'", texts[0]));
        }
        if dim != behaviour.dim && !behaviour.shortens {
            return refusal(422, "validation", "unknown field");
        }
        if let Some(status) = behaviour.refuses_base64.filter(|_| as_base64) {
            return refusal(status, "unsupported_params", "encoding_format is not supported");
        }
        let scripted = if texts == [PROBE] { None } else { behaviour.next.pop_front() };
        let fault = scripted.or(behaviour.always);
        match fault {
            Some(Fault::Busy(seconds)) => {
                let headers = format!("retry-after: {seconds}\r\ncontent-type: application/json\r\n");
                return Reply::Full(429, headers, br#"{"error":{"code":"rate_limit_exceeded"}}"#.to_vec());
            }
            Some(Fault::NoQuota) => return refusal(429, "insufficient_quota", "You exceeded your current quota."),
            Some(Fault::Error) => return refusal(500, "server_error", "The server had an error."),
            _ => {}
        }
        self.billed.lock().unwrap().push(Billed { at: Instant::now(), texts: texts.clone() });
        let is_probe = texts == [PROBE];
        drop(self.released.wait_while(behaviour, |behaviour| behaviour.holds && !is_probe).unwrap());
        let tokens: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
        let mut vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dim)).collect();
        match fault {
            Some(Fault::Silence) => return Reply::Silence,
            Some(Fault::Dimension) => drop(vectors[0].pop()),
            Some(Fault::NotANumber) => vectors[0][0] = f32::NAN,
            Some(Fault::Count) => drop(vectors.pop()),
            _ => {}
        }
        let embedding = |vector: &Vec<f32>| match as_base64 {
            true => json!(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())),
            false => json!(vector),
        };
        // The last first: the order is by `index`.
        let data: Vec<Value> = vectors
            .iter()
            .enumerate()
            .rev()
            .map(|(index, vector)| json!({ "object": "embedding", "index": index, "embedding": embedding(vector) }))
            .collect();
        let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
        let answer = json!({ "object": "list", "data": data, "model": body["model"], "usage": usage });
        match fault {
            Some(Fault::Cut) => Reply::Cut(answer.to_string().into_bytes()),
            _ => Reply::json(200, &answer),
        }
    }
}

/// Texts with the same words have vectors that are near each other; none has length 1.
fn vector(text: &str, dim: usize) -> Vec<f32> {
    let mut vector = vec![0.01; dim];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        vector[usize::try_from(hasher.finish() % dim as u64).unwrap()] += 2.0;
    }
    vector
}

/// The longest wait for something that the fake sees.
const PATIENCE: Duration = Duration::from_secs(60);

impl Embeddings {
    /// Waits until this many requests with passages were billed.
    pub async fn wait_for_requests(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.billed().len() < count {
            assert!(Instant::now() < deadline, "only {} requests came", self.billed().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
