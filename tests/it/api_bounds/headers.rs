//! Security headers of every answer, and CORS.

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
    plan.settings.http.cors_origins = vec![ALLOWED.to_owned()];
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
async fn every_answer_has_the_security_headers() {
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
        // A client may cache an answer with an ETag, but must revalidate it.
        let cache_control = if answer.headers().contains_key("etag") { "private, no-cache" } else { "no-store" };
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", cache_control),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(header(&answer, name), value, "{method} {path}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_is_sent_over_https_outside_development() {
    let test = TestDb::new().await;
    for (environment, scheme, sent) in
        [("staging", "https", "max-age=31536000"), ("staging", "http", ""), ("development", "https", "")]
    {
        let mut plan = Plan::new();
        plan.settings.environment = environment.to_owned();
        plan.settings.http.trusted_proxies = 1;
        let api = plan.serve(&test.url).await;
        let answer = send(&api.client, Method::GET, "/livez", &[("x-forwarded-proto", scheme)]).await;
        assert_eq!(header(&answer, "strict-transport-security"), sent, "{environment} {scheme}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_allows_the_configured_origin_and_no_other() {
    let test = TestDb::new().await;
    let api = served(&test).await;
    let jobs = "/api/upload-pipeline/jobs";
    let preflight = |origin: &'static str, method: &'static str, headers: &'static str| {
        [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", headers)]
    };
    let yes = send(
        &api.client,
        Method::OPTIONS,
        jobs,
        &preflight(ALLOWED, "POST", "authorization,content-type,idempotency-key"),
    )
    .await;
    assert!(yes.status().is_success(), "{}", yes.status());
    assert_eq!(header(&yes, "access-control-allow-origin"), ALLOWED);
    assert!(header(&yes, "access-control-allow-methods").contains("POST"));
    for asked in [
        preflight("https://evil.example.com", "GET", "authorization"),
        preflight("https://app.example.com.evil.com", "GET", "authorization"),
        preflight("http://app.example.com", "GET", "authorization"),
        preflight("null", "GET", "authorization"),
        preflight(ALLOWED, "TRACE", "authorization"),
        preflight(ALLOWED, "GET", "x-anything"),
    ] {
        let no = send(&api.client, Method::OPTIONS, jobs, &asked).await;
        assert!(no.status().is_client_error(), "{asked:?}: {}", no.status());
    }
    let bearer = format!("Bearer {}", api.client.token);
    let allowed = send(&api.client, Method::GET, jobs, &[("origin", ALLOWED), ("authorization", &bearer)]).await;
    assert_eq!(header(&allowed, "access-control-allow-origin"), ALLOWED);
    assert!(header(&allowed, "vary").to_ascii_lowercase().contains("origin"));
    let exposed = header(&allowed, "access-control-expose-headers").to_ascii_lowercase();
    for name in ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "etag", "location"] {
        assert!(exposed.split(',').any(|known| known.trim() == name), "{name} is not in {exposed}");
    }
    let forbidden = [("origin", "https://evil.example.com"), ("authorization", bearer.as_str())];
    let forbidden = send(&api.client, Method::GET, jobs, &forbidden).await;
    assert_eq!(header(&forbidden, "access-control-allow-origin"), "");
}
