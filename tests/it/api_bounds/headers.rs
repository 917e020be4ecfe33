//! What every answer carries, and who may read it from a page.

use reqwest::{Method, Response};

use super::header;
use crate::support::{
    db::TestDb,
    fleet::Client,
    served::{Plan, Served},
};

const ALLOWED: &str = "https://app.example.com";

async fn served(test: &TestDb) -> Served {
    let mut plan = Plan::new();
    plan.settings.cors_origins = vec![ALLOWED.to_owned()];
    plan.serve(&test.url).await
}

async fn send(client: &Client, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", client.root));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_to_do_nothing_clever_with_it() {
    let test = TestDb::new().await;
    let api = served(&test).await;
    let bearer = format!("Bearer {}", api.client.token);
    let preflight = [("origin", ALLOWED), ("access-control-request-method", "GET")];
    for (method, path, headers, status) in [
        (Method::GET, "/livez", &[][..], 200),
        (Method::GET, "/health", &[][..], 200),
        (Method::GET, "/nowhere", &[][..], 404),
        (Method::POST, "/livez", &[][..], 405),
        (Method::GET, "/api/upload-pipeline/jobs", &[][..], 401),
        (Method::GET, "/api/upload-pipeline/jobs", &[("authorization", bearer.as_str())][..], 200),
        (Method::GET, "/api/upload-pipeline/jobs/x", &[("authorization", bearer.as_str())][..], 400),
        (Method::OPTIONS, "/api/upload-pipeline/jobs", &preflight[..], 200),
    ] {
        let answer = send(&api.client, method.clone(), path, headers).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        // What has a tag may be kept by whoever asked, and is asked for again each time.
        let kept = if answer.headers().contains_key("etag") { "private, no-cache" } else { "no-store" };
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", kept),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(header(&answer, name), value, "{method} {path}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_held_to_https_where_they_came_by_it() {
    let test = TestDb::new().await;
    for (environment, scheme, sent) in
        [("staging", "https", "max-age=31536000"), ("staging", "http", ""), ("development", "https", "")]
    {
        let mut plan = Plan::new();
        plan.settings.environment = environment.to_owned();
        let api = plan.serve(&test.url).await;
        let answer = send(&api.client, Method::GET, "/livez", &[("x-forwarded-proto", scheme)]).await;
        assert_eq!(header(&answer, "strict-transport-security"), sent, "{environment} {scheme}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_named_origin_may_call_and_another_may_not() {
    let test = TestDb::new().await;
    let api = served(&test).await;
    let jobs = "/api/upload-pipeline/jobs";
    let asks = |origin: &'static str, method: &'static str, headers: &'static str| {
        [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", headers)]
    };
    let yes =
        send(&api.client, Method::OPTIONS, jobs, &asks(ALLOWED, "POST", "authorization,content-type,idempotency-key"))
            .await;
    assert!(yes.status().is_success(), "{}", yes.status());
    assert_eq!(header(&yes, "access-control-allow-origin"), ALLOWED);
    assert!(header(&yes, "access-control-allow-methods").contains("POST"));
    for asked in [
        asks("https://evil.example.com", "GET", "authorization"),
        asks("https://app.example.com.evil.com", "GET", "authorization"),
        asks("http://app.example.com", "GET", "authorization"),
        asks("null", "GET", "authorization"),
        asks(ALLOWED, "PATCH", "authorization"),
        asks(ALLOWED, "GET", "x-anything"),
    ] {
        let no = send(&api.client, Method::OPTIONS, jobs, &asked).await;
        assert!(no.status().is_client_error(), "{asked:?}: {}", no.status());
    }
    let bearer = format!("Bearer {}", api.client.token);
    let mine = send(&api.client, Method::GET, jobs, &[("origin", ALLOWED), ("authorization", &bearer)]).await;
    assert_eq!(header(&mine, "access-control-allow-origin"), ALLOWED);
    assert!(header(&mine, "vary").to_ascii_lowercase().contains("origin"));
    let exposed = header(&mine, "access-control-expose-headers").to_ascii_lowercase();
    for name in ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "etag", "location"] {
        assert!(exposed.split(',').any(|known| known.trim() == name), "{name} is not in {exposed}");
    }
    let theirs = [("origin", "https://evil.example.com"), ("authorization", bearer.as_str())];
    let theirs = send(&api.client, Method::GET, jobs, &theirs).await;
    assert_eq!(header(&theirs, "access-control-allow-origin"), "");
}
