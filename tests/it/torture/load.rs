//! The clients: they upload, cancel, delete and retry through an API that restarts, and record what it promised them.

mod books;
mod documents;
mod foreign;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, sync::watch, task::JoinSet};

use documents::{Document, Kind};

use super::bodies;
use crate::support::fleet::token;

/// Clients wait while this many jobs have not ended, so that the rest is done within seconds after the last fault.
const MOST_LIVE: u64 = 40;
/// Of a hundred documents, how many are first sent by half.
const INTERRUPTED: u32 = 10;
/// Of a hundred documents, after how many an earlier one is replaced.
const REPLACED: u32 = 15;
/// Timeout of one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for which a client repeats a request; far longer than any outage.
const RETRY_LIMIT: Duration = Duration::from_secs(120);
const USERS: [&str; 3] = [
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
];

/// What the API has promised about a job, and what clients requested.
#[derive(Debug, Clone, Default)]
pub struct Promise {
    pub document: String,
    /// How the job must end without a cancel or delete: `complete`, or the code of its failure.
    pub wanted: &'static str,
    /// A cancel was answered with 200.
    pub cancelled: bool,
    /// A cancel or a retry was sent, with any answer.
    pub touched: bool,
    /// `Some` after a DELETE was sent; `Some(true)` if it was answered with 202.
    pub deleted: Option<bool>,
    /// It is long, and may wait for its turns.
    pub book: bool,
}

/// Every job that the system has accepted, by its id.
pub type Ledger = Arc<Mutex<BTreeMap<String, Promise>>>;

pub fn read(ledger: &Ledger) -> MutexGuard<'_, BTreeMap<String, Promise>> {
    ledger.lock().unwrap()
}

/// State that all clients share.
#[derive(Clone)]
pub struct Clients {
    pub ledger: Ledger,
    /// The API's address, which changes with each start.
    pub api: watch::Receiver<String>,
    /// The number of jobs that have not ended.
    pub live: watch::Receiver<u64>,
    /// Turns true when the clients must stop uploading.
    pub stop: watch::Receiver<bool>,
    pub http: reqwest::Client,
    pub seed: u64,
}

impl Clients {
    /// Starts the clients. Each ends after `stop`, once its last request is answered.
    pub fn start(&self, database: String, storage: std::path::PathBuf) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (n, user) in USERS.iter().enumerate() {
            let rng = fastrand::Rng::with_seed(self.seed.wrapping_add(n as u64));
            let client = Client { shared: self.clone(), token: token(user), rng, kept: Vec::new() };
            tasks.spawn(client.run(n));
        }
        let rng = fastrand::Rng::with_seed(self.seed.wrapping_add(100));
        tasks.spawn(foreign::run(self.clone(), rng, database, storage));
        for n in 0..books::AT_A_TIME {
            let rng = fastrand::Rng::with_seed(self.seed.wrapping_add(200 + n));
            let client = Client { shared: self.clone(), token: token(books::USER), rng, kept: Vec::new() };
            tasks.spawn(books::run(client, n));
        }
        tasks
    }

    /// Waits until few enough jobs are live; returns `false` after `stop`.
    async fn may_go_on(&self) -> bool {
        let (mut live, mut stop) = (self.live.clone(), self.stop.clone());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => false,
            waited = live.wait_for(|live| *live < MOST_LIVE) => waited.is_ok() && !*self.stop.borrow(),
        }
    }

    fn promise(&self, job: &str, document: &str, wanted: &'static str) {
        let promise = Promise { document: document.to_owned(), wanted, ..Promise::default() };
        read(&self.ledger).entry(job.to_owned()).or_insert(promise);
    }

    fn update_promise(&self, job: &str, change: impl FnOnce(&mut Promise)) {
        change(read(&self.ledger).get_mut(job).unwrap());
    }
}

/// A client of one user.
struct Client {
    shared: Clients,
    token: String,
    rng: fastrand::Rng,
    /// Documents that are to become complete, and are left alone but for being replaced.
    kept: Vec<String>,
}

