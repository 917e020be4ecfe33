//! Webhooks can come from anyone. Only the provider that was asked is accepted, and a webhook can only make a waiting job
//! due, once.

use std::time::Duration;

use domain::{JobId, callback::CallbackKey, ports::Callback};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::{
    db::TestDb,
    fakes::llamaparse::post,
    fleet::{App, Client, Fleet},
};

const SECRET: &str = "a-webhook-secret-of-tests-that-is-long-enough";
const HEADER: &str = "X-Webhook-Secret";
/// The columns of the job that a webhook may change, and those that it must not.
const JOB: &str = "SELECT status || ' ' || state || ' ' || (run_at <= now()) || ' ' || (signalled_at IS NOT NULL) FROM upload_pipeline.upload_jobs";

struct World {
    test: TestDb,
    client: Client,
    _api: App,
}

/// An API without a worker, so that only webhooks change a job.
async fn world() -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("WEBHOOK_SECRET", SECRET);
    let (api, client) = fleet.api();
    World { test, client, _api: api }
}

impl World {
    /// Makes a job with this status and state that is due in an hour.
    async fn job(&self, status: &str, state: &str) -> JobId {
        self.test.run("DELETE FROM upload_pipeline.documents").await;
        let job = self.client.upload_text("waits", &format!("{status} {state}")).await;
        self.test
            .run(&format!(
                "UPDATE upload_pipeline.upload_jobs SET status = '{status}', state = '{state}', run_at = now() + interval '1 hour'"
            ))
            .await;
        JobId(job.parse().unwrap())
    }

    /// The URL and secret that a worker would give to the parser.
    fn callback(&self, secret: &str, job: JobId, good_for: time::Duration) -> Callback {
        let base = self.client.url("");
        CallbackKey::new(secret).callback(&base, job, OffsetDateTime::now_utc() + good_for).unwrap()
    }

    fn valid_callback(&self, job: JobId) -> Callback {
        self.callback(SECRET, job, time::Duration::HOUR)
    }

    async fn logged_webhooks(&self) -> String {
        self.test.value("SELECT count(*) FROM upload_pipeline.webhook_log").await
    }
}

