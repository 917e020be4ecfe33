//! A document from upload to search as its user sees it, and the errors that can happen on the way.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet},
};

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    _api: App,
    _worker: App,
}

async fn world(settings: &[(&str, &str)]) -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    for (name, value) in settings {
        fleet.set(name, value);
    }
    let (api, client) = fleet.api();
    let worker = fleet.worker();
    World { test, fleet, client, _api: api, _worker: worker }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Announces an upload.
async fn announce(client: &Client, name: &str, bytes: &[u8], sha256: &str) -> (u16, Value) {
    let body = json!({ "filename": name, "bytes_len": bytes.len(), "mime": "text/markdown", "sha256": sha256 });
    client.post("/upload", body).await
}

/// PUTs bytes to the signed URL of an announcement.
async fn put(client: &Client, signed_url: &str, bytes: &[u8]) -> (u16, Value) {
    let url = if signed_url.starts_with('/') { format!("{}{signed_url}", client.root) } else { signed_url.to_owned() };
    let response = reqwest::Client::new().put(url).body(bytes.to_vec()).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_upload_becomes_searchable_only_for_its_owner() {
    let world = world(&[]).await;
    let client = &world.client;
    let text = b"# Whales\n\nThe blue whale sings below twenty hertz, which no ferry captain hears.\n";
    let (status, accepted) = announce(client, "whales.md", text, &sha256(text)).await;
    assert_eq!(status, 201, "{accepted}");
    let (status, stored) = put(client, accepted["signed_url"].as_str().unwrap(), text).await;
    assert!((200..300).contains(&status), "{stored}");
    let job = client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["progress"]["total_pct"]), (&"complete".into(), &100.0.into()), "{job}");
    for mode in ["hybrid", "vector", "text"] {
        let (_, found) =
            client.post("/search", json!({ "query": "What does a whale sound like?", "mode": mode })).await;
        assert_eq!(found["hits"][0]["filename"], "whales.md", "{mode}: {found}");
    }
    let stranger = client.as_user("22222222-2222-4222-8222-222222222222");
    let (_, found) = stranger.post("/search", json!({ "query": "whale" })).await;
    assert_eq!(found["hits"], json!([]));
    let document = accepted["document_id"].as_str().unwrap();
    for path in [format!("/jobs/{}", accepted["job_id"].as_str().unwrap()), format!("/documents/{document}")] {
        assert_eq!(stranger.get(&path).await.0, 404, "{path}");
    }
    // The same content is refused while the document exists, and accepted after it was deleted.
    let (status, again) = announce(client, "again.md", text, &sha256(text)).await;
    assert_eq!(
        (status, &again["code"], &again["document_id"]),
        (409, &"document_exists".into(), &document.into()),
        "{again}"
    );
    let (status, receipt) = client.send(reqwest::Method::DELETE, &format!("/documents/{document}"), None).await;
    assert_eq!(status, 202, "{receipt}");
    assert_eq!(client.get(&format!("/documents/{document}")).await.0, 404);
    assert_eq!(announce(client, "again.md", text, &sha256(text)).await.0, 201);
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.document_chunks").await, "0");
}

