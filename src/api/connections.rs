//! Connections that are kept and never used again, or that bring their next request a byte at a time, are closed.
//!
//! The server bounds the time that the first head on a connection may take, and how long an idle connection is kept; from
//! the first byte of a second head on, neither. So each connection is watched: once it has answered, the next request must
//! be there, whole head, within the time that an idle one is kept plus the time that a head may take. What is streamed
//! (a job's events) counts as answering for as long as it lasts.

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
    running: u32,
    since: Instant,
}

/// Has a new connection watched for as long as it lives. For `HttpServer::on_connect`.
pub fn watch(bounds: &Bounds, socket: &dyn Any, data: &mut Extensions) {
    let Some(socket) = socket.downcast_ref::<TcpStream>() else { return };
    // Out of descriptors: the connection is served unwatched, and the bound on connections still holds.
    let Ok(twin) = socket.as_fd().try_clone_to_owned() else { return };
    let usage = Mutex::new(Usage { running: 0, since: Instant::now() });
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
        let Usage { running, since } = connection.now();
        wait = if running > 0 { limit } else { limit.saturating_sub(since.elapsed()) };
        if wait.is_zero() {
            // Closed by the other side already: fine.
            let _closed = connection.socket.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Connection {
    fn now(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Running {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).running += 1;
        Running(Arc::clone(self))
    }
}

/// A request that is being answered.
struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut now = self.0.usage.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Usage { running: now.running.saturating_sub(1), since: Instant::now() };
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
            Ok(response.map_body(|_, body| BoxBody::new(Streamed { body: body.boxed(), _running: running })))
        }
        _ => Ok(response.map_into_boxed_body()),
    }
}

/// A body of unknown length, during which its connection is in use.
struct Streamed {
    body: BoxBody,
    _running: Running,
}

impl MessageBody for Streamed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
