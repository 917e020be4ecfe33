//! A job's timeline: as a list, or live as server-sent events (WHATWG HTML, "Server-sent events").
//!
//! Live, each event of the job comes with its `seq` as the id, so that a client which names the last one it saw goes on
//! behind it; `event: job` holds the job whenever it changed; `event: end` is the last. A timeline that ends without it
//! (it has lasted for long enough, the token has expired, the key was revoked, the server stops, the database stays
//! away) is to be asked for again.

use std::{
    convert::Infallible,
    fmt::Write as _,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method,
        header::{self, ContentEncoding},
    },
    web,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    guard::Guard,
    http::{
        ApiError, ApiState, Call, Caller, Full, HttpResult, ListId, Most, PageQuery, PageSize, Quota, RequestIds,
        Share, codes, conditions,
    },
    resources::jobs::job_view,
};
use config::Http;
use domain::{Code, JobId, UserId};
use messages::{EventView, PageOfEventView};
use pg::DbError;
use store::{
    api_keys::is_api_key_revoked,
    events::{Event, list_events},
    jobs::{Job, get_job},
};

pub const EVENTS: PageSize = PageSize { default: 100, max: 500 };
/// How often a live timeline reads the database: as often as a person can notice, two short reads each time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it reads a job without news: a waiting job then costs a quarter of a running one.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// How long the database may be unavailable before a timeline ends: longer than a restart takes.
const DATABASE_AWAY: Duration = Duration::from_secs(30);
/// When to try again where there is no place: a timeline whose client has left ends within two of its comment lines.
const PLACE_RETRY_AFTER: Duration = Duration::from_secs(15);
/// When a browser connects again, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// A line at least this often, so that proxies keep the connection: Render and nginx close it after 60 s or more.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

fn event_view(event: Event) -> EventView {
    EventView {
        seq: event.seq,
        ts: event.ts,
        kind: event.kind,
        severity: event.severity,
        code: event.code,
        payload: event.payload,
    }
}

/// Read or watch a job's timeline.
///
/// As JSON, oldest first, a page at a time. With `Accept: text/event-stream`, live until the job has ended: each event
/// of the job with its `seq` as the id, `event: job` with the job whenever it changed, `event: end` at last. A client
/// that was cut off, or whose timeline has lasted for as long as one may, sends the last id as `Last-Event-ID` and goes
/// on behind it, as a browser's EventSource does by itself.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "Jobs",
    params(
        ("id" = Uuid, Path, description = "The job's id, as the answer to the upload gave it."),
        (
            "Last-Event-ID" = Option<i64>,
            Header,
            nullable = false,
            description = "The last event that was seen; of the live timeline."
        )
    ),
    responses((
        status = 200,
        description = "The timeline.",
        content((PageOfEventView = "application/json"), (String = "text/event-stream"))
    )),
    extensions(
        ("x-pages" = json!(EVENTS)),
        ("x-codes" = json!(codes(&[
            Code::JobNotFound,
            Code::LastEventIdInvalid,
            Code::StreamsPerUser,
            Code::StreamsFull
        ])))
    )
)]
pub async fn get_events(
    Call { state, caller, request }: Call,
    guard: web::Data<Guard>,
    id: web::Path<Uuid>,
    query: web::Query<PageQuery>,
) -> HttpResult {
    let id = JobId(*id);
    let conn = state.conn().await?;
    let job = get_job(&conn, caller.user, id).await?.ok_or_else(|| ApiError::of(Code::JobNotFound))?;
    RequestIds::join(&request, job.correlation_id);
    let last_seen = last_event_id(&request)?;
    if wants_stream(&request) {
        drop(conn);
        let place = enter(&guard.streams, caller.user, &state.settings.http)?;
        if request.method() == Method::HEAD {
            return Ok(stream_head().finish());
        }
        let now = Instant::now();
        let live = Live {
            state: state.get_ref().clone(),
            caller,
            id,
            correlation_id: job.correlation_id,
            after: last_seen.unwrap_or(0),
            shown: None,
            began: now,
            said_at: now,
            away_since: None,
            wait: LOOK_EVERY,
            ended: false,
            _place: place,
        };
        let begin = stream::iter([Ok(Bytes::from_static(RETRY.as_bytes()))]);
        return Ok(stream_head().streaming(begin.chain(stream::unfold(live, Live::next))));
    }
    let list = ListId::new("events").with("job_id", id);
    let (limit, after) = (EVENTS.limit(query.limit)?, list.position(query.cursor.as_deref())?.unwrap_or(0));
    let rows = list_events(&conn, caller.user, id, after, limit + 1).await?;
    conditions::json(&request, &list.page(rows, limit, |row| row.seq, event_view))
}

/// A place for one more timeline of `user`.
fn enter(streams: &Quota, user: UserId, limits: &Http) -> Result<Share, ApiError> {
    let [per_user, in_all] = [limits.event_streams_per_user, limits.event_streams].map(|places| places as u64);
    let mut place = streams.share(Some(user), Most { per_user, in_all });
    place.take(1).map_err(|full| {
        let code = if full == Full::User { Code::StreamsPerUser } else { Code::StreamsFull };
        ApiError::of(code).retry_after(PLACE_RETRY_AFTER)
    })?;
    Ok(place)
}

fn wants_stream(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.to_ascii_lowercase().contains("text/event-stream")
}

fn last_event_id(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.map(Some).ok_or_else(|| ApiError::of(Code::LastEventIdInvalid))
}

