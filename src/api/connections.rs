//! Connections that are kept and never used again, or that bring their next request a byte at a time, are closed.
//!
//! The server bounds the time that the first head on a connection may take, and how long an idle connection is kept; from
//! the first byte of a second head on, neither. So each connection is watched: once it has answered, the next request must
//! be there, whole head, within the time that an idle one is kept plus the time that a head may take. That bounds, too, how
//! long an answer may stay unread. What is streamed (a job's events) counts as answering for as long as it lasts and is
//! read: a piece that nobody takes for as long ends it.

use std::{
    any::Any,
    net::{Shutdown, TcpStream as StdStream},
    os::fd::AsFd,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    middleware::Next,
    rt::net::TcpStream,
};
use bytes::Bytes;

use super::Bounds;

/// A connection, as its requests and its watcher see it.
struct Connection {
    /// A second handle, to close it by.
    socket: StdStream,
    usage: Mutex<Usage>,
}

#[derive(Clone, Copy)]
struct Usage {
    /// Requests that are being answered.
    running: u32,
    /// Since when nothing runs.
    since: Instant,
    /// Since when a piece of a stream waits for room on its way to the client.
    unread_since: Option<Instant>,
}

impl Usage {
    fn new(running: u32) -> Self {
        Self { running, since: Instant::now(), unread_since: None }
    }

    /// How long the connection may go on like this, of `limit`.
    fn left(&self, limit: Duration) -> Duration {
        let since = if self.running == 0 { Some(self.since) } else { self.unread_since };
        since.map_or(limit, |since| limit.saturating_sub(since.elapsed()))
    }
}

/// Has a new connection watched for as long as it lives. For `HttpServer::on_connect`.
pub fn watch(bounds: &Bounds, socket: &dyn Any, data: &mut Extensions) {
    let Some(socket) = socket.downcast_ref::<TcpStream>() else { return };
    // Out of descriptors: the connection is served unwatched, and the bound on connections still holds.
    let Ok(twin) = socket.as_fd().try_clone_to_owned() else { return };
    let usage = Mutex::new(Usage::new(0));
    let connection = Arc::new(Connection { socket: StdStream::from(twin), usage });
    let limit = bounds.keep_alive + bounds.head_timeout;
    actix_web::rt::spawn(close_when_unused(Arc::downgrade(&connection), limit));
    data.insert(connection);
}

async fn close_when_unused(connection: Weak<Connection>, limit: Duration) {
    let mut wait = limit;
    loop {
        tokio::time::sleep(wait).await;
        let Some(connection) = connection.upgrade() else { return };
        wait = connection.change(|usage| usage.left(limit));
        if wait.is_zero() {
            // Closed by the other side already: fine.
            let _closed = connection.socket.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Connection {
    fn change<T>(&self, change: impl FnOnce(&mut Usage) -> T) -> T {
        change(&mut self.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(self: &Arc<Self>) -> Running {
        self.change(|usage| usage.running += 1);
        Running(Arc::clone(self))
    }
}

/// A request that is being answered.
struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|usage| *usage = Usage::new(usage.running.saturating_sub(1)));
    }
}

/// Notes on its connection that a request is being answered.
pub async fn occupy(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let running = request.conn_data::<Arc<Connection>>().map(Connection::begin);
    let response = next.call(request).await?;
    match (running, response.response().body().size()) {
        (Some(running), BodySize::Stream) => {
            Ok(response.map_body(|_, body| BoxBody::new(Streamed { body: body.boxed(), running })))
        }
        _ => Ok(response.map_into_boxed_body()),
    }
}

/// A body of unknown length, during which its connection is in use.
struct Streamed {
    body: BoxBody,
    running: Running,
}

impl MessageBody for Streamed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = Pin::new(&mut self.body).poll_next(cx);
        // The server asks for the next piece when there is room for it again.
        let unread_since = matches!(piece, Poll::Ready(Some(Ok(_)))).then(Instant::now);
        self.running.0.change(|usage| usage.unread_since = unread_since);
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_may_answer_for_long_but_not_be_idle_or_unread_for_long() {
        let (limit, before) = (Duration::from_secs(60), Instant::now().checked_sub(Duration::from_secs(90)).unwrap());
        let idle = Usage { since: before, ..Usage::new(0) };
        assert_eq!(idle.left(limit), Duration::ZERO);
        let busy = Usage { since: before, ..Usage::new(1) };
        assert_eq!(busy.left(limit), limit);
        let unread = Usage { unread_since: Some(before), ..busy };
        assert_eq!(unread.left(limit), Duration::ZERO);
        assert!(!Usage::new(0).left(limit).is_zero());
    }
}
