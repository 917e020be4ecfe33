//! Real `app` processes on a test's database, and a client for their API.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use config::StorageLocation;
use housekeeping::{Housekeeping, HousekeepingSettings};
use providers::object_storage::ObjectStorage;
use serde_json::{Value, json};
use store::retention::Retention;

use super::scratch::Scratch;

/// Longest wait for an event; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The default user of the tests.
pub const USER: &str = "11111111-1111-4111-8111-111111111111";
/// The secret that signs the tokens of [`token`].
pub const SECRET: &str = "a-secret-for-tests-that-is-long-enough-for-hs256";

/// The settings that all processes of one test share.
pub struct Fleet {
    env: HashMap<String, String>,
    folder: Scratch,
}

/// A running `app`; killed when dropped.
pub struct App {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// All log lines read so far.
    pub log: Vec<String>,
}

impl Fleet {
    /// Processes on the database at `url`, with short leases.
    pub fn new(url: &str, direct_url: &str) -> Self {
        let folder = Scratch::new("fleet");
        let model = PathBuf::from(
            std::env::var("APP_MODEL_DIR").expect("APP_MODEL_DIR names the model's folder; scripts/test sets it"),
        );
        let storage = folder.path().join("storage");
        std::fs::create_dir_all(folder.path()).unwrap();
        let pdfium = std::env::var("APP_PDFIUM_LIBRARY").expect("scripts/test names PDFium's library");
        let path = std::env::var("PATH").unwrap_or_default();
        let env = [
            ("ENVIRONMENT", "development"),
            ("DATABASE_URL", url),
            ("DIRECT_URL", direct_url),
            ("STORAGE_URL", storage.to_str().unwrap()),
            ("EMBED_MODEL", "all-MiniLM-L6-v2"),
            ("EMBED_MODEL_DIR", model.to_str().unwrap()),
            ("PDFIUM_LIBRARY", &pdfium),
            // A Tesseract that happens to be installed would change what other tests see.
            ("OCR_ENGINE", "off"),
            ("SUPABASE_JWT_SECRET", SECRET),
            ("API_HOST", "127.0.0.1"),
            ("API_PORT", "0"),
            ("API_RETRIES_PER_MINUTE", "0"),
            ("LOG_FORMAT", "text"),
            ("LOG_LEVEL", "info"),
            ("WORKER_LEASE", "3"),
            ("WORKER_HEARTBEAT", "0.5"),
            ("WORKER_POLL_INTERVAL", "0.5"),
            ("WORKER_RETRY_BASE_DELAY", "0.1"),
            ("EMBED_THREADS", "1"),
            ("PATH", &path),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { env, folder }
    }

    /// Removes a variable for processes started later.
    pub fn unset(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// Sets a variable for processes started later.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Gives workers started later a free port for their probes; returns the port.
    pub fn set_worker_port(&mut self) -> u16 {
        // Below the range from which the system assigns ports to the tests' APIs.
        let port = std::iter::repeat_with(|| 20_000 + (uuid::Uuid::new_v4().as_u128() % 10_000) as u16)
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap();
        self.set("WORKER_HTTP_HOST", "127.0.0.1");
        self.set("WORKER_HTTP_PORT", &port.to_string());
        port
    }

    /// The folder that serves as object store.
    pub fn storage(&self) -> PathBuf {
        PathBuf::from(&self.env["STORAGE_URL"])
    }

    /// Writes a file in the fleet's folder.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Creates a folder in the fleet's folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Runs `app` until it exits; returns status, stdout and stderr.
    pub fn run(&self, args: &[&str]) -> (ExitStatus, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status, text(output.stdout), text(output.stderr))
    }

    /// Creates an API key with these arguments of `app keys create`.
    pub fn create_key(&self, args: &[&str]) -> String {
        let (status, key, stderr) = self.run(&[&["keys", "create"], args].concat());
        assert!(status.success(), "{stderr}");
        key.trim().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
        command.args(args);
        self.prepare(command)
    }

    /// Gives a command exactly these settings as its environment.
    pub fn prepare(&self, mut command: Command) -> Command {
        command.env_clear().envs(&self.env).stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    /// Starts `app` in the background.
    pub fn start(&self, args: &[&str]) -> App {
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        App { child, lines, log: Vec::new() }
    }

    /// Starts `app worker`.
    pub fn worker(&self) -> App {
        self.start(&["worker"])
    }

    /// The service that sweeps, over the fleet's folder, with the retention of receipts alone.
    pub fn housekeeping(&self, db: &pg::Db) -> Housekeeping {
        let store = ObjectStorage::open(&StorageLocation::Folder(self.storage()), None).unwrap();
        let second = Duration::from_secs(1);
        let retention = Retention {
            events_days: 0,
            webhooks_days: 0,
            jobs_days: 0,
            receipts_days: 365,
            versions_days: 0,
            judgements_days: 0,
            usage_days: 0,
        };
        let settings = HousekeepingSettings { interval: second, lease: second, retention };
        Housekeeping { db: db.clone(), store: Arc::new(store), settings }
    }

    /// Starts `app api` and waits until it listens; returns a client for it.
    pub fn api(&self) -> (App, Client) {
        let mut app = self.start(&["api"]);
        let line = app.wait_for("listening on http://");
        let at = line.find("http://").unwrap();
        let root = line[at..].split([' ', '"']).next().unwrap().to_owned();
        (app, Client { root, token: token(USER) })
    }
}

/// A token of a user, valid for an hour.
pub fn token(user: &str) -> String {
    let user = domain::UserId(user.parse().unwrap());
    api::issue_token(SECRET.as_bytes(), user, Duration::from_secs(3600), "authenticated").unwrap()
}

impl App {
    /// Waits for a log line that contains `text`, and returns it.
    pub fn wait_for(&mut self, text: &str) -> String {
        if let Some(line) = self.log.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no log line with {text:?} within {PATIENCE:?}; the log:\n{}", self.log.join("\n"));
    }

    /// All log lines so far, without waiting for more.
    pub fn read_log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    /// The exit code, or -1 after a signal; `None` while the process runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// Waits until the process exits by itself and its log is complete; returns the exit code.
    pub async fn wait_for_exit(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(code) = self.exit_code() {
                while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    self.log.push(line);
                }
                return code;
            }
            assert!(
                Instant::now() < deadline,
                "the process still runs after {PATIENCE:?}; the log:\n{}",
                self.read_log().join("\n")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: KILL, TERM, STOP, CONT.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Kills the process with SIGKILL and waits until it has ended.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the exit code.
    pub fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// A client of the API with the token of one user.
#[derive(Clone)]
pub struct Client {
    pub root: String,
    pub token: String,
}

impl Client {
    /// A client of the same API for another user.
    pub fn as_user(&self, user: &str) -> Self {
        Self { root: self.root.clone(), token: token(user) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/upload-pipeline{path}", self.root)
    }

    /// Sends a request; returns status and JSON body.
    pub async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = reqwest::Client::new().request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(reqwest::Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(reqwest::Method::POST, path, Some(body)).await
    }

    /// Uploads a text document; returns the id of its job.
    pub async fn upload_text(&self, title: &str, text: &str) -> String {
        let (status, body) = self.post("/documents", json!({ "title": title, "text": text })).await;
        assert_eq!(status, 202, "{body}");
        body["documents"][0]["job_id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// Uploads a file in one step; returns its entry in the answer.
    pub async fn upload_file(&self, name: &str, mime: &str, bytes: &[u8]) -> Value {
        let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str(mime).unwrap();
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = reqwest::Client::new().post(self.url("/documents")).bearer_auth(&self.token).multipart(form);
        let (_, body) = answer(request.send().await.unwrap()).await;
        body["documents"][0].clone()
    }

    /// Waits until the job has ended, and returns it.
    pub async fn wait_for_end(&self, job: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.get(&format!("/jobs/{job}")).await;
            assert_eq!(status, 200, "{body}");
            if body["terminal"] == true {
                return body;
            }
            assert!(Instant::now() < deadline, "the job did not end within {PATIENCE:?}: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
