//! A document is replaced in place: the version before is there until the new one is complete, and after, to be restored.

mod kept;
mod refused;

use std::time::{Duration, Instant};

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::{
    requests::{Answer, request, send},
    support::{
        db::TestDb,
        fleet::{App, Client, Fleet, PATIENCE},
    },
};

/// Sections of a document, each a passage of its own: a name and a word that only it has.
const SECTIONS: [(&str, &str); 4] =
    [("Whales", "plankton"), ("Ferries", "harbourmaster"), ("Otters", "riverbank"), ("Trains", "locomotive")];

/// Markdown with these sections of [`SECTIONS`]; of those that are `changed`, with another word.
fn markdown(sections: &[usize], changed: &[usize]) -> String {
    let section = |at: &usize| {
        let (name, word) = SECTIONS[*at];
        let word = if changed.contains(at) { format!("{word} carousel") } else { word.to_owned() };
        let sentences = format!("Here the {word} of chapter {at} is told of at length. ").repeat(12);
        format!("# {name}\n\n{}\n\n", sentences.trim_end())
    };
    sections.iter().map(section).collect()
}

/// An API, and one complete document of three sections.
struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    document: String,
    _api: App,
}

impl World {
    async fn new() -> Self {
        let test = TestDb::new().await;
        let mut fleet = Fleet::new(&test.url, &test.url);
        let (api, client) = fleet.api();
        fleet.set("APP_URL", &client.root);
        fleet.set("APP_TOKEN", &client.token);
        let worker = fleet.worker();
        let job = client.upload_text("guide", &markdown(&[0, 1, 2], &[])).await;
        let ended = client.wait_for_end(&job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
        let document = ended["document_id"].as_str().unwrap().to_owned();
        assert_eq!(worker.stop(), 0);
        Self { test, fleet, client, document, _api: api }
    }

    fn path(&self) -> String {
        format!("/documents/{}", self.document)
    }

    /// Puts a file in the place of the document.
    async fn put(&self, name: &str, mime: &str, bytes: &[u8]) -> Answer {
        put(&self.client, &self.document, name, mime, bytes).await
    }

    /// The same with markdown; returns the job of the accepted version.
    async fn replace(&self, text: &str, version_no: i32) -> String {
        let answer = self.put("guide.md", "text/markdown", text.as_bytes()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.body["document_id"], self.document.as_str(), "{answer:?}");
        assert_eq!(answer.body["version_no"], version_no, "{answer:?}");
        answer.body["job_id"].as_str().unwrap().to_owned()
    }

    /// The words of [`SECTIONS`], and `carousel`, that each way of searching finds, by those that find it.
    async fn found(&self, word: &str) -> Vec<&'static str> {
        let mut ways = Vec::new();
        for way in ["text", "vector", "hybrid"] {
            let body = json!({ "query": word, "mode": way });
            let (status, found) = self.client.post("/search", body).await;
            assert_eq!(status, 200, "{found}");
            if found["hits"].as_array().unwrap().iter().any(|hit| hit["text"].as_str().unwrap().contains(word)) {
                ways.push(way);
            }
        }
        ways
    }

    /// Number and state of each version, the newest first.
    async fn versions(&self) -> Vec<(i64, String)> {
        let (status, page) = self.client.get(&format!("{}/versions", self.path())).await;
        assert_eq!(status, 200, "{page}");
        let version = |item: &Value| (item["version_no"].as_i64().unwrap(), item["state"].as_str().unwrap().to_owned());
        page["items"].as_array().unwrap().iter().map(version).collect()
    }

