//! `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header): a POST or PUT that is sent again is answered as it was
//! the first time, and its work is done once.
//!
//! A key belongs to a user and a route. It is reserved in the database before the work, so that of two equal concurrent
//! requests one does the work and the other gets 409. An answer with an effect (2xx) is kept for 24 hours; any other
//! answer had no effect, and its key is free again. A different request with a kept key gets 422.

mod fingerprint;

use std::{cell::Cell, rc::Rc, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody, to_bytes},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tracing::Instrument;
use uuid::Uuid;

use self::fingerprint::Request;

use crate::http::{ApiError, ApiState, Call, MiddlewareResult};
use domain::Code;
use pg::DbError;
use store::idempotency::{Holder, KeptAnswer, Reservation, keep_answer, release_key, renew_key, reserve_key};

pub use fingerprint::BodyPrint;

const KEY: &str = "Idempotency-Key";
/// Marks an answer that was given before.
const REPLAYED: &str = "Idempotency-Replayed";
/// How long an answer is kept, as the contract says.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// How long a key stays reserved when its process dies: three renewals.
const LEASE: Duration = Duration::from_secs(60);
const RENEW_EVERY: Duration = Duration::from_secs(20);
const MAX_KEY_BYTES: usize = 255;

/// The key of the current request, for a handler that keeps its answer in the transaction of its work.
#[derive(Clone)]
pub struct KeyInHand {
    /// The reservation of the key.
    pub reservation: Reservation,
    /// The request, as [`KeptAnswer`] wants it.
    pub fingerprint: String,
    kept: Rc<Cell<bool>>,
}

impl KeyInHand {
    /// The key that `request` came with.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// The answer was kept with the work.
    pub fn note_kept(&self) {
        self.kept.set(true);
    }
}

/// Completes a kept answer before it is given again: for a route whose answer holds what must not be kept.
pub type Replay = fn(HttpRequest, Value) -> LocalBoxFuture<'static, Result<Value, ApiError>>;

/// The middleware of routes whose POST or PUT has an effect. It runs after the authentication; requests without the header pass
/// through.
pub async fn remember(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    replay: Option<Replay>,
) -> MiddlewareResult {
    if !matches!(*request.method(), Method::POST | Method::PUT) || !request.headers().contains_key(KEY) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    // A task of its own: when a client hangs up, the work still ends and its key is released or keeps the answer.
    let answer = actix_web::rt::spawn(answer_once(request, next, replay).in_current_span());
    answer.await.unwrap_or_else(|died| Err(ApiError::internal(died).into()))
}

async fn answer_once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    replay: Option<Replay>,
) -> MiddlewareResult {
    match begin(&mut request, replay).await {
        Ok(Begun::Answered(answer)) => Ok(request.into_response(answer)),
        Ok(Begun::Reserved(work)) => {
            request.extensions_mut().insert(work.key.clone());
            work.run(request, next).await
        }
        Err(error) => Ok(request.error_response(error).map_into_boxed_body()),
    }
}

enum Begun {
    /// To be answered without any work.
    Answered(HttpResponse),
    /// The key is reserved for this request.
    Reserved(Work),
}

async fn begin(request: &mut ServiceRequest, replay: Option<Replay>) -> Result<Begun, ApiError> {
    let key = key_of(request.request())?;
    let Call { state, caller, .. } = Call::of(request.request())?;
    let route = format!("{} {}", request.method(), request.match_pattern().unwrap_or_default());
    let reservation = Reservation { user: caller.user, route, key, attempt: Uuid::now_v7() };
    let asked = Request::read(request, &state.settings).await?;
    let conn = state.conn().await?;
    let holder = reserve_key(&conn, &reservation, asked.fingerprint(), LEASE, KEEP).await?;
    drop(conn);
    match holder {
        Holder::Us => {
            let fingerprint = asked.fingerprint().unwrap_or_default().to_owned();
            let key = KeyInHand { reservation, fingerprint, kept: Rc::default() };
            Ok(Begun::Reserved(Work { state, key, asked }))
        }
        Holder::Other { fingerprint, wait } => Err(match (fingerprint.as_deref(), asked.fingerprint()) {
            (Some(theirs), Some(ours)) if theirs != ours => ApiError::of(Code::IdempotencyKeyReused),
            _ => in_use(wait),
        }),
        Holder::Answered(answer) => {
            if asked.into_fingerprint(request, &state, caller.user).await?.as_deref() != Some(&answer.fingerprint) {
                return Err(ApiError::of(Code::IdempotencyKeyReused));
            }
            Ok(Begun::Answered(answer_again(request.request(), answer, replay).await?))
        }
    }
}

