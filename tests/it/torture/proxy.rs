//! A TCP proxy before a PostgreSQL or a pooler, whose connections can be cut, half closed and stalled.

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

/// What has been done to the line so far.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    cuts: u64,
    half_closes: u64,
    stalled: bool,
}

/// Forwards a port of this host to a socket; ends, with all its connections, when dropped.
pub struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Takes connections on a free port and carries each to `socket`.
    pub async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, watched) = watch::channel(Line::default());
        let socket = socket.to_owned();
        let accepting = tokio::spawn(accept(listener, socket, watched));
        Self { port, line, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Drops every connection, with whatever is on its way in either direction.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }

    /// Ends the direction from the server on every connection: what the client has sent still arrives, and may be
    /// committed, but it hears no answer.
    pub fn half_close(&self) {
        self.line.send_modify(|line| line.half_closes += 1);
    }

    /// Holds everything back. What is given lets it go on; with `true`, by cutting every connection.
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

async fn accept(listener: TcpListener, socket: PathBuf, line: watch::Receiver<Line>) {
    while let Ok((client, _)) = listener.accept().await {
        let (socket, line) = (socket.clone(), line.clone());
        tokio::spawn(async move {
            // Where the server is away the client's connection ends at once, as a refused one would.
            if let Ok(server) = UnixStream::connect(&socket).await {
                carry(client, server, line).await;
            }
        });
    }
}

async fn carry(client: TcpStream, server: UnixStream, line: watch::Receiver<Line>) {
    let born = *line.borrow();
    let mut cuts = line.clone();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = upward(from_client, to_server, line.clone());
    let down = downward(from_server, to_client, line, born.half_closes);
    tokio::select! {
        _ = cuts.wait_for(|line| line.cuts != born.cuts) => {}
        _ = async { tokio::join!(up, down) } => {}
    }
}

async fn upward(mut from: OwnedReadHalf, mut to: unix::OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        may_go_on(&mut line).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _peer_is_gone = to.shutdown().await;
}

async fn downward(
    mut from: unix::OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    born_half_closes: u64,
) {
    let mut closes = line.clone();
    let forward = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            may_go_on(&mut line).await;
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = closes.wait_for(|line| line.half_closes != born_half_closes) => {}
    }
    let _peer_is_gone = to.shutdown().await;
    // Goes on reading, so that the server is not held up by a full socket.
    let mut rest = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut rest).await {}
}

/// Waits while the line is stalled.
async fn may_go_on(line: &mut watch::Receiver<Line>) {
    let _ended_with_the_proxy = line.wait_for(|line| !line.stalled).await.is_ok();
}
