//! A request's two ids. The *request id* is this request's alone. The *correlation id* is what belongs together across
//! requests and processes: a job keeps that of the request that made it, and every later request about the job has the
//! job's.

use actix_web::{HttpMessage, HttpRequest};
use tracing::{Span, field};
use uuid::Uuid;

/// The ids of the current request.
#[derive(Debug, Clone)]
pub struct RequestIds {
    /// This request's.
    pub request: Uuid,
    /// What it belongs to; that of a job that it makes.
    pub correlation: Uuid,
    /// The request's span, which learns of a job's id.
    pub(crate) span: Span,
}

impl RequestIds {
    /// The ids that the middleware gave.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Notes that the request is about a job, whose correlation id is its own from here on. Without one (another
    /// program's job), the request keeps its own.
    pub fn join(request: &HttpRequest, job: Option<Uuid>) {
        if let (Some(job), Some(ids)) = (job, request.extensions_mut().get_mut::<Self>())
            && job != ids.correlation
        {
            ids.correlation = job;
            ids.span.record("correlation_id", field::display(job));
        }
    }
}
