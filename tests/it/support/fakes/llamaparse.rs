//! A fake LlamaParse with the real wire protocol. It counts calls, sends webhooks, and fails as a test tells it to.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::http::{Reply, Request, Server};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Upload,
    Start,
    GetState,
    Fetch,
    Probe,
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
    pub id: String,
    /// The JSON body of the request.
    pub body: Value,
    /// The multipart body of the upload, with the file's name and bytes.
    pub file: Vec<u8>,
}

impl Job {
    pub fn webhook_url(&self) -> &str {
        self.body["webhook_configurations"][0]["webhook_url"].as_str().unwrap_or_default()
    }

    /// Sends the webhook as configured; returns the status of the answer.
    pub fn call_back(&self, body: &[u8]) -> u16 {
        let headers = &self.body["webhook_configurations"][0]["webhook_headers"];
        let headers: Vec<(String, String)> = headers
            .as_object()
            .map(|headers| headers.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect())
            .unwrap_or_default();
        post(self.webhook_url(), &headers, body)
    }
}

#[derive(Default)]
struct State {
    behaviour: Option<Behaviour>,
    /// Replies to send next in place of the normal ones.
    script: Vec<(Call, VecDeque<Reply>)>,
    files: BTreeMap<String, Vec<u8>>,
    jobs: Vec<Job>,
    calls: BTreeMap<Call, usize>,
}

pub struct LlamaParse {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl LlamaParse {
    /// Starts one that accepts `key`, and whose jobs are complete at once with two pages.
    pub fn start(key: &str) -> Self {
        let behaviour = Behaviour {
            key: key.to_owned(),
            status: "COMPLETED",
            pages: vec![Some("# A letter\n\nThe heron waits.".to_owned()), Some("The otter swims past.".to_owned())],
            loses_jobs: false,
            calls_back_early: false,
            start_delay: Duration::ZERO,
        };
        let state = Arc::new(Mutex::new(State { behaviour: Some(behaviour), ..State::default() }));
        let shared = state.clone();
        Self { server: Server::start(move |request| answer(&shared, request)), state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(self.state.lock().unwrap().behaviour.as_mut().unwrap());
    }

    /// Replaces the next replies to `call`. A call with a status of 500 or above, or without a reply, still takes effect.
    pub fn next(&self, call: Call, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().script.push((call, replies.into_iter().collect()));
    }

    /// How often this call was made.
    pub fn calls(&self, call: Call) -> usize {
        self.state.lock().unwrap().calls.get(&call).copied().unwrap_or_default()
    }

    /// The jobs that were started, each of which costs money.
    pub fn jobs(&self) -> Vec<Job> {
        self.state.lock().unwrap().jobs.clone()
    }
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
    let mut state = shared.lock().unwrap();
    *state.calls.entry(call).or_default() += 1;
    let behaviour = state.behaviour.clone().unwrap();
    let scripted = state.script.iter_mut().find(|(of, replies)| *of == call && !replies.is_empty());
    let scripted = scripted.and_then(|(_, replies)| replies.pop_front());
    if request.header("authorization") != format!("Bearer {}", behaviour.key) {
        return Reply::json(401, &json!({ "detail": "Invalid API Key" }));
    }
    // A refused call has no effect. A call that fails with 5xx or gets no reply still takes effect.
    if let Some(Reply::Answer(status, ..)) = &scripted
        && *status < 500
    {
        return scripted.unwrap();
    }
    let done = match call {
        Call::Upload => {
            assert!(request.header("content-type").starts_with("multipart/form-data"));
            let id = format!("dfl-{}", state.files.len());
            state.files.insert(id.clone(), request.body.clone());
            Reply::json(200, &json!({ "id": id, "name": "document.pdf", "project_id": "p" }))
        }
        Call::Start => {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let Some(file) = state.files.get(body["file_id"].as_str().unwrap()).cloned() else {
                return Reply::json(404, &json!({ "detail": "File not found" }));
            };
            let job = Job { id: format!("pjb-{}", state.jobs.len()), body, file };
            state.jobs.push(job.clone());
            drop(state);
            if behaviour.calls_back_early {
                assert_eq!(job.call_back(b"{}"), 200);
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
    scripted.unwrap_or(done)
}

/// Sends a POST to `http://host:port/…`; returns the status of the answer, or 0 if there is none.
pub fn post(url: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
    let (host, path) = rest.split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    let mut head =
        format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let sent = socket.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| socket.write_all(body));
    let mut answer = String::new();
    // A server that refuses a long body may close the connection before the end.
    let read = socket.read_to_string(&mut answer);
    match (sent, read, answer.split(' ').nth(1).and_then(|status| status.parse().ok())) {
        (_, _, Some(status)) => status,
        _ => 0,
    }
}
