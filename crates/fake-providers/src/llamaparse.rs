//! A fake LlamaParse with the real wire protocol. It counts calls, sends webhooks, and fails as it is told to.
//!
//! `PUT /faults` takes `{ "start": ["500", "slow:300"], "fetch": ["cut"] }`: faults of the next calls of each kind (`upload`, `start`,
//! `look`, `fetch`), each a status, `silence`, `cut` or `slow:MILLISECONDS`. A start with 500, `silence` or `cut` is charged, and asked for
//! again: billed twice. `GET /billed` answers `{ "jobs": 2, "pages": 4 }`.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    http::{Reply, Request, Server},
    lock, slowness,
};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A file is sent.
    Upload,
    /// A job is started, which costs money.
    Start,
    /// A job's state is asked for.
    GetState,
    /// A job's text is asked for.
    Fetch,
    /// Jobs are listed.
    Probe,
}

impl Call {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "upload" => Self::Upload,
            "start" => Self::Start,
            "look" => Self::GetState,
            "fetch" => Self::Fetch,
            "probe" => Self::Probe,
            _ => return None,
        })
    }
}

/// What comes in place of a normal reply.
#[derive(Debug, Clone)]
enum Told {
    This(Reply),
    /// The normal reply, half of it.
    Cut,
    /// The normal reply, later.
    Late(Duration),
}

impl Told {
    fn parse(order: &str) -> Option<Self> {
        Some(match order {
            "silence" => Self::This(Reply::Silence),
            "cut" => Self::Cut,
            _ => match slowness(order) {
                Some(delay) => Self::Late(delay),
                None => Self::This(Reply::json(order.parse().ok()?, &json!({ "detail": "told to" }))),
            },
        })
    }

    /// Whether the call has no effect: it is refused.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::This(Reply::Answer(status, ..)) if *status < 500)
    }

    fn instead_of(self, reply: Reply) -> Reply {
        match (self, reply) {
            (Self::This(told), _) => told,
            (Self::Cut, Reply::Answer(_, _, body)) => Reply::Cut(body),
            (Self::Cut, reply) => reply,
            (Self::Late(delay), reply) => Reply::Late(delay, Box::new(reply)),
        }
    }
}

/// How it answers now.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// The API key that it accepts.
    pub key: String,
    /// The status of all jobs.
    pub status: &'static str,
    /// The pages of all jobs; `None` is a page that could not be read.
    pub pages: Vec<Option<String>>,
    /// It answers that it knows no job.
    pub loses_jobs: bool,
    /// It sends the webhook before it answers the start of a job.
    pub calls_back_early: bool,
    /// Wait before it answers the start of a job.
    pub start_delay: Duration,
}

/// A job that was started.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The JSON body of the request.
    pub body: Value,
    /// The multipart body of the upload, with the file's name and bytes.
    pub file: Vec<u8>,
}

impl Job {
    /// Where its webhook goes.
    pub fn webhook_url(&self) -> &str {
        self.body["webhook_configurations"][0]["webhook_url"].as_str().unwrap_or_default()
    }

    /// Sends the webhook as configured; returns the status of the answer.
    pub fn call_back(&self, body: &[u8]) -> u16 {
        let headers = &self.body["webhook_configurations"][0]["webhook_headers"];
        let headers: Vec<(String, String)> = headers
            .as_object()
            .map(|headers| {
                headers.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
            })
            .unwrap_or_default();
        post(self.webhook_url(), &headers, body)
    }
}

struct State {
    behaviour: Behaviour,
    /// What comes next in place of the normal replies.
    script: Vec<(Call, VecDeque<Told>)>,
    files: BTreeMap<String, Vec<u8>>,
    jobs: Vec<Job>,
    calls: BTreeMap<Call, usize>,
}

/// A running fake; it stops when it is dropped.
pub struct LlamaParse {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl LlamaParse {
    /// One that accepts `key`, and whose jobs are complete at once with two pages, on a free port.
    ///
    /// # Panics
    ///
    /// There is none.
    #[expect(clippy::expect_used, reason = "tests have nothing to do without a port")]
    pub fn start(key: &str) -> Self {
        Self::bind(0, key).expect("a free port")
    }

    /// The same on this port.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub fn bind(port: u16, key: &str) -> io::Result<Self> {
        let behaviour = Behaviour {
            key: key.to_owned(),
            status: "COMPLETED",
            pages: vec![Some("# A letter\n\nThe heron waits.".to_owned()), Some("The otter swims past.".to_owned())],
            loses_jobs: false,
            calls_back_early: false,
            start_delay: Duration::ZERO,
        };
        let (script, files, jobs, calls) = Default::default();
        let state = Arc::new(Mutex::new(State { behaviour, script, files, jobs, calls }));
        let shared = state.clone();
        Ok(Self { server: Server::bind(port, None, move |request| serve(&shared, request))?, state })
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.state).behaviour);
    }

    /// Replaces the next replies to `call`. A call with a status of 500 or above, or without a reply, still takes effect.
    pub fn next(&self, call: Call, replies: impl IntoIterator<Item = Reply>) {
        let replies = replies.into_iter().map(Told::This).collect();
        lock(&self.state).script.push((call, replies));
    }

    /// How often this call was made.
    pub fn calls(&self, call: Call) -> usize {
        lock(&self.state).calls.get(&call).copied().unwrap_or_default()
    }

    /// The jobs that were started, each of which costs money.
    pub fn jobs(&self) -> Vec<Job> {
        lock(&self.state).jobs.clone()
    }
}