impl Client {
    async fn run(mut self, user: usize) {
        let mut made = 0;
        while self.shared.may_go_on().await {
            made += 1;
            let document = Document::make(&mut self.rng, &format!("{}-{user}-{made}", self.shared.seed));
            if self.rng.u32(..100) < INTERRUPTED {
                // What has come of it is of no use, and must not be in the way of the whole.
                let _ended = self.interrupt(&document).await;
            }
            let Some((job, id)) = self.upload(&document).await else { continue };
            self.shared.promise(&job, &id, document.kind.wanted());
            match self.rng.u32(..100) {
                0..6 => self.cancel(&job).await,
                6..12 => self.delete(&job, &id).await,
                12..15 => {
                    self.cancel(&job).await;
                    self.retry(&job).await;
                }
                _ if document.kind == Kind::Text => self.kept.push(id),
                _ => {}
            }
            if self.rng.u32(..100) < REPLACED && !self.kept.is_empty() {
                let earlier = self.kept[self.rng.usize(..self.kept.len())].clone();
                let bytes = documents::markdown(&mut self.rng, &format!("{}-{user}-{made}-next", self.shared.seed));
                self.replace(&earlier, &bytes).await;
            }
        }
    }

    /// Puts a file in the place of a document. It is refused while a job of the document lives.
    async fn replace(&self, document: &str, bytes: &[u8]) {
        let (status, body) = self
            .until_answered(&format!("/documents/{document}"), |request| {
                let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name("next.md");
                let part = part.mime_str("text/markdown").unwrap();
                request(Method::PUT).multipart(reqwest::multipart::Form::new().part("file", part))
            })
            .await;
        // 404: a failover has lost the document.
        assert!(matches!(status, 202 | 404 | 409), "{status} {body}");
        if let (202, Some(job)) = (status, body["job_id"].as_str()) {
            self.shared.promise(job, document, "complete");
        }
    }

    /// Uploads a document; returns the ids of job and document, or `None` if the API refuses the file.
    async fn upload(&self, document: &Document) -> Option<(String, String)> {
        let answer = match document.kind {
            Kind::Announced => self.announce(document).await,
            Kind::Text => {
                let text = String::from_utf8_lossy(&document.bytes);
                let body = json!({ "title": document.name, "text": text });
                self.send_until_answered(Method::POST, "/documents", &body).await
            }
            Kind::Blank | Kind::WrongType => self.send_file(document).await,
        };
        let (status, body) = answer;
        // A 409 means that an earlier request was accepted and its answer was lost.
        let entry = if body["documents"].is_array() { &body["documents"][0] } else { &body };
        let (job, id) = (entry["job_id"].as_str()?, entry["document_id"].as_str()?);
        assert!(matches!(status, 200..300 | 409), "{status} {body}");
        Some((job.to_owned(), id.to_owned()))
    }

    /// Announces an upload and sends its bytes.
    async fn announce(&self, document: &Document) -> (u16, Value) {
        let body = json!({
            "filename": document.name, "mime": document.mime,
            "bytes_len": document.bytes.len(), "sha256": document.sha256(),
        });
        let deadline = Instant::now() + RETRY_LIMIT;
        loop {
            let (status, promised) = self.send_until_answered(Method::POST, "/upload", &body).await;
            if status == 409 {
                // The answer with the signed URL was lost. Delete the document and start over.
                let id = promised["document_id"].as_str().unwrap();
                self.send_until_answered(Method::DELETE, &format!("/documents/{id}"), &Value::Null).await;
                continue;
            }
            let signed = promised["signed_url"].as_str().unwrap_or_else(|| panic!("{promised}"));
            // The API's address may have changed.
            let path = &signed[signed.find("/api/").unwrap()..];
            if document.bytes.len().is_multiple_of(5) {
                let _ended = self.interrupt_put(path, document).await;
            }
            loop {
                let url = format!("{}{path}", *self.shared.api.borrow());
                let request = self.shared.http.put(url).body(document.bytes.clone());
                match answer(request).await {
                    Some((200..300, _)) => return (status, promised),
                    // An asynchronous failover has lost the announcement: announce it again.
                    Some((403 | 404 | 410, _)) if Instant::now() < deadline => break,
                    other => assert!(Instant::now() < deadline, "the bytes cannot be stored: {other:?}"),
                }
                pause().await;
            }
        }
    }

