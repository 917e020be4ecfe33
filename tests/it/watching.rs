//! Monitoring a deployment: `/metrics` of both services, and the probes on the worker's port.

use std::time::Instant;

use crate::support::{
    cluster::{cluster, connect},
    db::TestDb,
    fleet::{Fleet, PATIENCE},
};

/// A database URL whose port refuses connections at once.
const NOWHERE: &str = "postgres://app:secret@127.0.0.1:1/app";

/// Status and body of a GET; status 0 if nothing listens there.
pub async fn get(url: &str) -> (u16, String) {
    match reqwest::get(url).await {
        Ok(response) => (response.status().as_u16(), response.text().await.unwrap()),
        Err(_) => (0, String::new()),
    }
}

/// Repeats a GET until the answer is as wanted; returns its body.
pub async fn wait_until(url: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, text) = get(url).await;
        if wanted(status, &text) {
            return text;
        }
        assert!(Instant::now() < deadline, "{url} still answers {status}:\n{text}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|have| have == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_port_reports_readiness_and_metrics_of_its_steps() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let port = fleet.set_worker_port();
    let (_api, client) = fleet.api();
    let worker = fleet.worker();
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    wait_until(&at("/readyz"), |status, _| status == 200).await;
    assert_eq!(get(&at("/livez")).await, (200, "ok\n".to_owned()));
    assert_eq!(get(&at("/jobs")).await.0, 404);
    let job = client.upload_text("Notes", "# Ferries\n\nThe ferry leaves at nine.\n").await;
    client.wait_for_end(&job).await;
    let text = wait_until(&at("/metrics"), |_, text| text.contains("step=\"finish\"")).await;
    for line in [
        "app_database_up 1",
        "app_claimed_jobs_total 1",
        "app_claim_duration_seconds_count{outcome=\"claimed\"} 1",
        "app_step_duration_seconds_count{outcome=\"advanced\",step=\"parse\"} 1",
        "app_step_duration_seconds_count{outcome=\"finished\",step=\"finish\"} 1",
        "app_database_pool_waiting 0",
    ] {
        assert!(has(&text, line), "{line} is missing in\n{text}");
    }
    // The API's metrics cover the worker, too.
    let text = wait_until(&format!("{}/metrics", client.root), |_, text| has(text, "upload_workers_alive 1")).await;
    assert!(has(&text, "upload_recent_job_events{type=\"finalized\",class=\"\"} 1"), "{text}");
    assert_eq!(worker.stop(), 0);
    assert_eq!(get(&at("/livez")).await.0, 0, "the port is open although the worker has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_without_a_database_report_that_it_is_down() {
    let mut fleet = Fleet::new(NOWHERE, NOWHERE);
    let port = fleet.set_worker_port();
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let (status, text) = get(&format!("{}/metrics", client.root)).await;
    assert_eq!(status, 200);
    assert!(has(&text, "app_database_up 0"), "{text}");
    assert!(text.contains("\napp_database_errors_total{code=\""), "{text}");
    assert!(!text.contains("upload_jobs_due"), "a gauge of the queue is shown without a database:\n{text}");
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let reason = wait_until(&at("/readyz"), |status, _| status == 503).await;
    assert!(reason.starts_with("waiting for a database"), "{reason}");
    assert_eq!(get(&at("/livez")).await.0, 200);
    let (status, text) = get(&at("/metrics")).await;
    assert!(status == 200 && has(&text, "app_database_up 0"), "{status} {text}");
}

/// Makes the database at `url` refuse or accept connections, and ends the existing ones when it refuses.
pub async fn allow_connections(url: &str, allowed: bool) {
    let name = url.rsplit('/').next().unwrap();
    let admin = connect(&cluster().await.url("postgres")).await.unwrap();
    admin.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}")).await.unwrap();
    if !allowed {
        let end = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'");
        admin.batch_execute(&end).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_show_when_the_database_goes_away_and_comes_back() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let port = fleet.set_worker_port();
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let (api, worker) = (format!("{}/metrics", client.root), format!("http://127.0.0.1:{port}/metrics"));
    let ready = format!("http://127.0.0.1:{port}/readyz");
    for (allowed, line, status) in
        [(true, "app_database_up 1", 200), (false, "app_database_up 0", 503), (true, "app_database_up 1", 200)]
    {
        allow_connections(&test.url, allowed).await;
        for page in [&api, &worker] {
            wait_until(page, |status, text| status == 200 && has(text, line)).await;
        }
        wait_until(&ready, |now, _| now == status).await;
    }
    let (_, text) = get(&worker).await;
    assert!(text.contains("\napp_claim_duration_seconds_count{outcome=\"failed\"} "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_worker_is_live_and_not_ready() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let port = fleet.set_worker_port();
    fleet.set("WORKER_LEASE", "30");
    fleet.set("WORKER_HEARTBEAT", "10");
    let (_api, client) = fleet.api();
    let job = client.upload_text("Notes", "# Ferries\n\nThe ferry leaves at nine.\n").await;
    // This lock holds up the worker's first checkpoint.
    test.run("BEGIN; SELECT FROM upload_pipeline.documents FOR UPDATE").await;
    let mut worker = fleet.worker();
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    wait_until(&at("/metrics"), |_, text| has(text, "app_claimed_jobs_total 1")).await;
    worker.signal("TERM");
    let reason = wait_until(&at("/readyz"), |status, _| status == 503).await;
    assert!(reason.starts_with("stopping"), "{reason}");
    assert_eq!(get(&at("/livez")).await.0, 200);
    test.run("ROLLBACK").await;
    wait_until(&at("/livez"), |status, _| status == 0).await;
    worker.wait_for("the worker has stopped");
    // The job was finished or handed back within the grace period. Neither costs a try.
    let (_, left) = client.get(&format!("/jobs/{job}")).await;
    assert!(left["state"] == "done" || left["state"] == "queued", "{left}");
    assert_eq!((&left["retry_count"], &left["last_error"]), (&0.into(), &serde_json::Value::Null), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_never_by_the_path_of_the_client() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let id = uuid::Uuid::new_v4();
    assert_eq!(client.get(&format!("/jobs/{id}")).await.0, 404);
    assert_eq!(client.get("/jobs/no-uuid-at-all").await.0, 400);
    assert_eq!(client.get("/by-a-stranger").await.0, 404);
    let (_, text) = get(&format!("{}/metrics", client.root)).await;
    let count = |labels: &str, count| format!("app_http_request_duration_seconds_count{{{labels}}} {count}");
    let route = "method=\"GET\",route=\"/api/upload-pipeline/jobs/{id}\",status=\"4xx\"";
    assert!(has(&text, &count(route, 2)), "{text}");
    assert!(has(&text, "app_http_errors_total{code=\"job_not_found\"} 1"), "{text}");
    for typed in [id.to_string().as_str(), "no-uuid-at-all", "by-a-stranger"] {
        assert!(!text.contains(typed), "{typed} is in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_port_is_taken_exits_at_once() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    fleet.set("WORKER_HTTP_HOST", "127.0.0.1");
    fleet.set("WORKER_HTTP_PORT", &taken.local_addr().unwrap().port().to_string());
    let (status, _, stderr) = fleet.run(&["worker"]);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("choose another with WORKER_HTTP_HOST and WORKER_HTTP_PORT"), "{stderr}");
}
