//! How far a connection is read ahead of the handler that takes its request's body.
//!
//! The server's parser takes whatever the socket has, up to 128 KiB, and lets as much again wait for the handler: twelve
//! megabytes for fifty uploads, before any of them does a thing. Here the socket is read only as far as there is room,
//! and taking a piece of the body makes room; what does not fit waits with the client.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_web::{dev::Payload, error::PayloadError};
use bytes::Bytes;
use futures_util::Stream;

/// Bytes read at most before the parser looks at them, while nobody takes a body.
///
/// Source: ours; a head, and of its body little.
const SLICE: usize = 8 * 1024;
/// Bytes of a body that are read at most before its handler takes them.
///
/// Source: ours; uploads became no faster with more.
const AHEAD: usize = 16 * 1024;

/// What may still be read.
#[derive(Clone, Copy)]
enum Room {
    /// Before the parser has its turn.
    Free(usize),
    /// Before the handler of a body takes more.
    Metered(usize),
}

/// The room of one connection.
pub struct Ahead {
    room: Cell<Room>,
    /// Whoever reads the socket, while there is no room.
    reader: RefCell<Option<Waker>>,
}

impl Ahead {
    pub fn new() -> Self {
        Self { room: Cell::new(Room::Free(SLICE)), reader: RefCell::default() }
    }

    /// How much may be read now: at least a byte.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        match self.room.get() {
            Room::Free(0) => {
                self.set(Room::Free(SLICE));
                // Not for want of bytes: the parser has its turn, and comes back.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Room::Metered(0) => {
                *self.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            Room::Free(room) | Room::Metered(room) => Poll::Ready(room),
        }
    }

    /// Notes what was read; `None`: the socket had nothing.
    pub fn read(&self, bytes: Option<usize>) {
        self.room.set(match (self.room.get(), bytes) {
            (Room::Free(_), None) => Room::Free(SLICE),
            (Room::Free(room), Some(bytes)) => Room::Free(room.saturating_sub(bytes)),
            (Room::Metered(room), bytes) => Room::Metered(room.saturating_sub(bytes.unwrap_or(0))),
        });
    }

    fn taken(&self, bytes: usize) {
        if let Room::Metered(room) = self.room.get() {
            self.set(Room::Metered((room + bytes).min(AHEAD)));
        }
    }

    fn set(&self, room: Room) {
        self.room.set(room);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A body whose pieces make room as they are taken.
pub struct Metered {
    inner: Payload,
    ahead: Rc<Ahead>,
}

impl Metered {
    /// Meters a request's body. What has none is left as it is.
    pub fn wrap(inner: Payload, ahead: &Rc<Ahead>) -> Payload {
        if matches!(inner, Payload::None) {
            return inner;
        }
        ahead.set(Room::Metered(AHEAD));
        Payload::Stream { payload: Box::pin(Self { inner, ahead: Rc::clone(ahead) }) }
    }
}

impl Stream for Metered {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = Pin::new(&mut self.inner).poll_next(cx);
        match &piece {
            Poll::Ready(Some(Ok(data))) => self.ahead.taken(data.len()),
            Poll::Ready(Some(Err(_)) | None) => {}
            // All that was read is taken, the sizes of chunks too, which no piece tells of.
            Poll::Pending => self.ahead.set(Room::Metered(AHEAD)),
        }
        piece
    }
}

/// The rest of a body that nobody takes is for the parser to throw away, or the next request has begun.
impl Drop for Metered {
    fn drop(&mut self) {
        self.ahead.set(Room::Free(SLICE));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use actix_http::BoxedPayloadStream;
    use futures_util::{StreamExt, stream};

    use super::*;

    fn room(ahead: &Ahead) -> Option<usize> {
        match ahead.poll_room(&Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_body_is_read_as_far_ahead_as_there_is_room() {
        let ahead = Rc::new(Ahead::new());
        let pieces = vec![Ok(Bytes::from_static(&[0; 100])), Ok(Bytes::from_static(&[0; 1]))];
        let payload: BoxedPayloadStream = Box::pin(stream::iter(pieces).chain(stream::pending()));
        let mut body = Metered::wrap(Payload::Stream { payload }, &ahead);
        assert_eq!(room(&ahead), Some(AHEAD));
        ahead.read(Some(AHEAD));
        assert_eq!(room(&ahead), None);
        body.next().await.unwrap().unwrap();
        assert_eq!(room(&ahead), Some(100));
        ahead.read(Some(100));
        body.next().await.unwrap().unwrap();
        assert_eq!(room(&ahead), Some(1));
        // Nothing more to take: what is missing went into the chunks' own bytes.
        assert!(futures_util::poll!(body.next()).is_pending());
        assert_eq!(room(&ahead), Some(AHEAD));
        drop(body);
        assert_eq!(room(&ahead), Some(SLICE));
    }

    #[test]
    fn the_parser_has_its_turn_between_slices() {
        let ahead = Ahead::new();
        ahead.read(Some(SLICE));
        assert_eq!((room(&ahead), room(&ahead)), (None, Some(SLICE)));
        ahead.read(Some(SLICE - 1));
        ahead.read(None);
        assert_eq!(room(&ahead), Some(SLICE), "the socket had nothing: the parser's turn has been");
    }

    #[test]
    fn a_request_without_a_body_is_not_metered() {
        let ahead = Rc::new(Ahead::new());
        assert!(matches!(Metered::wrap(Payload::None, &ahead), Payload::None));
        assert_eq!(room(&ahead), Some(SLICE));
    }
}
