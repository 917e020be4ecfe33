//! Documents that LlamaParse parses: sent, waited for and collected, and what can fail on the way.

mod bill;
mod client;
mod failures;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    db::TestDb,
    fakes::llamaparse::{Call, LlamaParse},
    fleet::{App, Client, Fleet, PATIENCE},
};

const KEY: &str = "llx-for-tests-only";
/// A PDF whose pages are images.
const SCAN: &[u8] = include_bytes!("../data/scan.pdf");
const TWO_PAGES: &[u8] = include_bytes!("../data/two-pages.pdf");

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    provider: LlamaParse,
    _api: App,
}

/// A fake provider and an API that receives its webhooks; no worker yet.
async fn world(settings: &[(&str, &str)]) -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let provider = LlamaParse::start(KEY);
    fleet.set("LLAMAPARSE_API_KEY", KEY);
    fleet.set("LLAMAPARSE_API_URL", &provider.url());
    for (name, value) in settings {
        fleet.set(name, value);
    }
    let (api, client) = fleet.api();
    fleet.set("WEBHOOK_BASE_URL", &client.root);
    World { test, fleet, client, provider, _api: api }
}

impl World {
    /// Uploads a scan; returns the id of its job.
    async fn upload(&self) -> String {
        let accepted = self.client.upload_file("scan.pdf", "application/pdf", SCAN).await;
        accepted["job_id"].as_str().unwrap_or_else(|| panic!("{accepted}")).to_owned()
    }

    /// Announces and uploads a file with `ocr: true`; returns the id of its job.
    async fn upload_with_ocr(&self, name: &str, mime: &str, bytes: &[u8]) -> String {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({ "filename": name, "bytes_len": bytes.len(), "mime": mime, "sha256": sha256, "ocr": true });
        let (status, accepted) = self.client.post("/upload", body).await;
        assert_eq!(status, 201, "{accepted}");
        let url = accepted["signed_url"].as_str().unwrap();
        let put = reqwest::Client::new().put(url).body(bytes.to_vec()).send().await.unwrap();
        assert!(put.status().is_success());
        accepted["job_id"].as_str().unwrap().to_owned()
    }

    /// Waits until the provider has the document and no worker holds the job.
    async fn wait_until_parked(&self, job: &str) {
        let parked = format!(
            "SELECT status || ' ' || state || ' ' || (claimed_by IS NULL) || ' ' || (run_at > now())
             FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'"
        );
        self.wait_for(&parked, "parse_queued queued true true").await;
    }

