//! A connection, from its first byte to its last: how far it is read ahead ([`ahead`]), what it is told when it brings no
//! request ([`refusal`]), and when it is closed.
//!
//! Connections that are kept and never used again, or that bring their next request a byte at a time, are closed.
//! The server bounds the time that the first head on a connection may take, and how long an idle connection is kept; from
//! the first byte of a second head on, neither. So each connection is watched: once it has answered, the next request must
//! be there, whole head, within the time that an idle one is kept plus the time that a head may take. That bounds, too, how
//! long an answer may stay unread. What is streamed (a job's events) counts as answering for as long as it lasts and is
//! read: a piece that nobody takes for as long ends it.

mod ahead;
mod refusal;
mod wire;

use std::{
    cell::Cell,
    io::{self, Write as _},
    net::{Shutdown, TcpStream as StdStream},
    os::fd::AsFd,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    rt::net::TcpStream,
};
use bytes::Bytes;

use self::ahead::{Ahead, Metered};
pub use self::wire::{LINGER, Wire};
use super::Bounds;

/// A connection, as its requests and its watcher see it.
pub struct Connection {
    /// A second handle, to close it by.
    socket: StdStream,
    usage: Cell<Usage>,
    ahead: Rc<Ahead>,
    /// A request was begun and has no answer yet.
    unanswered: Cell<bool>,
    /// Something came while nothing was answered: the head of a request.
    head_began: Cell<bool>,
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

async fn close_when_unused(connection: Weak<Connection>, limit: Duration) {
    let mut wait = limit;
    loop {
        tokio::time::sleep(wait).await;
        let Some(connection) = connection.upgrade() else { return };
        wait = connection.usage.get().left(limit);
        if wait.is_zero() {
            if connection.head_began.get() {
                connection.tell(&refusal::of_a_slow_head());
            }
            // Closed by the other side already: fine.
            let _closed = connection.socket.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Connection {
    fn watched(socket: &TcpStream, bounds: &Bounds) -> io::Result<Rc<Self>> {
        let twin = StdStream::from(socket.as_fd().try_clone_to_owned()?);
        let connection = Rc::new(Self {
            socket: twin,
            usage: Cell::new(Usage::new(0)),
            ahead: Rc::new(Ahead::new()),
            unanswered: Cell::new(false),
            head_began: Cell::new(false),
        });
        actix_web::rt::spawn(close_when_unused(Rc::downgrade(&connection), bounds.keep_alive + bounds.head_timeout));
        Ok(connection)
    }

    fn is_answering(&self) -> bool {
        self.usage.get().running > 0
    }

    /// Little, on a socket to which nothing waits to be written; where the client is gone, it fails.
    fn tell(&self, refusal: &[u8]) {
        let _written = (&self.socket).write(refusal);
    }

    fn begin(self: &Rc<Self>) -> Running {
        let usage = self.usage.get();
        self.usage.set(Usage { running: usage.running + 1, ..usage });
        self.unanswered.set(true);
        self.head_began.set(false);
        Running(Rc::clone(self))
    }
}

/// A request that is being answered.
struct Running(Rc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.usage.set(Usage::new(self.0.usage.get().running.saturating_sub(1)));
    }
}

/// Notes on its connection that a request is being answered, and meters its body.
pub async fn occupy(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    let running = connection.as_ref().map(Connection::begin);
    if let Some(connection) = &connection {
        let metered = Metered::wrap(request.take_payload(), &connection.ahead);
        request.set_payload(metered);
    }
    let response = next.call(request).await?;
    if let Some(connection) = connection {
        connection.unanswered.set(false);
    }
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
        let usage = &self.running.0.usage;
        usage.set(Usage { unread_since, ..usage.get() });
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
