//! A request's ids, span, figures and closing log line; the one place where answers that failed are logged.
//!
//! Two ids. The *request id* is this request's alone. The *correlation id* is what belongs together across requests and
//! processes: a job keeps that of the request that made it, and every later request about the job has the job's. A
//! client may send either; both are in the answer.

use std::time::Instant;

use actix_web::{
    HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
};
use tracing::{Instrument, Level, Span, field};
use uuid::Uuid;

use crate::http::{ApiError, MiddlewareResult, RequestIds};
use telemetry::metrics::METRICS;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Gives the request its ids, runs it in a span, turns whatever went wrong into a problem with its id, counts it, and
/// logs. The query string is never logged: it may hold a signature.
pub async fn identify(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> MiddlewareResult {
    let (id, correlation) = ids_of_client(request.headers());
    let method = request.method().clone();
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    macro_rules! request_span {
        ($level:expr) => {
            tracing::span!(
                $level,
                "request",
                request.id = %id,
                correlation_id = %correlation,
                request.method = %method,
                request.route = %route,
                status = field::Empty,
                duration_ms = field::Empty
            )
        };
    }
    // Platforms probe and scrape every few seconds. At info level these lines would hide the others, and line and span cost as much as the answer.
    let probed = is_probe(&route);
    let span = if probed { request_span!(Level::DEBUG) } else { request_span!(Level::INFO) };
    request.extensions_mut().insert(RequestIds { request: id, correlation, span: span.clone() });
    let began = Instant::now();
    async move {
        let mut response = with_problem(next.call(request).await?.map_into_boxed_body(), id);
        name_ids(&mut response, id);
        let (status, took) = (response.status().as_u16(), began.elapsed());
        METRICS.record_request(method.as_str(), &route, status, took);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one request are far below 2^53")]
        let took_ms = took.as_micros() as f64 / 1000.0;
        let span = Span::current();
        span.record("status", status);
        span.record("duration_ms", took_ms);
        if probed {
            tracing::debug!("{method} {route} answered {status} in {took_ms} ms");
        } else {
            tracing::info!("{method} {route} answered {status} in {took_ms} ms");
        }
        Ok(response)
    }
    .instrument(span)
    .await
}

/// The client's where it sent UUIDs, in any of their forms; anything else is as if it were not there, so that nothing
/// but ids gets into logs and rows.
fn ids_of_client(headers: &HeaderMap) -> (Uuid, Uuid) {
    let sent = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let request = sent(&REQUEST_ID).unwrap_or_else(Uuid::now_v7);
    (request, sent(&CORRELATION_ID).unwrap_or(request))
}

/// Both ids into the answer's head.
fn name_ids(response: &mut ServiceResponse<BoxBody>, request: Uuid) {
    let correlation = RequestIds::of(response.request()).map_or(request, |ids| ids.correlation);
    for (name, id) in [(REQUEST_ID, request), (CORRELATION_ID, correlation)] {
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(name, value);
        }
    }
}

fn is_probe(route: &str) -> bool {
    ["/health", "/livez", "/readyz", "/metrics"].iter().any(|probe| route.ends_with(probe))
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
    METRICS.record_request_error(error.code());
    let cause = error.log_cause().unwrap_or("-");
    if error.status_code().is_server_error() {
        tracing::error!(error.code = error.code().as_str(), cause, "{error} ({cause})");
    } else {
        tracing::debug!(error.code = error.code().as_str(), cause, "{error}");
    }
    error
}
