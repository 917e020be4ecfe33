//! A fake embedding service with OpenAI's wire protocol. It bills each text that it has read, and fails as it is told to.
//!
//! `PUT /faults` takes `{ "next": ["busy:2", "cut"], "always": "slow:300" }`, where each is a [`Fault`] by its name in
//! [`Fault::parse`]; `GET /billed` answers `{ "requests": 3, "inputs": 96, "tokens": 20480 }`.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    io,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    http::{Reply, Request, Server},
    lock, number_behind, slowness,
};

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
    /// The answer comes late.
    Slow(Duration),
    /// All is well, and billed twice.
    BilledTwice,
}

impl Fault {
    /// The fault of that name: `busy`, `busy:SECONDS`, `no_quota`, `error`, `silence`, `cut`, `dimension`, `not_a_number`, `count`,
    /// `slow`, `slow:MILLISECONDS`, `billed_twice`.
    pub fn parse(order: &str) -> Option<Self> {
        Some(match order {
            "busy" | "429" => Self::Busy(1),
            "no_quota" => Self::NoQuota,
            "error" | "500" => Self::Error,
            "silence" => Self::Silence,
            "cut" => Self::Cut,
            "dimension" => Self::Dimension,
            "not_a_number" => Self::NotANumber,
            "count" => Self::Count,
            "billed_twice" => Self::BilledTwice,
            _ => match number_behind(order, "busy") {
                Some(seconds) => Self::Busy(seconds.parse().ok()?),
                None => Self::Slow(slowness(order)?),
            },
        })
    }
}

/// How it answers now.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// The key that it wants; `None`: none.
    pub key: Option<String>,
    /// The model that it knows; `*`: any.
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
    /// Vectors of texts with this word are not numbers.
    pub breaks_on: Option<&'static str>,
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
    /// When.
    pub at: Instant,
    /// Its texts; twice, where they were billed twice.
    pub texts: Vec<String>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    released: Condvar,
    billed: Mutex<Vec<Billed>>,
}

/// A running fake; it stops when it is dropped.
pub struct Embeddings {
    server: Server,
    shared: Arc<Shared>,
}

impl Embeddings {
    /// One that knows `model` and wants no key, on a free port.
    ///
    /// # Panics
    ///
    /// There is none.
    #[expect(clippy::expect_used, reason = "tests have nothing to do without a port")]
    pub fn start(model: &str, dim: usize) -> Self {
        Self::bind(0, model, dim).expect("a free port")
    }

    /// The same on this port.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub fn bind(port: u16, model: &str, dim: usize) -> io::Result<Self> {
        let behaviour = Behaviour {
            key: None,
            model: model.to_owned(),
            dim,
            shortens: false,
            refuses_base64: None,
            max_inputs: usize::MAX,
            max_chars: usize::MAX,
            refuses: None,
            breaks_on: None,
            next: VecDeque::new(),
            always: None,
            holds: false,
        };
        let (released, billed) = (Condvar::new(), Mutex::default());
        let shared = Arc::new(Shared { behaviour: Mutex::new(behaviour), released, billed });
        let answering = shared.clone();
        Ok(Self { server: Server::bind(port, None, move |request| answering.serve(request))?, shared })
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
        self.shared.released.notify_all();
    }

    /// Requests that were billed, without probes.
    pub fn billed(&self) -> Vec<Billed> {
        lock(&self.shared.billed).iter().filter(|billed| billed.texts != [PROBE]).cloned().collect()
    }

    /// Texts that were billed: units to pay.
    pub fn units(&self) -> Vec<String> {
        self.billed().into_iter().flat_map(|billed| billed.texts).collect()
    }

    /// The JSON bodies of all requests so far.
    pub fn bodies(&self) -> Vec<Value> {
        self.server.seen().iter().map(|request| serde_json::from_slice(&request.body).unwrap_or_default()).collect()
    }
}