fn stream_head() -> HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity);
    head
}

/// A timeline that a client watches. It holds no database connection between two looks.
struct Live {
    state: ApiState,
    caller: Caller,
    id: JobId,
    correlation_id: Option<Uuid>,
    after: i64,
    shown: Option<OffsetDateTime>,
    began: Instant,
    said_at: Instant,
    /// Since when the database has been unavailable.
    away_since: Option<Instant>,
    wait: Duration,
    ended: bool,
    /// Given back when the reader is gone.
    _place: Share,
}

impl Live {
    /// The next piece of text; `None` once the job has ended, the timeline's time is up, or the server stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while !self.ended {
            if self.shown.is_some() || self.away_since.is_some() {
                tokio::select! {
                    () = self.state.stop.cancelled() => return None,
                    () = tokio::time::sleep(self.wait) => {}
                }
            }
            if self.is_over() {
                return None;
            }
            let text = match self.look().await {
                Ok(None) => return None,
                Ok(Some(text)) => {
                    if self.away_since.take().is_some() {
                        tracing::debug!(job.id = %self.id, "the live timeline of job {} goes on", self.id);
                    }
                    text
                }
                Err(error) if self.bears(&error) => String::new(),
                Err(_told) => return None,
            };
            self.wait = if text.is_empty() { (self.wait * 2).min(LOOK_SELDOM) } else { LOOK_EVERY };
            if let Some(text) = self.or_sign_of_life(text) {
                self.said_at = Instant::now();
                return Some((Ok(Bytes::from(text)), self));
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        let lifetime = self.state.settings.http.event_stream_lifetime;
        let outlived = !lifetime.is_zero() && self.began.elapsed() >= lifetime;
        outlived || self.caller.until.is_some_and(|until| OffsetDateTime::now_utc() >= until)
    }

    /// Whether to go on although a read failed: a client that has to connect again adds load.
    fn bears(&mut self, error: &DbError) -> bool {
        let since = *self.away_since.get_or_insert_with(|| {
            tracing::debug!(job.id = %self.id, error = %error, "the live timeline of job {} waits for the database", self.id);
            Instant::now()
        });
        if since.elapsed() < DATABASE_AWAY {
            return true;
        }
        let correlation_id = self.correlation_id.map(tracing::field::display);
        tracing::warn!(job.id = %self.id, correlation_id, error = %error, "a live timeline of job {} breaks off", self.id);
        false
    }

    /// The line also shows that a client has left: it cannot be sent, and the timeline is dropped.
    fn or_sign_of_life(&self, text: String) -> Option<String> {
        match text.is_empty() {
            false => Some(text),
            true if self.said_at.elapsed() >= ALIVE_EVERY => Some(": alive\n\n".to_owned()),
            true => None,
        }
    }

    /// The news; `None`: the client's key was revoked.
    async fn look(&mut self) -> Result<Option<String>, DbError> {
        let conn = self.state.db.get().await?;
        if let Some(key) = self.caller.key
            && is_api_key_revoked(&conn, key).await?
        {
            return Ok(None);
        }
        // The job first: once it has ended, all its events are there to be read after it.
        let job = get_job(&conn, self.caller.user, self.id).await?;
        let events = list_events(&conn, self.caller.user, self.id, self.after, EVENTS.max).await?;
        drop(conn);
        Ok(Some(self.tell(job, events)))
    }

    /// The news as server-sent events.
    fn tell(&mut self, job: Option<Job>, events: Vec<Event>) -> String {
        let mut text = String::new();
        let more = i64::try_from(events.len()).unwrap_or(i64::MAX) >= EVENTS.max;
        for event in events {
            self.after = event.seq;
            let kind = event.kind.clone();
            say(&mut text, Some(event.seq), &kind, &event_view(event));
        }
        match job {
            None => {
                say(&mut text, None, "end", &serde_json::json!({ "deleted": true }));
                self.ended = true;
            }
            Some(job) => {
                let ended = job.state.is_terminal() && !more;
                let updated_at = job.updated_at;
                let view = job_view(job);
                if self.shown != Some(updated_at) {
                    say(&mut text, None, "job", &view);
                    self.shown = Some(updated_at);
                }
                if ended {
                    say(&mut text, None, "end", &view);
                    self.ended = true;
                }
            }
        }
        text
    }
}

/// JSON has no raw line breaks, so `data` is one line.
fn say(text: &mut String, id: Option<i64>, event: &str, data: &impl Serialize) {
    let data = serde_json::to_string(data).unwrap_or_default();
    // Writing to a String cannot fail.
    let _written = match id {
        Some(id) => write!(text, "id: {id}\nevent: {event}\ndata: {data}\n\n"),
        None => write!(text, "event: {event}\ndata: {data}\n\n"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_three_lines_and_an_empty_one() {
        let mut text = String::new();
        say(&mut text, Some(7), "retry", &serde_json::json!({ "message": "two\nlines" }));
        assert_eq!(text, "id: 7\nevent: retry\ndata: {\"message\":\"two\\nlines\"}\n\n");
    }

    #[test]
    fn a_stream_is_given_to_those_who_ask_for_it() {
        let accepts = |value: &'static str| {
            wants_stream(
                &actix_web::test::TestRequest::default().insert_header((header::ACCEPT, value)).to_http_request(),
            )
        };
        assert!(accepts("text/event-stream"));
        assert!(accepts("Text/Event-Stream, */*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("*/*"));
    }
}
