//! A body that comes too slowly is given up, so that no client can hold a request for ever.
//!
//! Only the time counts in which the handler waits for bytes, so that a slow object store is not the client's fault.
//! The handler sees a body that breaks off; its answer is replaced here by one that says why.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::Method,
    middleware::Next,
};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use crate::http::{ApiError, ApiState, MiddlewareResult};
use config::Http;
use domain::Code;

/// Ends a request whose body comes too slowly.
pub async fn end_slow_body(mut request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let state = ApiState::of(request.request())?;
    let given_up = Rc::new(Cell::new(false));
    let timed = TimedBody::new(request.take_payload(), &state.settings.http, Rc::clone(&given_up));
    request.set_payload(Payload::Stream { payload: Box::pin(timed) });
    let response = next.call(request).await?.map_into_boxed_body();
    // Of several files some may be taken: the client must hear of those.
    if given_up.get() && !response.status().is_success() {
        let (request, _half_an_answer) = response.into_parts();
        return Ok(ServiceResponse::from_err(too_slow(&state.settings.http), request));
    }
    Ok(response)
}

fn too_slow(bounds: &Http) -> ApiError {
    let (grace, what) = (bounds.body_grace.as_secs_f64(), "Send it again over a better connection.");
    let detail = match bounds.body_min_rate {
        0 => format!("No byte of the body came for {grace} s (API_BODY_GRACE). {what}"),
        rate => format!(
            "The body came more slowly than {rate} bytes a second (API_BODY_MIN_RATE) for longer than {grace} s (API_BODY_GRACE). {what}"
        ),
    };
    ApiError::new(Code::BodyTooSlow, detail)
}

/// A body with a budget of time to wait for it, which grows with what has come; without a rate, each piece has all of it.
struct TimedBody {
    inner: Payload,
    grace: Duration,
    bytes_per_second: u64,
    received: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    given_up: Rc<Cell<bool>>,
}

impl TimedBody {
    fn new(inner: Payload, bounds: &Http, given_up: Rc<Cell<bool>>) -> Self {
        let (grace, bytes_per_second) = (bounds.body_grace, bounds.body_min_rate);
        Self { inner, grace, bytes_per_second, received: 0, waited: Duration::ZERO, waiting: None, given_up }
    }

    /// How long it may still keep us waiting.
    fn left(&self) -> Duration {
        let earned = self.received.saturating_mul(1000).checked_div(self.bytes_per_second);
        (self.grace + Duration::from_millis(earned.unwrap_or_default())).saturating_sub(self.waited)
    }

    fn give_up(&self) -> PayloadError {
        self.given_up.set(true);
        PayloadError::Io(io::Error::new(io::ErrorKind::TimedOut, "it came too slowly"))
    }
}

impl Stream for TimedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.given_up.get() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(item) => {
                if let Some((since, _timer)) = self.waiting.take()
                    && self.bytes_per_second > 0
                {
                    self.waited += since.elapsed();
                }
                if let Some(Ok(data)) = &item {
                    self.received = self.received.saturating_add(data.len() as u64);
                }
                Poll::Ready(item)
            }
            Poll::Pending => {
                let left = self.left();
                let (_, timer) =
                    self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
                if timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Err(self.give_up())));
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::settings::default_config;

    fn timed(pieces: Vec<&'static str>, grace: Duration) -> TimedBody {
        let first = stream::iter(pieces).map(|piece| Ok(Bytes::from(piece)));
        let bounds = Http { body_grace: grace, body_min_rate: 10, ..default_config().http };
        let payload: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
            Box::pin(first.chain(stream::pending()));
        TimedBody::new(Payload::Stream { payload }, &bounds, Rc::default())
    }

    fn left(body: &TimedBody) -> u64 {
        body.left().as_secs()
    }

    #[tokio::test]
    async fn a_body_that_stays_away_is_given_up_when_its_grace_is_over() {
        let mut body = timed(vec!["a"], Duration::from_millis(10));
        assert!(body.next().await.unwrap().is_ok());
        assert!(body.next().await.unwrap().is_err());
        assert!(body.given_up.get());
        assert!(body.next().await.is_none(), "a body that was given up has ended");
    }

    #[test]
    fn every_byte_earns_time_and_waiting_uses_it_up() {
        let mut body = timed(Vec::new(), Duration::from_secs(30));
        assert_eq!(left(&body), 30);
        body.received = 1000;
        assert_eq!(left(&body), 130);
        body.waited = Duration::from_secs(120);
        assert_eq!(left(&body), 10);
        body.waited = Duration::from_secs(200);
        assert_eq!(left(&body), 0);
    }
}
