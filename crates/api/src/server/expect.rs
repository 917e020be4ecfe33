//! `Expect: 100-continue` (RFC 9110, section 10.1.1): a client waits for leave to send its body.
//!
//! It has leave once a handler asks for the first byte, and so after login, length and quotas were looked at. actix's own
//! answer comes before any of that. Here the request is handled within the step that decides about the leave: an answer
//! that comes first is the refusal; where the body is asked for first, the client gets its 100, and the handler, which
//! goes on, answers in the step after.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{HttpMessage, Request, body::BoxBody};
use actix_service::Service;
use actix_web::{
    dev::{Payload, Response, ServiceResponse},
    error::PayloadError,
};
use bytes::Bytes;
use futures_util::{
    FutureExt, Stream,
    future::{Either, LocalBoxFuture},
};

/// The result of the application.
type Answered = Result<ServiceResponse, Response<BoxBody>>;

/// An answer that goes on after its client had leave to send the body; in the request of the next step.
struct Underway(LocalBoxFuture<'static, Answered>);

/// A body that notes that it was asked for.
struct Asked {
    body: Payload,
    asked: Rc<Cell<bool>>,
}

impl Stream for Asked {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.asked.set(true);
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// Lets the application handle a request whose client waits, until it asks for the body. An error is its answer, if that
/// comes first.
pub fn decide<A>(mut request: Request, app: &A) -> impl Future<Output = Result<Request, Response<BoxBody>>> + use<A>
where
    A: Service<Request, Response = ServiceResponse, Error = Response<BoxBody>, Future: 'static>,
{
    let asked = Rc::new(Cell::new(false));
    let body = Asked { body: request.take_payload(), asked: Rc::clone(&asked) };
    let body: Payload = Payload::Stream { payload: Box::pin(body) };
    let (request, _taken) = request.replace_payload(body);
    let mut answer = app.call(request).boxed_local();
    async move {
        let first = poll_fn(|cx| match answer.poll_unpin(cx) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending if asked.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match first.await {
            Some(answered) => Err(answered.map_or_else(|error| error, Response::from)),
            None => {
                let next = Request::new();
                next.extensions_mut().insert(Underway(answer));
                Ok(next)
            }
        }
    }
}

/// The application's answer to a request, or the one that [`decide`] began.
pub fn answer<A>(request: Request, app: &A) -> impl Future<Output = Answered> + use<A>
where
    A: Service<Request, Response = ServiceResponse, Error = Response<BoxBody>>,
{
    let begun = request.extensions_mut().remove::<Underway>();
    match begun {
        Some(Underway(answer)) => Either::Left(answer),
        None => Either::Right(app.call(request)),
    }
}
