//! A request's id, span and closing log line; the one place where answers that failed are logged.

use std::time::Instant;

use actix_web::{
    HttpMessage, HttpRequest, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use tracing::{Instrument, field};
use uuid::Uuid;

use super::ApiError;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request in hand; the correlation id of a job that it makes.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// The id that the middleware gave.
    pub fn of(request: &HttpRequest) -> Option<Uuid> {
        request.extensions().get::<Self>().map(|id| id.0)
    }
}

/// Gives the request its id, runs it in a span, turns whatever went wrong into a problem with that id, and logs.
/// The query string is never logged: it may hold a signature.
pub async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        request.method = %method,
        request.route = %route,
        status = field::Empty,
        duration_ms = field::Empty
    );
    let began = Instant::now();
    async move {
        let mut response = with_problem(next.call(request).await?.map_into_boxed_body(), id);
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(HEADER, value);
        }
        let (status, took) = (response.status().as_u16(), began.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one request are far below 2^53")]
        let took_ms = took.as_micros() as f64 / 1000.0;
        let span = tracing::Span::current();
        span.record("status", status);
        span.record("duration_ms", took_ms);
        if is_probe(&route) {
            tracing::debug!("{method} {route} answered {status} in {took_ms} ms");
        } else {
            tracing::info!("{method} {route} answered {status} in {took_ms} ms");
        }
        Ok(response)
    }
    .instrument(span)
    .await
}

/// Platforms probe every few seconds; that is not news.
fn is_probe(route: &str) -> bool {
    ["/health", "/livez", "/readyz"].iter().any(|probe| route.ends_with(probe))
}

/// An answer that an error stands behind, as a problem with the request's id.
fn with_problem(response: ServiceResponse<BoxBody>, id: Uuid) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let answer = match response.response().error() {
        None => return response,
        Some(error) => match error.as_error::<ApiError>() {
            Some(ours) => logged(ours).response(Some(id)),
            None => logged(&ApiError::from_framework(status, error)).response(Some(id)),
        },
    };
    response.into_response(answer)
}

fn logged(error: &ApiError) -> &ApiError {
    let cause = error.log_cause().unwrap_or("-");
    if error.status_code().is_server_error() {
        tracing::error!(code = error.code(), cause, "{error} ({cause})");
    } else {
        tracing::debug!(code = error.code(), cause, "{error}");
    }
    error
}
