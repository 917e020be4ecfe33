//! Errors as `application/problem+json` (RFC 9457): a stable code and a sentence that says what to do.

use std::{fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::ServiceResponse,
    error::{PathError, PayloadError, QueryPayloadError},
    http::{StatusCode, header},
};
use uuid::Uuid;

use domain::{Code, ErrorClass, Failure};
use messages::Problem;
use pg::DbError;

/// How long a client should wait when the database is unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a handler answers.
pub type HttpResult = Result<HttpResponse, ApiError>;
/// What a middleware answers.
pub type MiddlewareResult = Result<ServiceResponse<BoxBody>, actix_web::Error>;

/// A refusal or a failure, as the client receives it.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Code,
    /// The body, but for the request's id.
    problem: Problem,
    retry_after: Option<Duration>,
    allow: Option<String>,
    /// For the log only.
    cause: Option<String>,
}

impl ApiError {
    /// A problem with the code's usual status; `detail` says what happened and what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with_status(status, code, detail)
    }

    /// A problem with the code's own words as its detail.
    pub fn of(code: Code) -> Self {
        Self::new(code, code.detail())
    }

    /// A problem with another of the code's statuses.
    pub fn with_status(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.as_str().to_owned(),
            detail: bounded(detail.into()),
            job_id: None,
            document_id: None,
            request_id: None,
        };
        Self(Box::new(Inner { status, code, problem, retry_after: None, allow: None, cause: None }))
    }

    /// 503: the schema is missing, or older than this build.
    pub fn schema_behind(reason: impl Into<String>) -> Self {
        Self::new(Code::SchemaBehind, reason).retry_after(Duration::from_secs(30))
    }

    /// 500, a defect of the server; `cause` goes to the log only.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::of(Code::InternalError).cause(cause)
    }

    /// 503, a service that this one depends on is unavailable; `cause` goes to the log only.
    pub fn unavailable(code: Code, cause: impl fmt::Display) -> Self {
        Self::of(code).retry_after(RETRY_AFTER).cause(cause)
    }

    /// Names the job and the document in the way.
    pub fn about(mut self, job_id: Option<Uuid>, document_id: Option<Uuid>) -> Self {
        (self.0.problem.job_id, self.0.problem.document_id) = (job_id, document_id);
        self
    }

    /// Says when to try again.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a cause for the log only.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Stable, for programs.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The cause, for the log.
    pub fn log_cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The body.
    pub fn problem(&self, request_id: Option<Uuid>) -> Problem {
        Problem { request_id, ..self.0.problem.clone() }
    }

    /// The answer.
    pub fn response(&self, request_id: Option<Uuid>) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        response.content_type("application/problem+json");
        if let Some(wait) = self.0.retry_after {
            response.insert_header((header::RETRY_AFTER, wait.as_secs_f64().ceil().max(1.0).to_string()));
        }
        if let Some(allow) = &self.0.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            let challenge = match self.0.code {
                Code::TokenMissing => "Bearer".to_owned(),
                _ => format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.0.code),
            };
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        // A struct of strings and ids cannot fail to become JSON; an empty body would still carry the status.
        response.body(serde_json::to_string(&self.problem(request_id)).unwrap_or_default())
    }

    /// An error of actix as a problem.
    pub fn from_framework(status: StatusCode, error: &dyn fmt::Display) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::route_not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed("GET"),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::BodyTooLarge, "The body is larger than this route takes."),
            StatusCode::REQUEST_TIMEOUT => Self::of(Code::RequestTimeout),
            status if status.is_server_error() => Self::internal(error),
            status => {
                Self::with_status(status, Code::BadRequest, format!("The request cannot be understood: {error}."))
            }
        }
    }

    pub(crate) fn route_not_found() -> Self {
        Self::of(Code::RouteNotFound)
    }

    pub(crate) fn method_not_allowed(allow: impl Into<String>) -> Self {
        let allow = allow.into();
        let mut error = Self::new(Code::MethodNotAllowed, format!("This path takes {allow} only."));
        error.0.allow = Some(allow);
        error
    }
}

/// Cuts a detail that repeats what the client sent: an unknown field's name may be as long as a body.
fn bounded(mut detail: String) -> String {
    const MAX_BYTES: usize = 600;
    if detail.len() > MAX_BYTES {
        detail.truncate(detail.floor_char_boundary(MAX_BYTES));
        detail.push('…');
    }
    detail
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.problem.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    /// Without a request id: the outermost middleware adds it.
    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_schema_missing() {
            return Self::schema_behind("The database lacks what this build needs. Run `app migrate`.").cause(error);
        }
        match error {
            DbError::Connect(_)
            | DbError::Pool(_)
            | DbError::PoolTimeout { .. }
            | DbError::Statement { sqlstate: None, .. } => Self::unavailable(Code::DatabaseUnavailable, error),
            DbError::Statement { .. } | DbError::Row { .. } | DbError::LeaseLost { .. } => Self::internal(error),
        }
    }
}

impl ApiError {
    /// A failure of the object store.
    pub fn storage(failure: &Failure) -> Self {
        Self::unavailable(Code::StorageUnavailable, format!("{}: {failure}", failure.code))
    }

    /// A failure of the embedding model, while a query waits for its vector.
    pub fn embedding(failure: &Failure) -> Self {
        let cause = format!("{}: {failure}", failure.code);
        match failure.class {
            ErrorClass::Document => Self::of(Code::QueryNotEmbeddable).cause(cause),
            ErrorClass::Transient | ErrorClass::Quota | ErrorClass::Configuration => {
                Self::unavailable(Code::EmbedderUnavailable, cause)
            }
        }
    }
}

impl From<&PayloadError> for ApiError {
    fn from(error: &PayloadError) -> Self {
        Self::new(Code::BodyIncomplete, format!("The body did not arrive whole: {error}. Send it again."))
    }
}

impl From<PayloadError> for ApiError {
    fn from(error: PayloadError) -> Self {
        Self::from(&error)
    }
}

/// An id in the path that is none.
pub fn from_path_error(error: PathError, _request: &HttpRequest) -> actix_web::Error {
    ApiError::new(Code::IdInvalid, format!("The path holds what is no id: {error}.")).into()
}

/// A query string that does not parse.
pub fn from_query_error(error: QueryPayloadError, _request: &HttpRequest) -> actix_web::Error {
    ApiError::new(Code::QueryInvalid, format!("The query string is not what this route takes: {error}.")).into()
}
