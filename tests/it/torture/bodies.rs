//! Clients that send bodies which the API must not wait for: they come slowly, or are huge and never end. And how much
//! memory the API takes meanwhile.

use std::{fs, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::support::fleet::token;

/// Its own user, whose share of the budget for bodies it uses up.
const USER: &str = "66666666-6666-4666-8666-666666666666";
const MIB: usize = 1 << 20;
/// What a body says that it has; the last byte never comes.
const LENGTH: usize = 25 * MIB;
/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub enum Bodies {
    /// 24 at a time, a kilobyte in a tenth of a second.
    Slow,
    /// 12 at a time, all but the last byte as fast as the API takes them.
    Huge,
}

/// Sends bodies to the API at `root` for `how_long`, then cuts the connections.
pub fn send(root: &str, bodies: Bodies, how_long: Duration) {
    let (number, piece, pause) = match bodies {
        Bodies::Slow => (24, 1024, Duration::from_millis(100)),
        Bodies::Huge => (12, MIB, Duration::ZERO),
    };
    let address = root.trim_start_matches("http://").to_owned();
    let until = Instant::now() + how_long;
    for n in 0..number {
        // Both kinds of body that are held until they are whole.
        let path = if n % 2 == 0 { "documents" } else { "search" };
        let head = head(&address, path, &token(USER), LENGTH);
        let address = address.clone();
        tokio::spawn(async move {
            // The API may refuse, close the connection, or be killed.
            let _ended = timeout_at(until, push(&address, &head, piece, pause)).await;
        });
    }
}

/// The head of a request with a JSON body.
pub fn head(address: &str, path: &str, token: &str, length: usize) -> String {
    format!(
        "POST /api/upload-pipeline/{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn push(address: &str, head: &str, piece: usize, pause: Duration) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(br#"{"title":"a","text":""#).await?;
    let (mut sent, piece) = (64, vec![b'x'; piece]);
    while sent + piece.len() < LENGTH {
        socket.write_all(&piece).await?;
        sent += piece.len();
        tokio::time::sleep(pause).await;
    }
    // Until the API gives up, or the time is over.
    socket.read_to_end(&mut Vec::new()).await.map(drop)
}

/// The most memory that an API has taken, in bytes, until `stop`.
pub async fn watch_memory(pid: watch::Receiver<u32>, stop: watch::Receiver<bool>) -> u64 {
    let mut most = 0;
    while !*stop.borrow() {
        let status = fs::read_to_string(format!("/proc/{}/status", *pid.borrow())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(kib.unwrap_or(0_u64) * 1024);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    most
}
