//! Live timelines of jobs (server-sent events): resuming, limits, and short outages of the database.

use std::time::Instant;

use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::time::timeout;

use super::{Answer, api, request, send};
use crate::{
    support::fleet::{Client, PATIENCE, SECRET, USER},
    watching::allow_connections,
};

/// The clock skew that the API allows in tokens.
const LEEWAY: Duration = Duration::seconds(10);

/// An open timeline.
struct Timeline {
    response: Response,
    text: String,
}

impl Timeline {
    /// Reads until `wanted` has arrived; returns everything so far.
    async fn until(&mut self, wanted: &str) -> &str {
        while !self.text.contains(wanted) {
            let piece = timeout(PATIENCE, self.response.chunk()).await.expect("the timeline sends nothing").unwrap();
            let piece = piece.unwrap_or_else(|| panic!("the timeline ended without {wanted:?}:\n{}", self.text));
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        &self.text
    }

    /// Reads to the end; returns everything.
    async fn rest(mut self) -> String {
        while let Some(piece) =
            timeout(PATIENCE, self.response.chunk()).await.expect("the timeline sends nothing").unwrap()
        {
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        self.text
    }
}

fn timeline_request(client: &Client, job: &str) -> reqwest::RequestBuilder {
    request(client, Method::GET, &format!("/jobs/{job}/events")).header("accept", "text/event-stream")
}

async fn open(request: reqwest::RequestBuilder) -> Timeline {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Timeline { response, text: String::new() }
}

fn ids(text: &str) -> Vec<i64> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_resumes_after_the_last_event_id() {
    let api = api(&[]).await;
    let job = api.client.upload_text("a", "some words").await;
    let mut live = open(timeline_request(&api.client, &job)).await;
    let first = live.until("event: job").await.to_owned();
    assert!(first.starts_with("retry: ") && first.contains("event: enqueued"), "{first}");
    assert_eq!(api.client.post(&format!("/jobs/{job}/cancel"), json!(null)).await.0, 200);
    let whole = live.rest().await;
    assert!(whole.trim_end().rsplit("\n\n").next().unwrap().starts_with("event: end"), "{whole}");
    let seen = ids(&whole);
    assert_eq!(seen.len(), 2, "{whole}");
    let resumed =
        open(timeline_request(&api.client, &job).header("Last-Event-ID", seen[0].to_string())).await.rest().await;
    assert_eq!(ids(&resumed), seen[1..], "{resumed}");
    for wrong in ["x", "", "1.5", "99999999999999999999"] {
        let refused = send(timeline_request(&api.client, &job).header("Last-Event-ID", wrong)).await;
        assert_eq!((refused.status, refused.code()), (400, "last_event_id_invalid"), "{wrong}");
    }
    let head = request(&api.client, Method::HEAD, &format!("/jobs/{job}/events")).header("accept", "text/event-stream");
    let head = send(head).await;
    assert_eq!((head.status, head.header("content-type"), &head.body), (200, "text/event-stream", &Value::from("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn timelines_are_limited_and_a_closed_one_frees_its_place() {
    let api = api(&[("API_EVENT_STREAMS", "2"), ("API_EVENT_STREAMS_PER_USER", "1")]).await;
    let second_user = api.client.as_user("22222222-2222-4222-8222-222222222222");
    let third_user = api.client.as_user("33333333-3333-4333-8333-333333333333");
    let (first_job, second_job) =
        (api.client.upload_text("a", "some words").await, second_user.upload_text("b", "words").await);
    let third_job = third_user.upload_text("c", "words").await;
    let mut live = open(timeline_request(&api.client, &first_job)).await;
    live.until("event: job").await;
    let refusal = |answer: Answer| (answer.status, answer.code().to_owned(), !answer.header("retry-after").is_empty());
    let refused = refusal(send(timeline_request(&api.client, &first_job)).await);
    assert_eq!(refused, (429, "streams_per_user".to_owned(), true));
    let _second = open(timeline_request(&second_user, &second_job)).await;
    assert_eq!(refusal(send(timeline_request(&third_user, &third_job)).await), (503, "streams_full".to_owned(), true));
    assert_eq!(
        api.client.get(&format!("/jobs/{first_job}/events")).await.0,
        200,
        "the limit must not apply to the plain list of events"
    );
    drop(live);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let again = timeline_request(&api.client, &first_job).send().await.unwrap();
        if again.status() == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "a closed timeline still counts towards the limit");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_ends_after_its_lifetime_without_an_end_event() {
    let api = api(&[("API_EVENT_STREAM_LIFETIME", "1")]).await;
    let job = api.client.upload_text("a", "some words").await;
    let whole = open(timeline_request(&api.client, &job)).await.rest().await;
    assert!(whole.contains("event: job") && !whole.contains("event: end"), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_ends_when_its_token_expires() {
    let api = api(&[]).await;
    let job = api.client.upload_text("a", "some words").await;
    let expires = OffsetDateTime::now_utc() - LEEWAY + Duration::seconds(3);
    let claims = json!({ "sub": USER, "aud": "authenticated", "exp": expires.unix_timestamp() });
    let token =
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let client = Client { root: api.client.root.clone(), token };
    let whole = open(timeline_request(&client, &job)).await.rest().await;
    assert!(whole.contains("event: job") && !whole.contains("event: end"), "{whole}");
    let refused = send(timeline_request(&client, &job)).await;
    assert_eq!((refused.status, refused.code()), (401, "token_expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_ends_when_its_api_key_is_revoked() {
    let api = api(&[]).await;
    let job = api.client.upload_text("a", "some words").await;
    let token = api.fleet.create_key(&["watcher", "--user", USER]);
    let client = Client { root: api.client.root.clone(), token };
    let mut live = open(timeline_request(&client, &job)).await;
    live.until("event: job").await;
    let id = api.test.value("SELECT key_id FROM upload_pipeline.api_keys").await;
    assert!(api.fleet.run(&["keys", "revoke", &id]).0.success());
    let whole = live.rest().await;
    assert!(!whole.contains("event: end"), "{whole}");
    let refused = send(timeline_request(&client, &job)).await;
    assert_eq!((refused.status, refused.code()), (401, "token_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_continues_after_its_database_connections_are_lost() {
    let mut api = api(&[("LOG_LEVEL", "debug")]).await;
    let job = api.client.upload_text("a", "some words").await;
    let mut live = open(timeline_request(&api.client, &job)).await;
    live.until("event: job").await;
    for (allowed, seen) in [(false, "waits for the database"), (true, "goes on")] {
        allow_connections(&api.test.url, allowed).await;
        api.app.wait_for(&format!("the live timeline of job {job} {seen}"));
    }
    let cancelled = api.client.post(&format!("/jobs/{job}/cancel"), json!(null)).await;
    assert_eq!(cancelled.0, 200, "{cancelled:?}");
    live.until("event: end").await;
}
