//! The API as its clients reach it, and what may answer in its place.

use std::net::TcpListener;

use serde_json::json;

use crate::{
    check::{Checked, Environment, check},
    support::{
        certificates::ServerCertificate,
        db::TestDb,
        fakes::http::{Reply, Server},
        fleet::Fleet,
    },
};

/// What `app check --api-url` says of that address, warnings counting.
fn check_api(fleet: &Fleet, url: &str, more: &[&str]) -> Checked {
    check(fleet, &[&["--only", "api", "--strict", "--api-url", url], more].concat())
}

fn without_database() -> Fleet {
    Fleet::new("postgres://app:x@127.0.0.1:1/app", "")
}

#[tokio::test]
async fn what_answers_in_place_of_the_api_is_told_apart() {
    let fleet = without_database();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check_api(&fleet, &format!("http://{free}"), &[]).requires("api.reach/refused");
    check_api(&fleet, "http://no-such-host.invalid", &[]).requires("api.reach/no_address");
    let silent = Server::start(|_request| Reply::Silence);
    check_api(&fleet, &silent.url(), &[]).requires("api.reach/timed_out");
    let platform = Server::start(|_request| Reply::text(502, "<html>Bad Gateway</html>"));
    let checked = check_api(&fleet, &platform.url(), &[]);
    assert!(checked.requires("api.reach/bad_gateway")["fix"].as_str().unwrap().contains("PORT"));
    let page = Server::start(|_request| Reply::text(200, "<html>Welcome to nginx!</html>"));
    check_api(&fleet, &page.url(), &[]).requires("api.reach/not_ours");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named() {
    let certificate = ServerCertificate::make();
    let health =
        json!({ "status": "ok", "environment": "development", "commit": "unknown", "branch": "x", "checks": {} });
    let of_real = health.clone();
    let server = Server::start_with(Some(certificate.server.clone()), move |_request| Reply::json(200, &of_real));
    let mut fleet = without_database();
    check_api(&fleet, &server.url(), &[]).requires("api.reach/tls_failed");
    fleet.set("SSL_CERT_FILE", &certificate.ca_file());
    assert_eq!(check_api(&fleet, &server.url(), &[]).causes(), [""; 0]);
    let ending = ServerCertificate::of("29");
    let server = Server::start_with(Some(ending.server.clone()), move |_request| Reply::json(200, &health));
    fleet.set("SSL_CERT_FILE", &ending.ca_file());
    let checked = check_api(&fleet, &server.url(), &[]);
    let finding = checked.requires("api.reach/certificate_ends_soon");
    assert!(finding["observed"].as_str().unwrap().contains("ends in 28 days"), "{finding}");
}

#[tokio::test]
async fn a_real_api_passes_and_another_commit_branch_or_worker_is_named() {
    let mut environment = Environment::new().await;
    let commit = "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1";
    environment.fleet.set("RENDER_GIT_COMMIT", commit);
    environment.fleet.set("RENDER_GIT_BRANCH", "release");
    let (_api, client) = environment.fleet.api();
    let fleet = &environment.fleet;
    let root = &client.root;
    let whole = format!("{root}/api/upload-pipeline/");
    for expected in [&["--expect-commit", &commit[..7], "--expect-branch", "release"][..], &[]] {
        let checked = check_api(fleet, &whole, expected);
        assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
        assert_eq!(checked.one("api.commit")["status"], "passed", "{:#}", checked.report);
    }
    check_api(fleet, root, &["--expect-commit", "1111111"]).requires("api.commit/commit_unexpected");
    check_api(fleet, root, &["--expect-branch", "main"]).requires("api.commit/branch_unexpected");
    environment
        .db
        .run(
            "INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots)
             VALUES (gen_random_uuid(), 'w', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'release', '0.1.0', 'development', 4)",
        )
        .await;
    check_api(fleet, root, &[]).requires("api.commit/workers_differ");
}

#[tokio::test]
async fn an_api_that_is_not_ready_says_why() {
    let empty = TestDb::empty().await;
    let fleet = Fleet::new(&empty.url, &empty.url);
    let (_api, client) = fleet.api();
    let checked = check_api(&without_database(), &client.root, &[]);
    let finding = checked.requires("api.ready/not_ready");
    assert_eq!(finding["observed"], "schema: schema_behind", "{finding}");
    assert!(finding["fix"].as_str().unwrap().contains("app migrate"), "{finding}");
}

#[tokio::test]
async fn an_api_of_another_environment_is_named() {
    let staging = TestDb::new().await;
    staging.run("UPDATE upload_pipeline.environment_stamp SET environment = 'staging'").await;
    let mut fleet = Fleet::new(&staging.url, &staging.url);
    fleet.set("ENVIRONMENT", "staging");
    fleet.set("STORAGE_ALLOW_LOCAL", "true");
    fleet.set("STORAGE_SIGNING_SECRET", &"s".repeat(40));
    let (_api, client) = fleet.api();
    check_api(&without_database(), &client.root, &[]).requires("api.environment/wrong_environment");
}
