//! One correlation id links an upload to the logs of both processes and to the events of its job. No log line contains the
//! text of a document.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet, USER},
};

/// A word that occurs in the document and nowhere else.
const MARKER: &str = "Zwiebelturmglocke";

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    api: App,
    worker: App,
}

async fn world() -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("LOG_FORMAT", "json");
    fleet.set("LOG_LEVEL", "info,app=debug");
    let (api, client) = fleet.api();
    let worker = fleet.worker();
    World { test, fleet, client, api, worker }
}

impl World {
    /// Stops the process and returns its log lines, each parsed as JSON.
    fn lines(mut app: App, last: &str) -> Vec<Value> {
        app.signal("TERM");
        app.wait_for(last);
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        app.read_log().iter().map(parse).collect()
    }
}

fn header(response: &reqwest::Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

async fn post(client: &Client, path: &str, body: &Value, ids: &[(&str, &str)]) -> reqwest::Response {
    let request = reqwest::Client::new().post(client.url(path)).bearer_auth(&client.token).json(body);
    ids.iter().fold(request, |request, (name, id)| request.header(*name, *id)).send().await.unwrap()
}

/// The lines that name at least one of a job's ids.
fn about<'a>(lines: &'a [Value], ids: &[&str]) -> Vec<&'a Value> {
    lines.iter().filter(|line| ids.iter().any(|id| line.to_string().contains(id))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_correlation_id_of_a_client_is_in_every_log_line_and_event_of_its_job() {
    let World { test, fleet, client, api, worker } = world().await;
    let text = format!("# The {MARKER}\n\nNobody rings the {MARKER} on Sundays.\n");
    let sha256: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let announced =
        json!({ "filename": "bells.md", "bytes_len": text.len(), "mime": "text/markdown", "sha256": sha256 });
    let (request, correlation) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let sent = [("X-Request-Id", request.as_str()), ("X-Correlation-Id", correlation.as_str())];
    let response = post(&client, "/upload", &announced, &sent).await;
    assert_eq!(
        (header(&response, "x-request-id"), header(&response, "x-correlation-id")),
        (request, correlation.clone())
    );
    let accepted: Value = response.json().await.unwrap();
    let [job, document, url] = ["job_id", "document_id", "signed_url"].map(|name| accepted[name].as_str().unwrap());

    // The PUT sends no ids. It belongs to the job, so it gets the job's correlation id.
    let put = reqwest::Client::new().put(url).body(text.clone()).send().await.unwrap();
    assert_eq!((put.status().as_u16(), header(&put, "x-correlation-id")), (204, correlation.clone()));
    assert_eq!(client.wait_for_end(job).await["status"], "complete");

    let worker = World::lines(worker, "the worker has stopped");
    let api = World::lines(api, "stopping");
    let upload = url.split(['/', '?']).find(|part| part.len() == 36).unwrap();
    for (lines, process) in [(&api, "api"), (&worker, "worker")] {
        let about = about(lines, &[job, document, upload]);
        assert!(about.len() >= 2, "{process}: {about:?}");
        for line in about {
            assert_eq!(line["correlation_id"], correlation, "{line}");
            assert_eq!(line["role"], process, "{line}");
        }
    }
    let answered = |line: &&Value| {
        line["message"].as_str().is_some_and(|text| text.starts_with("PUT ") && text.contains(" answered 204 "))
    };
    let closing: Vec<_> = api.iter().filter(answered).collect();
    assert!(closing.len() == 1 && closing[0]["correlation_id"] == correlation, "{closing:?}");
    let finished = format!("job {job} is complete");
    assert!(worker.iter().any(|line| line["message"] == finished && line["document.id"] == document), "{worker:?}");

    let written = format!("SELECT DISTINCT correlation_id FROM upload_pipeline.events WHERE job_id = '{job}'");
    assert_eq!(test.value(&written).await, correlation);
    let stored = format!("SELECT correlation_id FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'");
    assert_eq!(test.value(&stored).await, correlation);

    let logs: String = api.iter().chain(&worker).map(|line| format!("{line}\n")).collect();
    let signature = url.split_once("signature=").unwrap().1;
    let (key, parsed) = (format!("raw/{USER}"), format!("parsed/{USER}"));
    for secret in [MARKER, "rings the", signature, &client.token, &key, &parsed, "secret-for-tests"] {
        let line = logs.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret:?} is in the log: {line:?}");
    }
    drop(fleet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_document_is_found_by_the_correlation_id_of_its_upload() {
    let World { test, fleet, client, api, worker } = world().await;
    let part = reqwest::multipart::Part::text(format!("%PDF-1.7 {MARKER}")).file_name("torn.pdf");
    let form = reqwest::multipart::Form::new().part("file", part.mime_str("application/pdf").unwrap());
    // An id that is not a UUID is ignored, so that no text of a client gets into rows and logs.
    let request = reqwest::Client::new().post(client.url("/documents")).bearer_auth(&client.token).multipart(form);
    let response = request.header("X-Request-Id", "made-up-by-a-client").send().await.unwrap();
    let (id, correlation) = (header(&response, "x-request-id"), header(&response, "x-correlation-id"));
    assert_eq!(id, correlation);
    let job = response.json::<Value>().await.unwrap()["documents"][0]["job_id"].as_str().unwrap().to_owned();
    assert_eq!(client.wait_for_end(&job).await["state"], "deadletter");
    // A later request about the job is answered with the job's correlation id, not with its own request id.
    let retried = post(&client, &format!("/jobs/{job}/retry"), &json!({}), &[]).await;
    assert_eq!((retried.status().as_u16(), header(&retried, "x-correlation-id")), (202, correlation.clone()));
    assert_ne!(header(&retried, "x-request-id"), correlation);
    client.wait_for_end(&job).await;

    let worker = World::lines(worker, "the worker has stopped");
    let api = World::lines(api, "stopping");
    let failed = |line: &&Value| line["level"] == "WARN" && line["correlation_id"] == correlation;
    let failures: Vec<_> = worker.iter().filter(failed).collect();
    assert_eq!(failures.len(), 2, "{worker:?}");
    assert!(failures.iter().all(|line| line["error.class"] == "document" && line["job.id"] == job), "{failures:?}");
    for line in about(&api, &[&job]).into_iter().chain(about(&worker, &[&job])) {
        assert_eq!(line["correlation_id"], correlation, "{line}");
    }
    let events =
        test.rows(&format!("SELECT type, correlation_id FROM upload_pipeline.events WHERE job_id = '{job}'")).await;
    assert!(events.iter().all(|event| event[1] == correlation), "{events:?}");
    assert!(events.iter().any(|event| event[0] == "redriven"), "{events:?}");
    for line in api.iter().chain(&worker) {
        assert!(!line.to_string().contains(MARKER) && !line.to_string().contains("made-up"), "{line}");
    }
    drop(fleet);
}
