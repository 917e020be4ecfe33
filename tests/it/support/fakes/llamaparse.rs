//! A LlamaParse that speaks the wire protocol, counts what it is asked, does what it is told to do wrong, and calls back.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::http::{Reply, Request, Server};

/// What it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Upload,
    Start,
    Look,
    Fetch,
    Probe,
}

/// How it is just now.
#[derive(Debug, Clone)]
pub struct Mood {
    /// The key that it takes.
    pub key: String,
    /// What jobs stand at.
    pub status: &'static str,
    /// Their pages; `None`: one that could not be read.
    pub pages: Vec<Option<String>>,
    /// Whether it knows any job.
    pub forgetful: bool,
    /// Before the answer to the beginning of a job, it calls back already.
    pub hasty: bool,
    /// Before it answers the beginning of a job.
    pub delay: Duration,
}

/// A job that was begun.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    /// The whole request.
    pub body: Value,
    /// The file: its name as given, and its bytes with what the form adds.
    pub file: Vec<u8>,
}

impl Job {
    pub fn webhook_url(&self) -> &str {
        self.body["webhook_configurations"][0]["webhook_url"].as_str().unwrap_or_default()
    }

    /// Calls back as configured; the status that it is answered with.
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
    mood: Option<Mood>,
    /// What it answers next, whatever it would else.
    script: Vec<(Call, VecDeque<Reply>)>,
    files: BTreeMap<String, Vec<u8>>,
    jobs: Vec<Job>,
    asked: BTreeMap<Call, usize>,
}

pub struct LlamaParse {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl LlamaParse {
    /// One that takes `key` and has read two pages by the time it is asked.
    pub fn start(key: &str) -> Self {
        let mood = Mood {
            key: key.to_owned(),
            status: "COMPLETED",
            pages: vec![Some("# A letter\n\nThe heron waits.".to_owned()), Some("The otter swims past.".to_owned())],
            forgetful: false,
            hasty: false,
            delay: Duration::ZERO,
        };
        let state = Arc::new(Mutex::new(State { mood: Some(mood), ..State::default() }));
        let shared = state.clone();
        Self { server: Server::start(move |request| answer(&shared, request)), state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Changes its mood.
    pub fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(self.state.lock().unwrap().mood.as_mut().unwrap());
    }

    /// Has it answer the next such calls with these, which it does all the same what it is asked for.
    pub fn next(&self, call: Call, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().script.push((call, replies.into_iter().collect()));
    }

    /// How often it was asked that.
    pub fn asked(&self, call: Call) -> usize {
        self.state.lock().unwrap().asked.get(&call).copied().unwrap_or_default()
    }

    /// The jobs that it has begun: what it charges for.
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
        ("GET", _, Some(_)) => Call::Look,
        _ => return Reply::json(404, &json!({ "detail": "Not Found" })),
    };
    let mut state = shared.lock().unwrap();
    *state.asked.entry(call).or_default() += 1;
    let mood = state.mood.clone().unwrap();
    let scripted = state.script.iter_mut().find(|(of, replies)| *of == call && !replies.is_empty());
    let scripted = scripted.and_then(|(_, replies)| replies.pop_front());
    if request.header("authorization") != format!("Bearer {}", mood.key) {
        return Reply::json(401, &json!({ "detail": "Invalid API Key" }));
    }
    // What is refused is not done; a server that breaks, or is not heard, may have done it.
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
            if mood.hasty {
                assert_eq!(job.call_back(b"{}"), 200);
            }
            std::thread::sleep(mood.delay);
            Reply::json(200, &json!({ "id": job.id, "project_id": "p", "status": "PENDING", "error_message": null }))
        }
        Call::Look | Call::Fetch => {
            let known = state.jobs.iter().any(|known| Some(known.id.as_str()) == job);
            if !known || mood.forgetful {
                return Reply::json(404, &json!({ "detail": "Job not found" }));
            }
            let error = matches!(mood.status, "FAILED" | "EXPIRED").then_some("page tree\nis broken.");
            let mut body =
                json!({ "job": { "id": job, "project_id": "p", "status": mood.status, "error_message": error } });
            if call == Call::Fetch {
                let pages = mood.pages.iter().enumerate().map(|(at, text)| match text {
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

/// A POST to `http://host:port/…`; the status of the answer, 0 where there is none.
pub fn post(url: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no http URL: {url}"));
    let (host, path) = rest.split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    let mut head =
        format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let sent = socket.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| socket.write_all(body));
    let mut answer = String::new();
    // Who refuses a long body may hang up before its end.
    let read = socket.read_to_string(&mut answer);
    match (sent, read, answer.split(' ').nth(1).and_then(|status| status.parse().ok())) {
        (_, _, Some(status)) => status,
        _ => 0,
    }
}
