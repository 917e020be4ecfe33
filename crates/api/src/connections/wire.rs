//! A connection's socket, as the HTTP server reads and writes it.

use std::{
    io,
    net::{Shutdown, TcpStream as StdStream},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    runtime::Handle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Bounds, Connection, refusal};

/// How long a client may take to read why it was refused, while what it still sends is thrown away.
pub const LINGER: Duration = Duration::from_secs(2);

/// A socket that is read no further ahead than there is room ([`super::ahead`]), and on which a refusal of the server's
/// own has a body ([`super::refusal`]).
pub struct Wire {
    socket: TcpStream,
    connection: Rc<Connection>,
    refusing: Option<Refusing>,
    /// The other side has reset the connection.
    gone: bool,
    stop: CancellationToken,
}

/// What is written instead of the end of the server's last answer.
struct Refusing {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of the server's that it stands for.
    instead_of: usize,
}

impl Wire {
    /// Takes a new connection, and has it watched for as long as it lives. `stop` is cancelled before the server drops
    /// connections of its own accord.
    ///
    /// # Errors
    ///
    /// The system's, for a second handle to close it by.
    pub fn new(socket: TcpStream, bounds: &Bounds, stop: CancellationToken) -> io::Result<Self> {
        // Events of a live timeline go out as they come.
        socket.set_nodelay(true)?;
        let connection = Connection::watched(&socket, bounds)?;
        Ok(Self { socket, connection, refusing: None, gone: false, stop })
    }

    /// What its requests may know of it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = ready!(self.connection.ahead.poll_room(cx)).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        let outcome = Pin::new(&mut self.socket).poll_read(cx, &mut part);
        let bytes = part.filled().len();
        buf.advance(bytes);
        if bytes > 0 && !self.connection.is_answering() {
            self.connection.head_began.set(true);
        }
        self.connection.ahead.read(outcome.is_ready().then_some(bytes));
        self.gone |= matches!(outcome, Poll::Ready(Err(_)));
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusing.is_none()
            && !this.connection.is_answering()
            && let Some(bytes) = refusal::explained(buf)
        {
            this.refusing = Some(Refusing { bytes, written: 0, instead_of: buf.len() });
        }
        let Some(refusing) = &mut this.refusing else { return Pin::new(&mut this.socket).poll_write(cx, buf) };
        while refusing.written < refusing.bytes.len() {
            match ready!(Pin::new(&mut this.socket).poll_write(cx, &refusing.bytes[refusing.written..]))? {
                0 => return Poll::Ready(Ok(0)),
                written => refusing.written += written,
            }
        }
        Poll::Ready(Ok(refusing.instead_of.min(buf.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The server takes a chunk that it cannot read for a client that is gone, and drops the request that it is of.
        let broken_off = self.connection.unanswered.get() && !self.gone && !self.stop.is_cancelled();
        if broken_off {
            self.connection.tell(&refusal::of_a_broken_body());
        }
        // Who closes a socket that holds unread bytes resets the connection, and may so destroy the answer on its way.
        if (broken_off || self.refusing.is_some())
            && let Ok(twin) = self.connection.socket.try_clone()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(LINGER, let_read(twin)));
        }
    }
}

/// Waits until the other side has closed, too, throwing away what it still sends.
async fn let_read(socket: StdStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    let mut socket = TcpStream::from_std(socket)?;
    let mut rest = [0; 8 * 1024];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}