    async fn wait_for(&self, sql: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.test.value(sql).await != wanted {
            assert!(Instant::now() < deadline, "{sql} is not {wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asserts that everything shows the document with these sections of [`SECTIONS`], and no other.
    async fn assert_shows(&self, text: &str, version_no: i64, words: [&str; 2], not: &str) {
        let (_, document) = self.client.get(&self.path()).await;
        let seen = (&document["processing_status"], &document["version_no"]);
        assert_eq!(seen, (&json!("complete"), &json!(version_no)), "{document}");
        let file = send(request(&self.client, Method::GET, &format!("{}/file", self.path()))).await;
        assert_eq!(file.body, text);
        let read = send(request(&self.client, Method::GET, &format!("{}/markdown", self.path()))).await;
        assert_eq!(read.body.as_str().unwrap().trim(), text.trim());
        let (_, chunks) = self.client.get(&format!("{}/chunks", self.path())).await;
        let chunks = chunks["items"].to_string();
        for word in words {
            assert_eq!(self.found(word).await, ["text", "vector", "hybrid"], "{word}");
            assert!(chunks.contains(word), "{chunks}");
        }
        assert_eq!(self.found(not).await, [""; 0]);
        assert!(!chunks.contains(not), "{chunks}");
    }

    /// `app verify --all` finds nothing.
    fn verify(&self) {
        let (status, printed, log) = self.fleet.run(&["verify", "--all"]);
        assert!(status.success(), "{printed}{log}");
    }
}

async fn put(client: &Client, document: &str, name: &str, mime: &str, bytes: &[u8]) -> Answer {
    let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str(mime).unwrap();
    let form = Form::new().part("file", part);
    send(request(client, Method::PUT, &format!("/documents/{document}")).multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_version_is_there_until_the_new_one_is_complete_whenever_the_worker_dies() {
    let world = World::new().await;
    let (old, new) = (markdown(&[0, 1, 2], &[]), markdown(&[0, 3, 1], &[]));
    let job = world.replace(&new, 2).await;
    for step in ["parse", "validate", "chunk", "embed", "finish"] {
        let worker = world.fleet.worker();
        let began = format!(
            "SELECT EXISTS (SELECT FROM upload_pipeline.events WHERE job_id = '{job}' AND type = 'stage_started' AND code = '{step}')"
        );
        world.wait_for(&began, "t").await;
        worker.kill();
        // The worker may have been quicker than the signal.
        if world.test.value("SELECT version_no FROM upload_pipeline.documents").await == "1" {
            world.assert_shows(&old, 1, ["plankton", "riverbank"], "locomotive").await;
            let states = [(2, "replacing".to_owned()), (1, "active".to_owned())];
            assert_eq!(world.versions().await, states, "{step}");
        }
        world.test.run("UPDATE upload_pipeline.upload_jobs SET crash_count = 0").await;
    }
    let _worker = world.fleet.worker();
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    world.assert_shows(&new, 2, ["plankton", "locomotive"], "riverbank").await;
    assert_eq!(world.versions().await, [(2, "active".to_owned()), (1, "previous".to_owned())]);
    let sets = "SELECT string_agg(DISTINCT version_no || ' ' || chunker_name || ' ' || chunker_version, ',') = 
        (SELECT '2 ' || min(chunker_name) || ' ' || min(chunker_version) FROM upload_pipeline.version_chunks)
        FROM upload_pipeline.document_chunks";
    assert_eq!(world.test.value(sets).await, "t", "one set of one version");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passage_whose_text_stays_is_not_embedded_again_and_the_command_line_says_how_many() {
    let world = World::new().await;
    let count = "SELECT count(*) FROM upload_pipeline.document_chunks";
    assert_eq!(world.test.value(count).await, "3");
    let made = "SELECT string_agg(DISTINCT embed_updated_at::text, ',') FROM upload_pipeline.document_chunks WHERE text LIKE '%plankton%'";
    let before = world.test.value(made).await;
    let _worker = world.fleet.worker();
    // Whales stay and move to the end, Ferries change, Otters go, Trains come.
    let file = world.fleet.file("guide.md", markdown(&[3, 1, 0], &[1]).as_bytes());
    let replace = ["upload", "--replace", &world.document, file.to_str().unwrap()];
    let (status, printed, log) = world.fleet.run(&replace);
    assert!(status.success(), "{printed}{log}");
    assert!(printed.ends_with("1 of 3 passages kept their vectors\n"), "{printed}");
    assert_eq!(world.test.value(made).await, before);
    assert_eq!(world.found("carousel").await, ["text", "vector", "hybrid"]);
    let event = "SELECT payload->>'kept' || ' of ' || (payload->>'chunks') || ', version ' || (payload->>'version_no')
        FROM upload_pipeline.events WHERE type = 'finalized' ORDER BY seq DESC LIMIT 1";
    assert_eq!(world.test.value(event).await, "1 of 3, version 2");

    // The same file again changes nothing and is no failure.
    let (status, printed, log) = world.fleet.run(&replace);
    assert!(status.success() && printed.contains("already there"), "{printed}{log}");
    let (status, printed, log) = world.fleet.run(&["documents", "versions", &world.document]);
    assert!(status.success(), "{log}");
    let rows: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, [["VERSION", "STATE", "FILE"], ["2", "active", "guide.md"], ["1", "previous", "guide.md"]]);
    let (status, printed, log) = world.fleet.run(&["documents", "restore", &world.document, "1"]);
    assert!(status.success() && printed.starts_with("Version 1 becomes the active one by job "), "{printed}{log}");
    world.wait_for("SELECT version_no FROM upload_pipeline.documents", "1").await;
    world.assert_shows(&markdown(&[0, 1, 2], &[]), 1, ["plankton", "riverbank"], "carousel").await;
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_leaves_the_old_version_as_it_is_until_one_can() {
    let world = World::new().await;
    let (old, worker) = (markdown(&[0, 1, 2], &[]), world.fleet.worker());
    let answer = world.put("guide.md", "text/markdown", b"***\n\n---\n").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let empty = answer.body["job_id"].as_str().unwrap();
    let ended = world.client.wait_for_end(empty).await;
    assert_eq!((&ended["status"], &ended["last_error"]["code"]), (&json!("failed_parse"), &json!("text_empty")));
    let (_, document) = world.client.get(&world.path()).await;
    assert_eq!((&document["job_id"], &document["job_state"]), (&json!(empty), &json!("deadletter")), "{document}");
    world.assert_shows(&old, 1, ["plankton", "riverbank"], "locomotive").await;
    assert_eq!(world.versions().await, [(2, "failed".to_owned()), (1, "active".to_owned())]);
    let restore = world.client.post(&format!("{}/versions/2/restore", world.path()), json!({})).await;
    assert_eq!((restore.0, &restore.1["code"]), (409, &json!("version_incomplete")), "{}", restore.1);

    // Another type than the name says: corrected, it becomes the active version.
    let new = markdown(&[0, 3], &[]);
    let answer = world.put("guide.pdf", "application/pdf", new.as_bytes()).await;
    let wrong = answer.body["job_id"].as_str().unwrap();
    assert_eq!(answer.body["version_no"], 3);
    assert_eq!(world.client.wait_for_end(wrong).await["last_error"]["code"], "type_mismatch");
    world.assert_shows(&old, 1, ["plankton", "riverbank"], "locomotive").await;
    for _twice in 0..2 {
        let patch = json!({ "mime": "text/markdown" });
        let (status, patched) = world.client.send(Method::PATCH, &world.path(), Some(patch)).await;
        assert_eq!((status, &patched["processing_status"]), (200, &json!("complete")), "{patched}");
    }
    assert_eq!(world.client.wait_for_end(wrong).await["status"], "complete");
    world.assert_shows(&new, 3, ["plankton", "locomotive"], "riverbank").await;

    // A retry of what failed does not touch the document either.
    let (status, retried) = world.client.post(&format!("/jobs/{empty}/retry"), json!({})).await;
    assert_eq!(status, 202, "{retried}");
    assert_eq!(world.client.wait_for_end(empty).await["last_error"]["code"], "text_empty");
    world.assert_shows(&new, 3, ["plankton", "locomotive"], "riverbank").await;
    // The bytes that failed may be sent again, as the same version.
    let answer = world.put("guide.md", "text/markdown", b"***\n\n---\n").await;
    assert_eq!((answer.status, &answer.body["version_no"]), (202, &json!(2)), "{answer:?}");
    world.client.wait_for_end(answer.body["job_id"].as_str().unwrap()).await;
    assert_eq!(worker.stop(), 0);
    world.verify();
}
