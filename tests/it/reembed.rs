//! The embedding model is changed while uploads and searches go on.

mod documented;
mod faults;
mod goes_on;
mod refused;
mod stored;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    check::check,
    support::{
        db::TestDb,
        fakes::embeddings::Embeddings,
        fleet::{App, Client, Fleet, PATIENCE},
    },
};

const KEY: &str = "sk-for-tests-only";
const OLD: &str = "all-MiniLM-L6-v2";
/// The model of the fake service, of which nothing is known.
const NEW: &str = "heron";
const TO_HERON: [&str; 4] = ["--model", NEW, "--provider", "openai"];

/// A database with vectors of all-MiniLM-L6-v2, and a fake service with another model.
struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    service: Embeddings,
    _api: App,
}

async fn world(settings: &[(&str, &str)]) -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let service = Embeddings::start(NEW, 512);
    fleet.set("OPENAI_API_KEY", KEY);
    fleet.set("OPENAI_API_URL", &service.url());
    let models =
        std::env::var("APP_E5_DIR").expect("APP_E5_DIR names the multilingual-e5-small folder; scripts/test sets it");
    fleet.set("EMBED_MODEL_DIR", Path::new(&models).parent().unwrap().to_str().unwrap());
    for (name, value) in settings {
        fleet.set(name, value);
    }
    let (api, client) = fleet.api();
    World { test, fleet, client, service, _api: api }
}

/// A text of so many passages, which no other text has.
fn book(name: &str, passages: usize) -> String {
    let chapter = |n: usize| {
        let sentence = format!("The keeper of {name} house {n} counts the boats which come home before the night. ");
        format!("# {name} {n}\n\n{}\n\n", sentence.repeat(6))
    };
    (0..passages).map(chapter).collect()
}