fn serve(shared: &Mutex<State>, request: &Request) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("PUT", "/faults") => take_orders(shared, &request.body),
        ("GET", "/billed") => {
            let state = lock(shared);
            let (jobs, pages) = (state.jobs.len(), state.behaviour.pages.len());
            Reply::json(200, &json!({ "jobs": jobs, "pages": jobs * pages }))
        }
        _ => answer(shared, request),
    }
}

/// Faults that a person has ordered.
fn take_orders(shared: &Mutex<State>, body: &[u8]) -> Reply {
    let orders: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = |orders: &Value| -> Option<VecDeque<Told>> {
        orders.as_array()?.iter().map(|order| Told::parse(order.as_str()?)).collect()
    };
    let of_call = |(call, orders): (&String, &Value)| Some((Call::named(call)?, told(orders)?));
    let script = orders.as_object().and_then(|orders| orders.iter().map(of_call).collect());
    let Some(script) = script else {
        let detail = "send { \"start\": [\"429\", \"500\", \"silence\", \"cut\", \"slow:300\"] }; the calls are upload, start, look and fetch";
        return Reply::json(422, &json!({ "detail": detail }));
    };
    lock(shared).script = script;
    Reply::json(200, &orders)
}

fn answer(shared: &Mutex<State>, request: &Request) -> Reply {
    let (method, path) = (request.method.as_str(), request.path.as_str());
    let job = path.strip_prefix("/api/v2/parse/");
    let call = match (method, path, job) {
        ("POST", "/api/v1/beta/files", _) => Call::Upload,
        ("POST", "/api/v2/parse", _) => Call::Start,
        ("GET", "/api/v2/parse", _) => Call::Probe,
        ("GET", _, Some(_)) if request.query.contains("expand=markdown") => Call::Fetch,
        ("GET", _, Some(_)) => Call::GetState,
        _ => return Reply::json(404, &json!({ "detail": "Not Found" })),
    };
    let mut state = lock(shared);
    *state.calls.entry(call).or_default() += 1;
    let behaviour = state.behaviour.clone();
    let scripted = state.script.iter_mut().find(|(of, told)| *of == call && !told.is_empty());
    let scripted = scripted.and_then(|(_, told)| told.pop_front());
    if request.header("authorization") != format!("Bearer {}", behaviour.key) {
        return Reply::json(401, &json!({ "detail": "Invalid API Key" }));
    }
    // A refused call has no effect. A call that fails with 5xx or gets no reply still takes effect.
    if let Some(told) = scripted.clone().filter(Told::is_refusal) {
        return told.instead_of(Reply::Silence);
    }
    let done = match call {
        Call::Upload => {
            if !request.header("content-type").starts_with("multipart/form-data") {
                return Reply::json(422, &json!({ "detail": "not a form" }));
            }
            let id = format!("dfl-{}", state.files.len());
            state.files.insert(id.clone(), request.body.clone());
            Reply::json(200, &json!({ "id": id, "name": "document.pdf", "project_id": "p" }))
        }
        Call::Start => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let Some(file) = state.files.get(body["file_id"].as_str().unwrap_or_default()).cloned() else {
                return Reply::json(404, &json!({ "detail": "File not found" }));
            };
            let job = Job { id: format!("pjb-{}", state.jobs.len()), body, file };
            state.jobs.push(job.clone());
            drop(state);
            if behaviour.calls_back_early {
                job.call_back(b"{}");
            }
            std::thread::sleep(behaviour.start_delay);
            Reply::json(200, &json!({ "id": job.id, "project_id": "p", "status": "PENDING", "error_message": null }))
        }
        Call::GetState | Call::Fetch => {
            let known = state.jobs.iter().any(|known| Some(known.id.as_str()) == job);
            if !known || behaviour.loses_jobs {
                return Reply::json(404, &json!({ "detail": "Job not found" }));
            }
            let error = matches!(behaviour.status, "FAILED" | "EXPIRED").then_some("page tree\nis broken.");
            let mut body =
                json!({ "job": { "id": job, "project_id": "p", "status": behaviour.status, "error_message": error } });
            if call == Call::Fetch {
                let pages = behaviour.pages.iter().enumerate().map(|(at, text)| match text {
                    Some(text) => json!({ "page_number": at + 1, "markdown": text, "success": true }),
                    None => json!({ "page_number": at + 1, "error": "unreadable", "success": false }),
                });
                body["markdown"] = json!({ "pages": pages.collect::<Vec<_>>() });
            }
            Reply::json(200, &body)
        }
        Call::Probe => Reply::json(200, &json!({ "items": [], "next_page_token": null })),
    };
    match scripted {
        Some(told) => told.instead_of(done),
        None => done,
    }
}

/// Sends a POST to `http://host:port/…`; returns the status of the answer, or 0 if there is none.
pub fn post(url: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
    let Some((host, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else { return 0 };
    let Ok(mut socket) = TcpStream::connect(host) else { return 0 };
    let mut head =
        format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // A server that refuses a long body may close the connection before the end.
    let _sent = socket.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| socket.write_all(body));
    let mut answer = String::new();
    let _read = socket.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