impl Shared {
    fn serve(&self, request: &Request) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/embeddings") => self.answer(request),
            ("PUT", "/faults") => self.take_orders(&request.body),
            ("GET", "/billed") => {
                let billed = lock(&self.billed);
                let texts = || billed.iter().flat_map(|billed| &billed.texts);
                let tokens: usize = texts().map(|text| tokens_of(text)).sum();
                Reply::json(200, &json!({ "requests": billed.len(), "inputs": texts().count(), "tokens": tokens }))
            }
            _ => Reply::json(404, &json!({ "detail": "Not Found" })),
        }
    }

    /// Faults that a person has ordered.
    fn take_orders(&self, body: &[u8]) -> Reply {
        let orders: Value = serde_json::from_slice(body).unwrap_or_default();
        let fault = |order: &Value| order.as_str().and_then(Fault::parse);
        let next: Option<VecDeque<Fault>> = match &orders["next"] {
            Value::Null => Some(VecDeque::new()),
            Value::Array(next) => next.iter().map(fault).collect(),
            _ => None,
        };
        let always = match &orders["always"] {
            Value::Null => Some(None),
            order => fault(order).map(Some),
        };
        let (Some(next), Some(always), true) = (next, always, orders.is_object()) else {
            return Reply::json(
                422,
                &json!({ "detail": "send { \"next\": [\"busy:2\", \"error\", \"silence\", \"cut\", \"dimension\", \"not_a_number\", \"count\", \"slow:300\", \"billed_twice\", \"no_quota\"], \"always\": null }" }),
            );
        };
        let mut behaviour = lock(&self.behaviour);
        (behaviour.next, behaviour.always) = (next, always);
        Reply::json(200, &orders)
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut behaviour = lock(&self.behaviour);
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(refusal) = behaviour.refuse(request, &asked) {
            return refusal;
        }
        let texts = texts_of(&asked);
        let is_probe = texts == [PROBE];
        let scripted = if is_probe { None } else { behaviour.next.pop_front() };
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
        let (dim, breaks_on) = (behaviour.dim_for(&asked), behaviour.breaks_on);
        let times = if fault == Some(Fault::BilledTwice) { 2 } else { 1 };
        let billed = texts.iter().cycle().take(times * texts.len()).cloned().collect();
        lock(&self.billed).push(Billed { at: Instant::now(), texts: billed });
        drop(self.released.wait_while(behaviour, |behaviour| behaviour.holds && !is_probe));
        let mut vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dim)).collect();
        for (text, vector) in texts.iter().zip(&mut vectors) {
            if breaks_on.is_some_and(|word| text.contains(word)) {
                vector[0] = f32::NAN;
            }
        }
        match (fault, vectors.first_mut()) {
            (Some(Fault::Silence), _) => return Reply::Silence,
            (Some(Fault::Dimension), Some(first)) => drop(first.pop()),
            (Some(Fault::NotANumber), Some(first)) => first[0] = f32::NAN,
            (Some(Fault::Count), _) => drop(vectors.pop()),
            _ => {}
        }
        let tokens = times * texts.iter().map(|text| tokens_of(text)).sum::<usize>();
        let answer = body_of(&asked, &vectors, tokens);
        match fault {
            Some(Fault::Cut) => Reply::Cut(answer.to_string().into_bytes()),
            Some(Fault::Slow(delay)) => Reply::Late(delay, Box::new(Reply::json(200, &answer))),
            _ => Reply::json(200, &answer),
        }
    }
}

impl Behaviour {
    /// The components of the vectors that a request asks for.
    fn dim_for(&self, asked: &Value) -> usize {
        asked["dimensions"].as_u64().and_then(|dim| usize::try_from(dim).ok()).unwrap_or(self.dim)
    }

    /// The answer to a request that it does not take; `None`: it takes it.
    fn refuse(&self, request: &Request, asked: &Value) -> Option<Reply> {
        if self.key.as_ref().is_some_and(|key| request.header("authorization") != format!("Bearer {key}")) {
            return Some(refusal(401, "invalid_api_key", "Incorrect API key provided: sk-w***."));
        }
        if self.model != "*" && asked["model"] != self.model.as_str() {
            let message = "The model does not exist or you do not have access to it.";
            return Some(refusal(404, "model_not_found", message));
        }
        let texts = texts_of(asked);
        let is_refused = |text: &String| {
            text.chars().count() > self.max_chars || self.refuses.is_some_and(|word| text.contains(word))
        };
        if texts.is_empty() || texts.len() > self.max_inputs || texts.iter().any(is_refused) {
            let first = texts.first().map_or("", String::as_str);
            return Some(refusal(400, "invalid_request_error", &format!("cannot take '{first}'")));
        }
        if self.dim_for(asked) != self.dim && !self.shortens {
            return Some(refusal(422, "validation", "unknown field"));
        }
        let status = self.refuses_base64.filter(|_| asked["encoding_format"] == "base64")?;
        Some(refusal(status, "unsupported_params", "encoding_format is not supported"))
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "message": message, "type": code, "param": null, "code": code } }))
}

fn texts_of(asked: &Value) -> Vec<String> {
    let texts = asked["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn tokens_of(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The body of an answer with these vectors.
fn body_of(asked: &Value, vectors: &[Vec<f32>], tokens: usize) -> Value {
    let as_base64 = asked["encoding_format"] == "base64";
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
    json!({ "object": "list", "data": data, "model": asked["model"], "usage": usage })
}

/// Texts with the same words have vectors that are near each other; none has length 1.
fn vector(text: &str, dim: usize) -> Vec<f32> {
    let mut vector = vec![0.01; dim];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % dim.max(1) as u64).unwrap_or(0);
        vector[place] += 2.0;
    }
    vector
}

/// The longest wait for something that the fake sees.
const PATIENCE: Duration = Duration::from_secs(60);

impl Embeddings {
    /// Waits until this many requests with passages were billed.
    ///
    /// # Panics
    ///
    /// They do not come.
    pub async fn wait_for_requests(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.billed().len() < count {
            assert!(Instant::now() < deadline, "only {} requests came", self.billed().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