impl World {
    /// Uploads a text and waits until it is complete; returns its document.
    async fn complete(&self, title: &str, text: &str) -> String {
        let job = self.client.upload_text(title, text).await;
        let ended = self.client.wait_for_end(&job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
        ended["document_id"].as_str().unwrap().to_owned()
    }

    /// Runs `app reembed` with these arguments; returns exit code, stdout and stderr.
    fn reembed(&self, args: &[&str]) -> (i32, String, String) {
        let (status, stdout, stderr) = self.fleet.run(&[&["reembed"], args].concat());
        (status.code().unwrap_or(-1), stdout, stderr)
    }

    /// The same; it must succeed. Returns stdout.
    fn reembeds(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.reembed(args);
        assert_eq!(code, 0, "{args:?}: {stdout}{stderr}");
        stdout
    }

    /// The same; it must be refused with this code.
    fn refuses(&self, args: &[&str], code: &str) -> String {
        let (status, stdout, stderr) = self.reembed(args);
        assert!(status != 0 && stderr.contains(code), "{args:?} is not refused by {code}: {status} {stdout}{stderr}");
        stderr
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

    async fn search(&self, query: &str, mode: &str) -> Value {
        let (status, found) = self.client.post("/search", json!({ "query": query, "mode": mode })).await;
        assert_eq!(status, 200, "{found}");
        found
    }

    /// Waits until searches by meaning are by this model.
    async fn wait_for_search_by(&self, model: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.search("Who counts the boats?", "hybrid").await;
            if found["model"] == model {
                return;
            }
            assert!(Instant::now() < deadline, "searches are not by {model}: {found}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As if the active model had been switched to long ago, so that `finish` need not wait for other processes.
    async fn let_all_follow(&self) {
        self.test
            .run(
                "UPDATE upload_pipeline.model_switch SET started_at = started_at - interval '1 minute';
                 UPDATE upload_pipeline.active_model SET since = since - interval '1 minute'",
            )
            .await;
    }

    async fn models_in_rows(&self) -> Vec<Vec<String>> {
        self.test.rows("SELECT DISTINCT embed_model, vector_dim FROM upload_pipeline.document_chunks ORDER BY 1").await
    }
}

/// Passages of complete documents that lack a vector of the fake's model.
const LACKING: &str = "SELECT count(*) FROM upload_pipeline.document_chunks AS c
    WHERE c.embed_model IS DISTINCT FROM 'heron' AND NOT EXISTS (
      SELECT FROM upload_pipeline.chunk_vectors AS b
      WHERE b.document_id = c.document_id AND b.chunk_sha = c.chunk_sha AND b.embed_model = 'heron')";
const ACTIVE: &str = "SELECT model FROM upload_pipeline.active_model";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_changed_and_changed_back_and_then_the_other_vectors_are_deleted() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 6)).await;
    let plan = world.reembeds(&[&["plan"][..], &TO_HERON, &["--cents-per-million-tokens", "2"]].concat());
    assert!(plan.contains("6 to embed") && plan.contains("at 2 cents for a million tokens"), "{plan}");
    assert!(world.service.units().is_empty(), "a plan buys nothing");
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    let status = world.reembeds(&["status", "--wait", "60"]);
    assert!(status.contains("6 of 6 done, 0 left") && status.contains(&format!("use {OLD}")), "{status}");
    assert_eq!((world.service.units().len(), world.models_in_rows().await.len()), (6, 1));
    world.wait_for_search_by(OLD).await;
    let switched = world.reembeds(&["switch", "--without-questions"]);
    assert!(switched.contains("EMBED_MODEL=heron EMBED_PROVIDER=openai"), "{switched}");
    world.wait_for_search_by(NEW).await;
    world.reembeds(&["rollback"]);
    world.wait_for_search_by(OLD).await;
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    let found = world.search("Who counts the boats of lamp house 3?", "vector").await;
    assert!(found["hits"][0]["text"].as_str().unwrap().contains("house 3"), "{found}");
    world.let_all_follow().await;
    world.reembeds(&["finish"]);
    assert_eq!(world.models_in_rows().await, [[NEW, "512"]]);
    for table in ["chunk_vectors", "packed_vectors", "refused_texts"] {
        assert_eq!(world.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, "0", "{table}");
    }
    let packed = "SELECT embed_model, count(*) FROM upload_pipeline.search_vectors GROUP BY 1";
    assert_eq!(world.test.rows(packed).await, [[NEW, "1"]]);
    assert_eq!(
        world.search("Who counts the boats of lamp house 3?", "vector").await["hits"][0]["text"],
        found["hits"][0]["text"]
    );
    let refusal = world.refuses(&["rollback"], "reembed_finished");
    assert!(refusal.contains("are deleted"), "{refusal}");
    let jobs =
        "SELECT state, status, count(*) FROM upload_pipeline.upload_jobs WHERE document_id IS NULL GROUP BY 1, 2";
    assert_eq!(world.test.rows(jobs).await, [["done", "complete", "1"]]);
    world.test.run("UPDATE upload_pipeline.upload_jobs SET finished_at = now() - interval '9 days'").await;
    let kept = "SELECT count(*) FILTER (WHERE document_id IS NULL), count(*) FROM upload_pipeline.upload_jobs";
    assert_eq!(world.test.rows(kept).await, [["1", "2"]]);
    store::retention::delete_superseded_jobs(&world.test.db, 8, None, 100).await.unwrap();
    assert_eq!(world.test.rows(kept).await, [["0", "1"]]);
    // What a worker that was held up would leave.
    assert_eq!(check(&world.fleet, &["--only", "db.reembed", "--strict"]).causes(), [""; 0]);
    world.test.run("UPDATE upload_pipeline.document_chunks SET embed_model = 'another' WHERE chunk_ord < 2").await;
    let checked = check(&world.fleet, &["--only", "db.reembed", "--strict"]);
    let finding = checked.requires("db.reembed/left_behind");
    assert!(finding["observed"].as_str().unwrap().starts_with("2 passages"), "{finding}");
}
