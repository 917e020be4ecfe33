//! A small HTTP/1.1 server with one request for each connection and one thread for each request.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::lock;

/// Requests that are remembered.
const REMEMBERED: usize = 10_000;

/// A complete request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query; empty: it has none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, by its name in lower case; empty: it has none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What the server answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, media type and body.
    Answer(u16, &'static str, Vec<u8>),
    /// Status 200, further header lines, each with its line end, and body.
    With(String, Vec<u8>),
    /// Status, further header lines, each with its line end, and body.
    Full(u16, String, Vec<u8>),
    /// The head and the first half of this body; then the connection closes.
    Cut(Vec<u8>),
    /// A redirect to another path of this server.
    Redirect(&'static str),
    /// No answer until the server stops.
    Silence,
    /// An answer after a while.
    Late(Duration, Box<Reply>),
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Answer(status, "application/json", body.to_string().into_bytes())
    }

    /// A text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer(status, "text/plain", body.as_bytes().to_vec())
    }

    /// A status without a body.
    pub fn empty(status: u16) -> Self {
        Self::Answer(status, "text/plain", Vec::new())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server; stops when dropped.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    /// The thread that accepts connections.
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<rustls::ServerConfig>>,
    seen: Mutex<VecDeque<Request>>,
    ended: AtomicBool,
    end: (Mutex<()>, Condvar),
}

impl Server {
    /// A server on a free port.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler)
    }

    /// The same; it uses TLS if a configuration is given, whose certificate must be for `localhost`.
    ///
    /// # Panics
    ///
    /// There is no free port.
    #[expect(clippy::expect_used, reason = "tests have nothing to do without a port")]
    pub fn start_with(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::bind(0, tls, handler).expect("a free port")
    }

    /// A server on this port of 127.0.0.1; 0: a free one.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub fn bind(
        port: u16,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            tls,
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
            end: (Mutex::default(), Condvar::new()),
        });
        let listening = shared.clone();
        let accepting = thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if listening.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = listening.clone();
                // Some clients break the connection midway, so errors are ignored.
                thread::spawn(move || drop(shared.serve(socket)));
            }
        });
        Ok(Self { address, scheme, shared, accepting: Some(accepting) })
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// The requests so far, except those before the last ten thousand.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.shared.seen).iter().cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _guard = lock(&self.shared.end.0);
        self.shared.end.1.notify_all();
        // Wakes the thread that waits for the next connection.
        drop(TcpStream::connect(self.address));
        // After this the port is closed, so that a new connection is refused rather than reset.
        drop(self.accepting.take().map(thread::JoinHandle::join));
    }
}

impl Shared {
    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        match &self.tls {
            None => self.answer(&mut socket),
            Some(tls) => {
                let session = rustls::ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
                self.answer(&mut rustls::StreamOwned::new(session, socket))
            }
        }
    }

    fn answer(&self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        let request = read(socket)?;
        {
            let mut seen = lock(&self.seen);
            seen.push_back(request.clone());
            if seen.len() > REMEMBERED {
                seen.pop_front();
            }
        }
        self.send(socket, &request, (self.handler)(&request))
    }

    fn send(&self, socket: &mut (impl Read + Write), request: &Request, reply: Reply) -> io::Result<()> {
        match reply {
            Reply::Silence => {
                let guard = lock(&self.end.0);
                drop(self.end.1.wait_while(guard, |()| !self.ended.load(Ordering::Relaxed)));
                Ok(())
            }
            Reply::Late(delay, reply) => {
                thread::sleep(delay);
                self.send(socket, request, *reply)
            }
            Reply::Redirect(path) => {
                let head =
                    format!("HTTP/1.1 302 x\r\nlocation: {path}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(head.as_bytes())?;
                socket.flush()
            }
            Reply::Answer(status, kind, body) => {
                answer(socket, request, status, &format!("content-type: {kind}\r\n"), &body)
            }
            Reply::With(headers, body) => answer(socket, request, 200, &headers, &body),
            Reply::Full(status, headers, body) => answer(socket, request, status, &headers, &body),
            Reply::Cut(body) => {
                let head = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                socket.write_all(head.as_bytes())?;
                socket.write_all(&body[..body.len() / 2])?;
                socket.flush()
            }
        }
    }
}

fn answer(socket: &mut impl Write, request: &Request, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} x\r\netag: \"e\"\r\nlast-modified: Sun, 22 Nov 2026 01:02:03 GMT\r\n\
         {headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        socket.write_all(body)?;
    }
    socket.flush()
}

fn read(socket: &mut impl Read) -> io::Result<Request> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    socket.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').map_or((target.clone(), String::new()), |(p, q)| (p.into(), q.into()));
    let mut request = Request { method, path, query, headers, body: Vec::new() };
    request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    socket.read_exact(&mut request.body)?;
    Ok(request)
}