/// 1 to 255 visible ASCII characters; the quotes that the draft's string form has are no part of it.
fn key_of(request: &HttpRequest) -> Result<String, ApiError> {
    let mut sent = request.headers().get_all(KEY);
    let text = sent.next().and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let fits = (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sent.next().is_some() || !fits {
        return Err(ApiError::of(Code::IdempotencyKeyInvalid));
    }
    Ok(text.to_owned())
}

fn in_use(wait: Duration) -> ApiError {
    ApiError::of(Code::IdempotencyKeyInUse).retry_after(wait.min(RENEW_EVERY))
}

/// Another request has the key: this one has changed nothing.
pub fn overtaken() -> ApiError {
    in_use(Duration::from_secs(1))
}

/// The answer as it was given the first time.
async fn answer_again(
    request: &HttpRequest,
    answer: KeptAnswer,
    replay: Option<Replay>,
) -> Result<HttpResponse, ApiError> {
    let body = match replay {
        Some(replay) => replay(request.clone(), answer.body).await?,
        None => answer.body,
    };
    let status = StatusCode::from_u16(answer.status).map_err(ApiError::internal)?;
    let mut response = HttpResponse::build(status);
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    Ok(response.insert_header((REPLAYED, "true")).json(body))
}

/// A request that has reserved its key.
struct Work {
    state: web::Data<ApiState>,
    key: KeyInHand,
    asked: Request,
}

impl Work {
    async fn run(self, request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
        let answered = tokio::select! {
            answered = next.call(request) => answered.map(ServiceResponse::map_into_boxed_body),
            never = self.renew() => match never {},
        };
        match answered {
            Ok(response) if response.status().is_success() => self.keep(response).await,
            refused => {
                self.release().await;
                refused
            }
        }
    }

    /// Renews the reservation for as long as a slow upload takes.
    async fn renew(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renewed = async { renew_key(&self.state.db.get().await?, &self.key.reservation, LEASE).await };
            if let Err(error) = renewed.await {
                tracing::warn!(error.code = error.code().as_str(), "an idempotency key was not renewed: {error}");
            }
        }
    }

    /// Keeps the answer. If that fails, the client still gets it: the work is done, and doing it again is harmless.
    async fn keep(&self, response: ServiceResponse<BoxBody>) -> MiddlewareResult {
        if self.key.kept.get() {
            return Ok(response);
        }
        let fingerprint = self.asked.fingerprint_after();
        let (request, response) = response.into_parts();
        let (response, body) = response.into_parts();
        let body = to_bytes(body).await.map_err(ApiError::internal)?;
        let kept = match fingerprint {
            Some(fingerprint) => {
                let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                let answer = KeptAnswer {
                    fingerprint,
                    status: response.status().as_u16(),
                    location: location.map(str::to_owned),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                self.write(&answer).await
            }
            // A form that broke off has no fingerprint; what came of it is found by its content.
            None => {
                self.release().await;
                Ok(true)
            }
        };
        match kept {
            Ok(true) => {}
            Ok(false) => tracing::warn!("another try of this request has its idempotency key and will be the one kept"),
            Err(error) => {
                tracing::warn!(
                    error.code = error.code().as_str(),
                    "an answer was not kept for its idempotency key: {error}"
                )
            }
        }
        Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
    }

    async fn write(&self, answer: &KeptAnswer) -> Result<bool, DbError> {
        keep_answer(&self.state.db.get().await?, &self.key.reservation, answer).await
    }

    async fn release(&self) {
        let released = async { release_key(&self.state.db.get().await?, &self.key.reservation).await };
        if let Err(error) = released.await {
            tracing::warn!(
                error.code = error.code().as_str(),
                "an idempotency key stays reserved for a minute: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn key(values: &[&str]) -> Result<String, Code> {
        let request = values.iter().fold(TestRequest::post(), |request, value| request.append_header((KEY, *value)));
        key_of(&request.to_http_request()).map_err(|error| error.code())
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length_and_alone() {
        assert_eq!(key(&["a"]), Ok("a".to_owned()));
        assert_eq!(key(&["\"a-1\""]), Ok("a-1".to_owned()));
        let longest = "k".repeat(255);
        assert_eq!(key(&[&longest]), Ok(longest.clone()));
        for wrong in ["", " ", "\"\"", "two words", "\u{e9}", &format!("{longest}k")] {
            assert_eq!(key(&[wrong]), Err(Code::IdempotencyKeyInvalid), "{wrong}");
        }
        assert_eq!(key(&["a", "a"]), Err(Code::IdempotencyKeyInvalid));
    }
}