/// Sends a webhook; returns status and problem code.
async fn send(url: &str, header: Option<&str>, body: impl Into<reqwest::Body>) -> (u16, String) {
    let mut request = reqwest::Client::new().post(url).body(body);
    if let Some(header) = header {
        request = request.header(HEADER, header);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn call(callback: &Callback, body: &str) -> (u16, String) {
    send(callback.url.as_str(), Some(&callback.secret), body.to_owned()).await
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_makes_a_waiting_job_due_and_changes_nothing_else() {
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let before = "SELECT to_jsonb(j) - 'run_at' FROM upload_pipeline.upload_jobs AS j";
    let unchanged = world.test.value(before).await;
    assert_eq!(
        call(&world.valid_callback(job), r#"{"event_type":"parse.success","data":{"text":"believe me"}}"#).await,
        accepted()
    );
    assert_eq!(world.test.value(JOB).await, "parse_queued queued true false");
    assert_eq!(world.test.value(before).await, unchanged);
    let logged =
        world.test.rows("SELECT job_id, length(payload_hash), host(ip_address) FROM upload_pipeline.webhook_log").await;
    assert_eq!(logged, [[job.to_string(), "64".to_owned(), "127.0.0.1".to_owned()]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_webhook_gets_the_same_answer_and_changes_nothing() {
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let callback = world.valid_callback(job);
    assert_eq!(call(&callback, "{}").await, accepted());
    // As if the worker had asked the parser and had to wait again.
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 hour'").await;
    for _ in 0..5 {
        assert_eq!(call(&callback, "{}").await, accepted());
    }
    assert_eq!(world.test.value(JOB).await, "parse_queued queued false false");
    assert_eq!(world.logged_webhooks().await, "1");
    // A different body is a new webhook.
    assert_eq!(call(&callback, r#"{"event":2}"#).await, accepted());
    assert_eq!(world.test.value(JOB).await, "parse_queued queued true false");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_wait_for_a_parser_is_not_changed() {
    let world = world().await;
    for (status, state, signalled) in [
        ("uploaded", "queued", false),
        ("parsed", "queued", false),
        ("parse_queued", "retryable", false),
        ("parse_queued", "cancelled", false),
        ("failed_parse", "deadletter", false),
        ("complete", "done", false),
        // The worker that runs the job will ask the parser again before it waits.
        ("uploaded", "working", true),
        ("parse_queued", "working", true),
        ("chunking", "working", false),
    ] {
        let job = world.job(status, state).await;
        assert_eq!(call(&world.valid_callback(job), "{}").await, accepted(), "{status} {state}");
        assert_eq!(world.test.value(JOB).await, format!("{status} {state} false {signalled}"));
        assert_eq!(world.logged_webhooks().await, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_without_the_jobs_token_and_secret_are_refused() {
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let foreign_job = JobId(uuid::Uuid::new_v4());
    let (good, foreign) = (world.valid_callback(job), world.valid_callback(foreign_job));
    let url = good.url.as_str();
    let secret = Some(good.secret.as_str());
    let (before, token) = url.rsplit_once('/').unwrap();
    let with_token = |token: &str| format!("{before}/{token}");
    let (expires, mac) = token.split_once('.').unwrap();
    let other = world.callback("another-secret-of-32-characters-or-more", job, time::Duration::HOUR);
    let late = world.callback(SECRET, job, -time::Duration::MINUTE);
    for (name, url, header) in [
        ("no header", url.to_owned(), None),
        ("an empty header", url.to_owned(), Some("")),
        ("the URL's token as header", url.to_owned(), Some(mac)),
        ("half a token", with_token(expires), secret),
        ("an empty token", with_token(&format!("{expires}.")), secret),
        ("an invalid token", with_token(&format!("{expires}.x")), secret),
        ("a later expiry", with_token(&format!("9{token}")), secret),
        ("another job's URL", foreign.url.as_str().replace(&foreign_job.to_string(), &job.to_string()), secret),
        ("another job's header", url.to_owned(), Some(foreign.secret.as_str())),
        ("another deployment's", other.url.to_string(), Some(other.secret.as_str())),
    ] {
        assert_eq!(send(&url, header, "{}").await, refused(403, "webhook_forbidden"), "{name}");
    }
    assert_eq!(call(&late, "{}").await, refused(403, "webhook_expired"));
    assert_eq!(
        call(&foreign, "{}").await,
        refused(404, "job_not_found"),
        "a valid signature for a job that does not exist"
    );
    let (status, code) = send(&url.replace(&job.to_string(), "no-uuid"), secret, "{}").await;
    assert_eq!((status, code.as_str()), (400, "id_invalid"));
    assert_eq!(send(before, secret, "{}").await, refused(401, "token_missing"), "no token at all");
    // A user's token does not replace the webhook secret.
    let response = reqwest::Client::new()
        .post(with_token(expires))
        .bearer_auth(&world.client.token)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 405);
    assert_eq!(world.test.value(JOB).await, "parse_queued queued false false");
    assert_eq!(world.logged_webhooks().await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_body_is_accepted_as_a_signal() {
    let world = world().await;
    for body in
        ["", "no JSON", "{}", r#"{"status":"error"}"#, r#"{"txt":"","md":"","json":[],"images":[]}"#, "\0\u{7f}"]
    {
        let job = world.job("parse_queued", "queued").await;
        assert_eq!(call(&world.valid_callback(job), body).await, accepted(), "{body:?}");
        assert_eq!(world.test.value(JOB).await, "parse_queued queued true false", "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_fifty_megabytes_is_refused_unread_and_changes_nothing() {
    const MEGABYTE: usize = 1 << 20;
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let callback = world.valid_callback(job);
    let header = [(HEADER.to_owned(), callback.secret.clone())];
    let large_body = vec![b'x'; 50 * MEGABYTE];
    // 0: the server closed the connection before the whole body was sent.
    assert!([413, 0].contains(&post(callback.url.as_str(), &header, &large_body)));
    // A chunked body has no declared length.
    let pieces = (0..50).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b'x'; MEGABYTE])));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = reqwest::Client::new().post(callback.url.clone()).header(HEADER, &callback.secret).body(body);
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "body_too_large");
    }
    // Without the secret the body is not read either.
    assert!([403, 0].contains(&post(callback.url.as_str(), &[], &large_body)));
    assert_eq!(world.logged_webhooks().await, "0");
    assert_eq!(world.test.value(JOB).await, "parse_queued queued false false");
    // A body of the maximum size is accepted.
    assert_eq!(call(&callback, &"x".repeat(MEGABYTE)).await, accepted());
    assert_eq!(world.test.value(JOB).await, "parse_queued queued true false");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_body_is_not_a_signal() {
    use std::io::Write;
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let callback = world.valid_callback(job);
    let (host, path) = callback.url.as_str().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = std::net::TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\n{HEADER}: {}\r\ncontent-length: 100\r\n\r\nhalf",
        callback.secret
    );
    socket.write_all(head.as_bytes()).unwrap();
    drop(socket);
    // The complete webhook is the first one that counts.
    assert_eq!(call(&callback, &json!({ "whole": true }).to_string()).await, accepted());
    assert_eq!(world.logged_webhooks().await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_simultaneous_equal_webhooks_count_once() {
    let world = world().await;
    let job = world.job("parse_queued", "queued").await;
    let callback = world.valid_callback(job);
    let calls = (0..20).map(|_| call(&callback, "{}"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer, accepted());
    }
    assert_eq!(world.logged_webhooks().await, "1");
    assert_eq!(world.test.value(JOB).await, "parse_queued queued true false");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_signed_with_an_empty_secret_is_refused() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("ENVIRONMENT", "development");
    let (_api, client) = fleet.api();
    let job = JobId(client.upload_text("waits", "some text").await.parse().unwrap());
    // Development has a default secret, which is not empty.
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let callback = CallbackKey::new("").callback(&client.url(""), job, expires_at).unwrap();
    assert_eq!(call(&callback, "{}").await, refused(403, "webhook_forbidden"));
}