    async fn wait_for(&self, sql: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let got = self.test.value(sql).await;
            if got == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{sql} is {got}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends every wait of a job at once until the job has ended; returns the job.
    async fn skip_waits_until_end(&self, job: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() WHERE state IN ('queued', 'retryable') AND run_at > now(); NOTIFY upload_jobs").await;
            let (_, body) = self.client.get(&format!("/jobs/{job}")).await;
            if body["terminal"] == true {
                return body;
            }
            assert!(Instant::now() < deadline, "the job did not end within {PATIENCE:?}: {body}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The states of a job's calls to the provider, oldest first.
    async fn calls(&self, job: &str) -> String {
        let sql = format!(
            "SELECT coalesce(string_agg(state, ' ' ORDER BY intended_at), '') FROM upload_pipeline.provider_calls WHERE job_id = '{job}'"
        );
        self.test.value(&sql).await
    }

    /// How many events with this code a job has.
    async fn events(&self, job: &str, code: &str) -> String {
        let sql = format!("SELECT count(*) FROM upload_pipeline.events WHERE job_id = '{job}' AND code = '{code}'");
        self.test.value(&sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_parsed_remotely_and_collected_when_the_webhook_arrives() {
    let world = world(&[]).await;
    world.provider.set(|behaviour| behaviour.status = "RUNNING");
    let mut worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    // Only the webhook can finish the job before this time.
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 hour'").await;
    let begun = world.provider.jobs();
    assert_eq!(begun.len(), 1);
    let [hook] = begun[0].body["webhook_configurations"].as_array().unwrap().as_slice() else {
        panic!("{:?}", begun[0].body)
    };
    let url = hook["webhook_url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{}/api/upload-pipeline/webhook/llamaparse/{job}/", world.client.root))
            && url.len() < 200,
        "{url}"
    );
    assert!(
        begun[0].file.windows(SCAN.len()).any(|window| window == SCAN),
        "the provider got other bytes than were uploaded"
    );
    let sent = String::from_utf8_lossy(&begun[0].file);
    assert!(
        sent.contains("document.pdf") && !sent.contains("scan.pdf"),
        "the provider must not get the user's file name"
    );
    world.provider.set(|behaviour| behaviour.status = "COMPLETED");
    for _ in 0..5 {
        assert_eq!(begun[0].call_back(br#"{"event_type":"parse.success"}"#), 200);
    }
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!((&ended["status"], &ended["last_error"]), (&json!("complete"), &Value::Null), "{ended}");
    assert_eq!(world.calls(&job).await, "collected");
    let document = world.test.rows("SELECT parser, kind, page_count FROM upload_pipeline.documents").await;
    assert_eq!(document, [["llamaparse", "pdf", "2"]]);
    let (_, found) =
        world.client.post("/search", json!({ "query": "Where does the otter swim?", "mode": "text" })).await;
    let hit = &found["hits"][0];
    assert_eq!((&hit["page_first"], &hit["page_last"]), (&json!(1), &json!(2)), "{found}");
    let logged = "SELECT count(*) || ' ' || bool_and(ip_address IS NOT NULL) FROM upload_pipeline.webhook_log";
    assert_eq!(world.test.value(logged).await, "1 true");
    // A late webhook changes nothing.
    let before = world.test.value("SELECT to_jsonb(j) FROM upload_pipeline.upload_jobs AS j").await;
    assert_eq!(begun[0].call_back(br#"{"event_type":"parse.success","again":true}"#), 200);
    assert_eq!(world.test.value("SELECT to_jsonb(j) FROM upload_pipeline.upload_jobs AS j").await, before);
    // The log contains neither the document's text, nor the API key, nor the secrets of the webhook.
    let token = url.rsplit('/').next().unwrap();
    let secret = hook["webhook_headers"]["X-Webhook-Secret"].as_str().unwrap();
    let log = worker.read_log().join("\n");
    for secret in [KEY, token, secret, "heron", "otter"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_completed_even_if_all_webhooks_are_lost() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    let (scan, ocr) = (world.upload().await, world.upload_with_ocr("two.pdf", "application/pdf", TWO_PAGES).await);
    for job in [&scan, &ocr] {
        let ended = world.client.wait_for_end(job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
        assert_eq!(world.calls(job).await, "collected");
    }
    assert_eq!(world.provider.jobs().len(), 2);
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.webhook_log").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_arrives_before_the_workers_commit_is_not_lost() {
    let world = world(&[]).await;
    world
        .provider
        .set(|behaviour| (behaviour.calls_back_early, behaviour.start_delay) = (true, Duration::from_millis(500)));
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    let parked = format!(
        "SELECT extract(epoch FROM (payload ->> 'run_at')::timestamptz - ts) < 1
         FROM upload_pipeline.events WHERE job_id = '{job}' AND code = 'waiting_for_parser' ORDER BY seq LIMIT 1"
    );
    assert_eq!(world.test.value(&parked).await, "t", "the job waited although its webhook had arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_key_leaves_waiting_jobs_to_others_until_the_timeout() {
    let world = world(&[]).await;
    world.provider.set(|behaviour| behaviour.status = "RUNNING");
    let worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    assert_eq!(worker.stop(), 0);
    let mut fleet = world.fleet;
    fleet.set("PARSER", "local");
    let _keyless = fleet.worker();
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now(); NOTIFY upload_jobs").await;
    let left = format!(
        "SELECT count(*) FROM upload_pipeline.events
         WHERE job_id = '{job}' AND code = 'waiting_for_parser' AND (payload ->> 'run_at')::timestamptz - ts > interval '55 seconds'"
    );
    let deadline = Instant::now() + PATIENCE;
    while world.test.value(&left).await != "1" {
        assert!(Instant::now() < deadline, "the worker without the key did not leave the job waiting");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.test.run("UPDATE upload_pipeline.provider_calls SET accepted_at = now() - interval '2 hours'").await;
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now(); NOTIFY upload_jobs").await;
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!(ended["last_error"]["code"], "no_text_layer", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_can_be_read_locally_is_sent_only_on_request() {
    let world = world(&[]).await;
    let worker = world.fleet.worker();
    let plain = world.client.upload_file("two.pdf", "application/pdf", TWO_PAGES).await;
    let text =
        world.upload_with_ocr("notes.md", "text/markdown", b"# Notes\n\nThe heron reads Markdown itself.\n").await;
    for job in [plain["job_id"].as_str().unwrap(), &text] {
        let ended = world.client.wait_for_end(job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
    }
    assert_eq!(world.provider.calls(Call::Upload), 0);
    assert_eq!(worker.stop(), 0);

    let mut fleet = world.fleet;
    fleet.set("PARSER", "llamaparse");
    let worker = fleet.worker();
    let handbook = include_bytes!("../../samples/office-handbook.docx");
    let mime = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let accepted = world.client.upload_file("handbook.docx", mime, handbook).await;
    let ended = world.client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_eq!(world.provider.jobs().len(), 1);
    // A file whose content contradicts its type is refused here and costs nothing.
    let disguised = [TWO_PAGES, b"\n% a letter\n"].concat();
    let hostile = world.client.upload_file("letter.docx", mime, &disguised).await;
    let ended = world.client.wait_for_end(hostile["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["last_error"]["code"], "type_mismatch", "{ended}");
    assert_eq!(world.provider.calls(Call::Upload), 1);
    assert_eq!(worker.stop(), 0);

    fleet.set("PARSER", "local");
    let _worker = fleet.worker();
    let accepted = world.client.upload_file("scan.pdf", "application/pdf", SCAN).await;
    let ended = world.client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["last_error"]["code"], "no_text_layer", "{ended}");
    assert_eq!(world.provider.calls(Call::Upload), 1);
}
