//! How often a user may send requests and an address may fail to log in, and the headers that say so.
//!
//! Counted by this instance alone: with several, a user may make that many requests of each. Uploads a day are counted
//! in the database, across all.

mod headers;
mod limiter;

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage, HttpRequest, ResponseError,
    http::{Method, StatusCode},
};

pub use self::headers::insert_rate_headers;
use self::limiter::Limiter;

use crate::{
    guard::client_address::client_address,
    http::{ApiError, ApiState, Caller},
};
use config::Http;
use domain::{Code, UserId};
use messages::BASE_PATH;
use store::uploads::get_uploads_left;

/// A day's uploads.
const DAY: Duration = Duration::from_secs(86_400);
/// The most addresses that are remembered as shut out.
const MANY: usize = 4096;

/// How much a caller has left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name in the headers.
    pub name: &'static str,
    /// What may be had at once.
    pub quota: u32,
    /// In which time that is granted again.
    pub window: Duration,
    /// What is left of it.
    pub remaining: u32,
    /// How long until there is more.
    pub reset: Duration,
}

/// What the answer's headers will say; in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct Standings(Vec<Standing>);

/// The counts of this instance.
pub struct Rates {
    requests: Option<Limiter<UserId>>,
    retries: Option<Limiter<UserId>>,
    failures: Option<Limiter<IpAddr>>,
    /// Until when no API key of that address is looked up.
    shut_out: Mutex<HashMap<IpAddr, Instant>>,
    trusted_proxies: usize,
}

impl Rates {
    /// Nothing is counted yet.
    pub fn new(bounds: &Http) -> Self {
        let (requests, failures) = (bounds.rate_per_minute, bounds.login_failures_per_minute);
        Self {
            requests: Limiter::new("requests", requests, requests / 6),
            retries: Limiter::new("retries", bounds.retries_per_minute, bounds.retries_per_minute),
            failures: Limiter::new("failures", failures, failures),
            shut_out: Mutex::default(),
            trusted_proxies: bounds.trusted_proxies,
        }
    }

    fn shut_out_for(&self, address: IpAddr) -> Option<Duration> {
        let until = *self.shut_out.lock().unwrap_or_else(PoisonError::into_inner).get(&address)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn shut_out(&self, address: IpAddr, wait: Duration) {
        let now = Instant::now();
        let mut shut = self.shut_out.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.len() >= MANY {
            shut.retain(|_, until| *until > now);
        }
        if shut.len() < MANY {
            shut.insert(address, now + wait);
        }
    }

    /// Counts a request of a user, and notes for the answer how many are left.
    pub fn take_request(&self, user: UserId, request: &HttpRequest) -> Result<(), ApiError> {
        take(&self.requests, user, request, Code::RateLimited, |per_minute| {
            format!(
                "You have made more than {per_minute} requests a minute (API_RATE_PER_MINUTE), or too many of them at once. Come back when Retry-After says."
            )
        })?;
        if !is_retry(request.method(), request.path()) {
            return Ok(());
        }
        take(&self.retries, user, request, Code::RetryRateLimited, |per_minute| {
            format!(
                "You have retried and cancelled jobs more than {per_minute} times a minute (API_RETRIES_PER_MINUTE). Come back when Retry-After says."
            )
        })
    }

    /// Refuses to look up an API key for an address that has failed too often, so that guessing costs the database
    /// nothing.
    pub fn refuse_guessing(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let address = client_address(request, self.trusted_proxies);
        match address.and_then(|address| self.shut_out_for(address)) {
            Some(wait) => Err(too_many_failures(wait)),
            None => Ok(()),
        }
    }

    /// Counts a refused log-in, or a forged upload URL, against its address; past the bound, the answer says that
    /// instead.
    pub fn note_refusal(&self, request: &HttpRequest, error: ApiError) -> ApiError {
        // A token that has expired is no guess, and its answer makes clients sign in again: it is neither counted nor
        // replaced.
        let guessed = error.status_code() == StatusCode::UNAUTHORIZED && error.code() != Code::TokenExpired;
        let failed = guessed || error.code() == Code::UploadUrlInvalid;
        let (true, Some(limiter)) = (failed, &self.failures) else { return error };
        let Some(address) = client_address(request, self.trusted_proxies) else { return error };
        let taken = limiter.take(&address);
        if taken.allowed {
            return error;
        }
        self.shut_out(address, taken.standing.reset);
        too_many_failures(taken.standing.reset)
    }
}

fn take(
    limiter: &Option<Limiter<UserId>>,
    user: UserId,
    request: &HttpRequest,
    code: Code,
    detail: impl Fn(NonZeroU32) -> String,
) -> Result<(), ApiError> {
    let Some(limiter) = limiter else { return Ok(()) };
    let taken = limiter.take(&user);
    note(request, taken.standing);
    if taken.allowed {
        return Ok(());
    }
    Err(ApiError::new(code, detail(limiter.per_minute)).retry_after(taken.standing.reset))
}

/// Whether the request has a worker begin or stop a job: both at once would let a user run more jobs than its share.
pub fn is_retry(method: &Method, path: &str) -> bool {
    method == Method::POST && ["/retry", "/cancel", "/restore"].iter().any(|end| path.ends_with(end))
}

fn too_many_failures(wait: Duration) -> ApiError {
    ApiError::of(Code::LoginRateLimited).retry_after(wait)
}

/// Adds to an answer about uploads how many are left of the day's. This reads one index; if that fails, the answer lacks
/// the header.
pub async fn note_uploads(state: &ApiState, request: &HttpRequest) {
    let per_day = state.settings.uploads.per_day;
    let caller = request.extensions().get::<Caller>().copied();
    let (Some(caller), true) = (caller, per_day > 0 && is_upload(request)) else { return };
    let found = async { get_uploads_left(&state.db.get().await?, caller.user, per_day).await };
    match found.await {
        Ok(left) => note(
            request,
            Standing {
                name: "uploads",
                quota: per_day,
                window: DAY,
                remaining: left.remaining,
                reset: left.reset.unwrap_or(DAY),
            },
        ),
        Err(error) => tracing::debug!("the day's uploads could not be counted for the answer: {error}"),
    }
}

fn is_upload(request: &HttpRequest) -> bool {
    let Some(path) = request.path().strip_prefix(BASE_PATH) else { return false };
    match *request.method() {
        Method::POST => matches!(path, "/upload" | "/documents"),
        Method::PUT => path.starts_with("/documents/"),
        _ => false,
    }
}

fn note(request: &HttpRequest, standing: Standing) {
    let mut extensions = request.extensions_mut();
    match extensions.get_mut::<Standings>() {
        Some(standings) => standings.0.push(standing),
        None => _ = extensions.insert(Standings(vec![standing])),
    }
}
