//! Limits on requests and on failed log-ins a minute.

use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{header, problem};
use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet},
    served::Plan,
};

/// Remaining requests and seconds until reset, `(r, t)`, of the named item of the header `RateLimit`.
fn left(response: &reqwest::Response, name: &str) -> (u64, u64) {
    let text = header(response, "ratelimit");
    let item =
        text.split(", ").find(|item| item.starts_with(&format!("\"{name}\""))).unwrap_or_else(|| panic!("{text:?}"));
    let mut numbers = item.split(';').skip(1).map(|part| part.split_once('=').unwrap().1.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

async fn get(client: &Client, path: &str) -> reqwest::Response {
    reqwest::Client::new().get(client.url(path)).bearer_auth(&client.token).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_for_each_user_and_the_headers_show_the_limit() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    // A burst of three, then one more every 3.3 s.
    plan.settings.http.rate_per_minute = 18;
    let api = plan.serve(&test.url).await;
    for (n, path) in [(2, "/jobs"), (1, "/jobs/no-uuid"), (0, "/no/such/route")] {
        let answer = get(&api.client, path).await;
        assert_eq!(header(&answer, "ratelimit-policy"), "\"requests\";q=3;w=10", "{path}");
        assert_eq!(left(&answer, "requests").0, n, "{path}");
    }
    let refused = get(&api.client, "/jobs").await;
    assert_eq!(header(&refused, "ratelimit-policy"), "\"requests\";q=3;w=10");
    let (remaining, reset) = left(&refused, "requests");
    assert!(remaining == 0 && (1..=4).contains(&reset), "{remaining} {reset}");
    assert_eq!(header(&refused, "retry-after"), reset.to_string());
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!((&body["status"], &body["code"]), (&429.into(), &"rate_limited".into()), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("API_RATE_PER_MINUTE"), "{body}");
    assert_eq!(get(&api.client.as_user(&Uuid::new_v4().to_string()), "/jobs").await.status(), StatusCode::OK);
    // Requests to public routes are not counted.
    let open = reqwest::get(format!("{}/livez", api.client.root)).await.unwrap();
    assert_eq!((open.status(), header(&open, "ratelimit")), (StatusCode::OK, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_cancellations_have_a_limit_of_their_own() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.retries_per_minute = 2;
    let api = plan.serve(&test.url).await;
    let ask = async |client: &Client, what: &str| {
        let url = client.url(&format!("/jobs/{}/{what}", Uuid::new_v4()));
        problem(reqwest::Client::new().post(url).bearer_auth(&client.token).send().await.unwrap()).await
    };
    for (what, status, code) in [
        ("retry", StatusCode::NOT_FOUND, "job_not_found"),
        ("cancel", StatusCode::NOT_FOUND, "job_not_found"),
        ("retry", StatusCode::TOO_MANY_REQUESTS, "retry_rate_limited"),
        ("cancel", StatusCode::TOO_MANY_REQUESTS, "retry_rate_limited"),
    ] {
        assert_eq!(ask(&api.client, what).await, (status, code.to_owned()), "{what}");
    }
    assert_eq!(get(&api.client, "/jobs").await.status(), StatusCode::OK);
    let other = api.client.as_user(&Uuid::new_v4().to_string());
    assert_eq!(ask(&other, "cancel").await.1, "job_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_counts_for_the_user_it_names() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("API_RATE_PER_MINUTE", "6");
    let (_api, client) = fleet.api();
    let key = fleet.create_key(&["service"]);
    let (one, two) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    for (user, status) in [(&one, 200), (&one, 429), (&two, 200)] {
        let request = reqwest::Client::new().get(client.url("/jobs")).bearer_auth(&key).header("x-user-id", user);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
}

async fn get_refused(client: &Client, bearer: &str, forwarded: &str) -> (StatusCode, String) {
    let request = reqwest::Client::new().get(client.url("/jobs")).bearer_auth(bearer);
    problem(request.header("x-forwarded-for", forwarded).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_are_limited_by_address_whatever_x_forwarded_for_says() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.login_failures_per_minute = 3;
    let api = plan.serve(&test.url).await;
    for n in 0..3 {
        assert_eq!(get_refused(&api.client, "wrong", &format!("1.1.1.{n}")).await.1, "token_invalid");
    }
    let (status, code) = get_refused(&api.client, "wrong", "2.2.2.2").await;
    assert_eq!((status, code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "login_rate_limited"));
    let forged = format!("{}?expires=1&signature=x", api.client.url(&format!("/uploads/{}", Uuid::new_v4())));
    let forged = reqwest::Client::new().put(forged).send().await.unwrap();
    assert_eq!(problem(forged).await.1, "login_rate_limited");
    // An expired token is not a guess. Its client must be told to sign in again.
    let claims = json!({ "sub": Uuid::new_v4(), "aud": "authenticated", "exp": 1_700_000_000 });
    let key = jsonwebtoken::EncodingKey::from_secret(crate::support::fleet::SECRET.as_bytes());
    let expired = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    assert_eq!(get_refused(&api.client, &expired, "2.2.2.2").await.1, "token_expired");
    // The API does not even look up a key. A user with a valid token is not affected by others at the same address.
    assert_eq!(get_refused(&api.client, "apk_guess", "3.3.3.3").await.1, "login_rate_limited");
    assert_eq!(get(&api.client, "/jobs").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_failed_log_ins_are_limited_by_client() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.login_failures_per_minute = 1;
    plan.settings.http.trusted_proxies = 1;
    let api = plan.serve(&test.url).await;
    for (forwarded, code) in [
        ("9.9.9.9, 1.1.1.1", "token_invalid"),
        ("8.8.8.8, 1.1.1.1", "login_rate_limited"),
        ("1.1.1.1, 2.2.2.2", "token_invalid"),
        ("2001:db8::1", "token_invalid"),
        ("2001:db8::2", "login_rate_limited"),
    ] {
        assert_eq!(get_refused(&api.client, "wrong", forwarded).await.1, code, "{forwarded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_accepted_again_after_a_while() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.http.rate_per_minute = 600;
    let api = plan.serve(&test.url).await;
    let client = reqwest::Client::new();
    let once = || client.post(api.client.url("/search")).bearer_auth(&api.client.token).json(&json!({})).send();
    let deadline = std::time::Instant::now() + crate::support::fleet::PATIENCE;
    while once().await.unwrap().status() != StatusCode::TOO_MANY_REQUESTS {
        assert!(std::time::Instant::now() < deadline, "never refused");
    }
    while once().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS {
        assert!(std::time::Instant::now() < deadline, "refused for ever");
    }
}