    /// Sends half of a document, then closes the connection.
    async fn interrupt(&self, document: &Document) -> std::io::Result<()> {
        let root = self.shared.api.borrow().trim_start_matches("http://").to_owned();
        let body = json!({ "title": document.name, "text": String::from_utf8_lossy(&document.bytes) }).to_string();
        let mut socket = tokio::net::TcpStream::connect(&root).await?;
        socket.write_all(bodies::head(&root, "documents", &self.token, body.len()).as_bytes()).await?;
        socket.write_all(&body.as_bytes()[..body.len() / 2]).await?;
        socket.flush().await
    }

    /// Sends half of the bytes to a signed URL, then closes the connection.
    async fn interrupt_put(&self, path: &str, document: &Document) -> std::io::Result<()> {
        let root = self.shared.api.borrow().trim_start_matches("http://").to_owned();
        let length = document.bytes.len();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: {root}\r\ncontent-length: {length}\r\n\r\n");
        let mut socket = tokio::net::TcpStream::connect(&root).await?;
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&document.bytes[..length / 2]).await?;
        socket.flush().await
    }

    async fn send_file(&self, document: &Document) -> (u16, Value) {
        self.until_answered("/documents", |request| {
            let part = reqwest::multipart::Part::bytes(document.bytes.clone())
                .file_name(document.name.clone())
                .mime_str(document.mime)
                .unwrap();
            request(Method::POST).multipart(reqwest::multipart::Form::new().part("file", part))
        })
        .await
    }

    async fn cancel(&self, job: &str) {
        self.shared.update_promise(job, |promise| promise.touched = true);
        let (status, _) = self.send_until_answered(Method::POST, &format!("/jobs/{job}/cancel"), &Value::Null).await;
        self.shared.update_promise(job, |promise| promise.cancelled = status == 200);
    }

    async fn retry(&self, job: &str) {
        self.shared.update_promise(job, |promise| (promise.touched, promise.cancelled) = (true, false));
        self.send_until_answered(Method::POST, &format!("/jobs/{job}/retry"), &json!({})).await;
    }

    async fn delete(&self, job: &str, document: &str) {
        self.shared.update_promise(job, |promise| promise.deleted = Some(false));
        let (status, _) =
            self.send_until_answered(Method::DELETE, &format!("/documents/{document}"), &Value::Null).await;
        // 404: an earlier request has deleted the document, and its answer was lost.
        self.shared.update_promise(job, |promise| promise.deleted = Some(matches!(status, 202 | 404)));
    }

    /// Repeats a request until it gets an answer with a status below 500.
    async fn send_until_answered(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        self.until_answered(path, |request| match body {
            Value::Null => request(method.clone()),
            body => request(method.clone()).json(body),
        })
        .await
    }

    async fn until_answered(
        &self,
        path: &str,
        make: impl Fn(&dyn Fn(Method) -> reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> (u16, Value) {
        let deadline = Instant::now() + RETRY_LIMIT;
        loop {
            let url = format!("{}/api/upload-pipeline{path}", *self.shared.api.borrow());
            let request = make(&|method| self.shared.http.request(method, &url).bearer_auth(&self.token));
            match answer(request).await {
                Some((status, body)) if status < 500 => return (status, body),
                other => assert!(Instant::now() < deadline, "{path} has had no answer for {RETRY_LIMIT:?}: {other:?}"),
            }
            pause().await;
        }
    }
}

/// Status and body; `None` if the API or the connection failed.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.timeout(REQUEST_LIMIT).send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// The pause between two tries of a request.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
