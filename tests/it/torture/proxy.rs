//! A TCP proxy in front of PostgreSQL or the pooler. It can cut, half close and stall its connections.

use std::path::{Path, PathBuf};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream, UnixStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
        unix,
    },
    sync::watch,
    task::JoinHandle,
};

/// The faults of the proxy so far.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    cuts: u64,
    half_closes: u64,
    stalled: bool,
}

/// A running proxy; stops and closes its connections when dropped.
pub struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    socket: watch::Sender<PathBuf>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Accepts connections on a free port and forwards each to `socket`.
    pub async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, watched) = watch::channel(Line::default());
        let (socket, at) = watch::channel(socket.to_owned());
        let accepting = tokio::spawn(accept(listener, at, watched));
        Self { port, line, socket, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forwards later connections to another socket, and cuts those to the old one.
    pub fn re_point(&self, socket: PathBuf) {
        self.socket.send_replace(socket);
        self.cut();
    }

    /// Closes every connection and drops all data in transit.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }

    /// Closes the direction from the server on every connection. Data of the client still arrives and may be committed, but
    /// the client gets no answer.
    pub fn half_close(&self) {
        self.line.send_modify(|line| line.half_closes += 1);
    }

    /// Stalls every connection. The returned function ends the stall; with `true` it also cuts every connection.
    pub fn stall(&self) -> impl Fn(bool) + Send + use<> {
        self.line.send_modify(|line| line.stalled = true);
        let line = self.line.clone();
        move |cut| {
            line.send_modify(|line| {
                line.stalled = false;
                line.cuts += u64::from(cut);
            });
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, at: watch::Receiver<PathBuf>, line: watch::Receiver<Line>) {
    while let Ok((client, _)) = listener.accept().await {
        let (socket, line) = (at.borrow().clone(), line.clone());
        tokio::spawn(async move {
            // While the server is down, the client's connection is closed at once.
            if let Ok(server) = UnixStream::connect(&socket).await {
                forward_connection(client, server, line).await;
            }
        });
    }
}

async fn forward_connection(client: TcpStream, server: UnixStream, line: watch::Receiver<Line>) {
    let at_start = *line.borrow();
    let mut cuts = line.clone();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = forward_to_server(from_client, to_server, line.clone());
    let down = forward_to_client(from_server, to_client, line, at_start.half_closes);
    tokio::select! {
        _ = cuts.wait_for(|line| line.cuts != at_start.cuts) => {}
        _ = async { tokio::join!(up, down) } => {}
    }
}

async fn forward_to_server(mut from: OwnedReadHalf, mut to: unix::OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        wait_while_stalled(&mut line).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _peer_is_gone = to.shutdown().await;
}

async fn forward_to_client(
    mut from: unix::OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    half_closes_at_start: u64,
) {
    let mut closes = line.clone();
    let forward = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            wait_while_stalled(&mut line).await;
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = closes.wait_for(|line| line.half_closes != half_closes_at_start) => {}
    }
    let _peer_is_gone = to.shutdown().await;
    // Keeps reading, so that a full socket does not block the server.
    let mut rest = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut rest).await {}
}

/// Waits while the line is stalled.
async fn wait_while_stalled(line: &mut watch::Receiver<Line>) {
    let _ended_with_the_proxy = line.wait_for(|line| !line.stalled).await.is_ok();
}