/// A workbook of three sheets: one that can be read, one that is damaged, one that is hidden.
fn workbook() -> Vec<u8> {
    let relationships = |links: &[(&str, &str, &str)]| {
        let links: String = links
            .iter()
            .map(|(id, kind, target)| format!("<Relationship Id=\"{id}\" Type=\"x/{kind}\" Target=\"{target}\"/>"))
            .collect();
        format!("<Relationships>{links}</Relationships>")
    };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [
        ("[Content_Types].xml", "<Types/>".to_owned()),
        ("_rels/.rels", relationships(&[("r", "officeDocument", "xl/workbook.xml")])),
        ("xl/_rels/workbook.xml.rels", relationships(&[("a", "worksheet", "a.xml"), ("b", "worksheet", "b.xml")])),
        (
            "xl/workbook.xml",
            "<workbook><sheets><sheet name=\"Fares\" r:id=\"a\"/><sheet name=\"Broken\" r:id=\"b\"/>\
             <sheet name=\"Notes\" state=\"hidden\" r:id=\"a\"/></sheets></workbook>"
                .to_owned(),
        ),
        (
            "xl/a.xml",
            "<worksheet><row><c t=\"inlineStr\"><is><t>A ferry fare.</t></is></c></row></worksheet>".to_owned(),
        ),
        ("xl/b.xml", "<worksheet><row <".to_owned()),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_a_failed_page_is_complete_and_its_record_says_so() {
    let world = world(&[]).await;
    let client = &world.client;
    let accepted = client.upload_file("fares.xlsx", "application/octet-stream", &workbook()).await;
    let (job, document) = (accepted["job_id"].as_str().unwrap(), accepted["document_id"].as_str().unwrap());
    assert_eq!(client.wait_for_end(job).await["status"], "complete");
    let (_, found) = client.get(&format!("/documents/{document}")).await;
    let record = json!({
        "reader": "local", "reader_version": domain::record::READER_VERSION, "pages": 2, "read": 1, "ocr": 0, "empty": 0,
        "failed": 1, "by_ocr": [],
        "failures": [{ "why": "unreadable", "pages": [2], "count": 1 }],
        "left_out": [{ "what": "hidden_sheets", "count": 1 }],
        "truncated": false,
        "notices": ["1 page couldn't be read: 2.", "Left out: 1 hidden sheet."]
    });
    assert_eq!((&found["kind"], &found["record"]), (&"xlsx".into(), &record), "{found}");
    let events = world.test.rows("SELECT type, severity FROM upload_pipeline.events WHERE code = 'partly_read'").await;
    assert_eq!(events, [["partly_read", "warn"]]);
    // The same without a database.
    let file = world.fleet.file("fares.xlsx", &workbook());
    let (status, printed, log) = world.fleet.run(&["parse", "--report", file.to_str().unwrap()]);
    assert!(status.success() && printed.contains("A ferry fare."), "{log}");
    let reported: Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(reported, json!({ "kind": "xlsx", "record": record }));
    let damaged = world.fleet.file("damaged.xlsx", b"PK\x03\x04half");
    let (status, _, log) = world.fleet.run(&["parse", damaged.to_str().unwrap()]);
    assert!(status.code() == Some(1) && log.contains("[file_truncated]"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_has_every_step_in_order() {
    let world = world(&[]).await;
    let job = world.client.upload_text("steps", "# One\n\ntwo three").await;
    world.client.wait_for_end(&job).await;
    let (_, events) = world.client.get(&format!("/jobs/{job}/events")).await;
    let items = events["items"].as_array().or_else(|| events.as_array()).unwrap_or_else(|| panic!("{events}"));
    let steps: Vec<String> = items.iter().map(|e| format!("{} {}", e["type"], e["code"]).replace('"', "")).collect();
    assert_eq!(
        steps,
        [
            "enqueued uploaded",
            "stage_started parse",
            "stage_done parsed",
            "stage_started validate",
            "stage_done parse_validated",
            "stage_started chunk",
            "stage_done chunks_stored",
            "stage_started embed",
            "stage_done embeddings_stored",
            "stage_started finish",
            "finalized complete"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_file_fails_with_its_own_code_and_affects_no_other() {
    let world = world(&[]).await;
    let random: Vec<u8> = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let cases: [(&str, &str, &[u8], &str); 6] = [
        ("scan.pdf", "application/pdf", include_bytes!("../data/scan.pdf"), "no_text_layer"),
        ("locked.pdf", "application/pdf", include_bytes!("../data/password.pdf"), "file_encrypted"),
        ("bomb.pdf", "application/pdf", include_bytes!("../data/deflate-bomb.pdf"), "parse_memory"),
        ("noise.pdf", "application/pdf", &random, "type_mismatch"),
        (
            "letter.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            b"Dear all,",
            "type_mismatch",
        ),
        ("blank.md", "text/markdown", b" \n\n \n", "text_empty"),
    ];
    let mut jobs = Vec::new();
    for (name, mime, bytes, code) in cases {
        let entry = world.client.upload_file(name, mime, bytes).await;
        jobs.push((name, code, entry["job_id"].as_str().unwrap_or_else(|| panic!("{name}: {entry}")).to_owned()));
    }
    let good = world.client.upload_text("good", "# Good\n\nnothing wrong here").await;
    for (name, code, job) in jobs {
        let ended = world.client.wait_for_end(&job).await;
        let error = &ended["last_error"];
        if name == "bomb.pdf" {
            let code = error["code"].as_str().unwrap();
            assert!(
                ["parse_memory", "parse_timeout", "parse_output_limit", "no_text_layer", "file_corrupt"]
                    .contains(&code),
                "{ended}"
            );
        } else {
            assert_eq!(error["code"], code, "{name}: {ended}");
        }
        assert_eq!((&ended["state"], &ended["status"]), (&"deadletter".into(), &"failed_parse".into()), "{name}");
        assert!(error["message"].as_str().unwrap().len() > 30, "{name}: {error}");
        let logged = world
            .test
            .value(&format!("SELECT code FROM upload_pipeline.events WHERE job_id = '{job}' AND type = 'error'"))
            .await;
        assert_eq!(error["code"], logged.as_str());
    }
    assert_eq!(world.client.wait_for_end(&good).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_differ_from_the_announcement_are_refused_and_can_be_sent_again() {
    let world = world(&[]).await;
    let client = &world.client;
    let text = b"# The announced text\n\nand nothing else";
    let (_, accepted) = announce(client, "a.md", text, &sha256(text)).await;
    let signed = accepted["signed_url"].as_str().unwrap().to_owned();
    let (status, problem) = put(client, &signed, b"# Another text of another size").await;
    assert!((400..500).contains(&status) && problem["code"] == "size_mismatch", "{status} {problem}");
    let same_size: Vec<u8> = text.iter().rev().copied().collect();
    let (status, problem) = put(client, &signed, &same_size).await;
    assert!((400..500).contains(&status) && problem["code"] == "hash_mismatch", "{status} {problem}");
    let tampered = signed.replace("signature=", "signature=x");
    let (status, problem) = put(client, &tampered, text).await;
    assert!((400..500).contains(&status) && problem["code"].is_string(), "{status} {problem}");
    assert!((200..300).contains(&put(client, &signed, text).await.0));
    assert_eq!(client.wait_for_end(accepted["job_id"].as_str().unwrap()).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_never_arrives_expires_and_can_be_announced_again() {
    let world = world(&[("UPLOAD_EXPIRY", "1")]).await;
    let text = b"never sent";
    let (_, accepted) = announce(&world.client, "late.md", text, &sha256(text)).await;
    world
        .test
        .run("UPDATE upload_pipeline.upload_jobs SET run_at = now(), upload_expires_at = now() - interval '1 second'")
        .await;
    let ended = world.client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["last_error"]["code"], "upload_expired", "{ended}");
    let (status, again) = announce(&world.client, "late.md", text, &sha256(text)).await;
    assert_eq!((status, &again["document_id"]), (201, &accepted["document_id"]), "{again}");
    assert_ne!(again["job_id"], accepted["job_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_have_their_own_codes_and_requests_without_a_token_are_refused() {
    let world = world(&[]).await;
    let client = &world.client;
    let http = reqwest::Client::new();
    let problem = |response: reqwest::Response| async move {
        let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert!(kind.is_some_and(|kind| kind.starts_with("application/problem+json")), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{body}");
        (status, body["code"].as_str().unwrap().to_owned())
    };
    let none = http.get(client.url("/jobs")).send().await.unwrap();
    assert_eq!(problem(none).await, (401, "token_missing".into()));
    let wrong = http.get(client.url("/jobs")).bearer_auth("x.y.z").send().await.unwrap();
    assert_eq!(problem(wrong).await, (401, "token_invalid".into()));
    let lost = http.get(client.url("/nowhere")).bearer_auth(&client.token).send().await.unwrap();
    assert_eq!(problem(lost).await.0, 404);
    let malformed = http
        .post(client.url("/search"))
        .bearer_auth(&client.token)
        .header("content-type", "application/json")
        .body("{");
    assert_eq!(problem(malformed.send().await.unwrap()).await.0, 400);
    let unknown = http.get(client.url(&format!("/jobs/{}", uuid::Uuid::nil()))).bearer_auth(&client.token);
    assert_eq!(problem(unknown.send().await.unwrap()).await.0, 404);
    let (status, body) = client
        .post("/upload", json!({ "filename": "a.pdf", "bytes_len": 999_999_999, "mime": "application/pdf", "sha256": "0".repeat(64) }))
        .await;
    assert_eq!((status, &body["code"]), (413, &"file_too_large".into()), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("25"), "the refusal names its limit: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_uploads_searches_and_manages_keys() {
    let mut world = world(&[]).await;
    let key = world.fleet.create_key(&["ci", "--user", "33333333-3333-4333-8333-333333333333"]);
    world.fleet.set("APP_URL", &world.client.root.clone());
    world.fleet.set("APP_TOKEN", &key);
    let file = world.fleet.file("lighthouse.md", b"# Lighthouse\n\nThe lamp turns once in twelve seconds.\n");
    let empty = world.fleet.file("empty.pdf", b"");
    let (status, stdout, stderr) =
        world.fleet.run(&["upload", "--json", file.to_str().unwrap(), empty.to_str().unwrap()]);
    assert_eq!(status.code(), Some(1), "{stdout}{stderr}");
    let reports: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(reports[0]["status"], "complete", "{reports}");
    assert_eq!(reports[1]["code"], "file_empty", "{reports}");
    let (status, stdout, stderr) = world.fleet.run(&["search", "--json", "How often does the lamp turn?"]);
    assert!(status.success(), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["hits"][0]["filename"], "lighthouse.md");
    let (status, listed, stderr) = world.fleet.run(&["documents", "--filename", "LIGHT"]);
    assert!(status.success() && listed.contains("lighthouse.md") && !listed.contains("empty.pdf"), "{listed}{stderr}");
    let (_, found, _) = world.fleet.run(&[
        "documents",
        "list",
        "--json",
        "--filter",
        r#"{"field": "filename", "eq": "lighthouse.md"}"#,
    ]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!(listed.contains(found[0]["document_id"].as_str().unwrap()), "{listed}{found}");
    check_eval(&world);
    let (_, listed, _) = world.fleet.run(&["keys", "list"]);
    let id = listed.lines().find(|line| line.contains(" ci ")).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(world.fleet.run(&["keys", "revoke", &id]).0.success());
    let (status, _, stderr) = world.fleet.run(&["jobs"]);
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("APP_TOKEN"), "{stderr}");
}

/// `app eval` finds the one passage, keeps the result, compares with it, and fails below a bound.
fn check_eval(world: &World) {
    let line = json!({
        "question": "How often does the lamp turn?",
        "answers": [{ "file": "lighthouse.md", "text": "turns once in twelve seconds" }],
    });
    let questions = world.fleet.file("questions.jsonl", format!("{line}\n").as_bytes());
    let kept = questions.with_file_name("kept.json");
    let (questions, kept) = (questions.to_str().unwrap(), kept.to_str().unwrap());
    let (status, stdout, stderr) = world.fleet.run(&["eval", questions, "--json", "--save", kept]);
    assert!(status.success(), "{stderr}");
    let figures: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(figures.as_array().unwrap().len(), 15, "five measures of three ways: {figures}");
    assert!(figures.as_array().unwrap().iter().all(|figure| figure["value"] == 1.0), "{figures}");
    let (status, stdout, _) = world.fleet.run(&["eval", questions, "--mode", "text", "--baseline", kept]);
    assert!(status.success() && stdout.contains("not distinguishable"), "{stdout}");
    let wrong = line.to_string().replace("lighthouse.md", "another.md");
    let wrong = world.fleet.file("wrong.jsonl", wrong.as_bytes());
    let (status, _, stderr) = world.fleet.run(&["eval", wrong.to_str().unwrap(), "--at-least", "hit@5=0.9"]);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("hit@5 by both is 0.000, below 0.9"), "{stderr}");
}
