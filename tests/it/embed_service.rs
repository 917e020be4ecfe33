//! Documents whose vectors come from a service that speaks OpenAI's API: what is sent, stored, found and paid.

mod bill;
mod caps;
mod faults;
mod joined;
mod money;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    db::TestDb,
    fakes::embeddings::{Embeddings, Fault},
    fleet::{App, Client, Fleet, PATIENCE},
};

const KEY: &str = "sk-for-tests-only";
/// A model whose dimension is published.
const KNOWN: &str = "text-embedding-3-small";

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    service: Embeddings,
    api: App,
}

/// A fake service with a model of which nothing is known, and an API; no worker yet.
async fn world(settings: &[(&str, &str)]) -> World {
    world_with("heron", 512, settings).await
}

async fn world_with(model: &str, dim: usize, settings: &[(&str, &str)]) -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let service = Embeddings::start(model, dim);
    for (name, value) in [("EMBED_PROVIDER", "openai"), ("EMBED_MODEL", model), ("OPENAI_API_KEY", KEY)] {
        fleet.set(name, value);
    }
    fleet.set("OPENAI_API_URL", &service.url());
    for (name, value) in settings {
        fleet.set(name, value);
    }
    let (api, client) = fleet.api();
    World { test, fleet, client, service, api }
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

    /// Ends every wait of jobs at once until this one has ended; returns it.
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

    /// Passages with texts of their own.
    async fn unique_units(&self) -> usize {
        self.test.value("SELECT count(DISTINCT chunk_sha) FROM upload_pipeline.document_chunks").await.parse().unwrap()
    }

    /// Texts whose payment is recorded as uncertain.
    async fn uncertain_units(&self) -> usize {
        let sql = "SELECT coalesce(sum(inputs), 0) FROM upload_pipeline.embed_calls WHERE state = 'uncertain'";
        self.test.value(sql).await.parse().unwrap()
    }

    /// What is paid is what there is and what is recorded as uncertain, at most; and no request is left open.
    async fn assert_nothing_is_paid_twice(&self) {
        let (paid, unique, uncertain) =
            (self.service.units().len(), self.unique_units().await, self.uncertain_units().await);
        assert!(paid <= unique + uncertain, "{paid} units were paid, of {unique} and {uncertain} uncertain ones");
        let open = "SELECT count(*) FROM upload_pipeline.embed_calls WHERE state = 'intended'";
        assert_eq!(self.test.value(open).await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_embedded_by_the_service_and_found_by_its_vectors() {
    let settings =
        [("EMBED_REQUEST_INPUTS", "4"), ("EMBED_QUERY_PREFIX", "query:"), ("EMBED_PASSAGE_PREFIX", "passage:")];
    let mut world = world(&settings).await;
    world.service.set(|behaviour| behaviour.key = Some(KEY.to_owned()));
    let mut worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 10)).await;
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    let active = "SELECT model, version, vector_dim, provider FROM upload_pipeline.active_model";
    assert_eq!(world.test.rows(active).await, [["heron", "1", "512", "openai"]]);
    let vectors = "SELECT DISTINCT embed_model, vector_dim, round(vector_norm(embedding)::numeric, 4) FROM upload_pipeline.document_chunks";
    assert_eq!(world.test.rows(vectors).await, [["heron", "512", "1.0000"]]);
    let billed = world.service.billed();
    assert!(billed.len() >= 3 && billed.iter().all(|request| request.texts.len() <= 4), "{billed:?}");
    assert!(world.service.units().iter().all(|text| text.starts_with("passage: ")));
    assert_eq!(world.service.units().len(), world.unique_units().await, "each passage is sent once");
    let calls = "SELECT bool_and(state = 'stored' AND billed_tokens > 0), sum(inputs) FROM upload_pipeline.embed_calls";
    assert_eq!(world.test.rows(calls).await, [["t".to_owned(), world.service.units().len().to_string()]]);
    let question = json!({ "query": "Who counts the boats of house 7?", "mode": "vector" });
    let (_, found) = world.client.post("/search", question).await;
    assert_eq!((&found["mode"], &found["model"]), (&json!("vector"), &json!("heron")), "{found}");
    assert!(found["hits"][0]["text"].as_str().unwrap().contains("house 7"), "{found}");
    assert_eq!(world.service.units().last().unwrap(), "query: Who counts the boats of house 7?");
    let log = [worker.read_log().join("\n"), world.api.read_log().join("\n")].concat();
    for secret in [KEY, "keeper", "boats"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_model_can_be_shortened_and_keeps_its_dimension_whatever_the_settings_say_later() {
    let mut world = world_with(KNOWN, 1536, &[("EMBED_DIMENSIONS", "256")]).await;
    world.service.set(|behaviour| behaviour.shortens = true);
    let worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 2)).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(worker.stop(), 0);
    world.fleet.unset("EMBED_DIMENSIONS");
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("boats", &book("boat", 2)).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    assert!(world.service.bodies().iter().all(|body| body["dimensions"] == 256));
    let dims = "SELECT DISTINCT vector_dim FROM upload_pipeline.document_chunks";
    assert_eq!(world.test.rows(dims).await, [["256"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_base64_and_with_smaller_requests_and_texts_is_asked_for_what_it_takes() {
    let world = world(&[("EMBED_REQUEST_INPUTS", "8")]).await;
    world.service.set(|behaviour| {
        (behaviour.refuses_base64, behaviour.max_inputs, behaviour.max_chars) = (Some(500), 3, 300);
    });
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 8)).await;
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    assert!(world.service.units().iter().all(|text| text.chars().count() <= 300));
    assert_eq!(world.service.units().len(), world.unique_units().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_by_words_while_the_service_is_away_and_says_so() {
    let world = world(&[("EMBED_QUERY_TIMEOUT", "0.3")]).await;
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 2)).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    for fault in [Fault::Silence, Fault::Error, Fault::NoQuota] {
        world.service.set(|behaviour| behaviour.always = Some(fault));
        let (status, found) = world.client.post("/search", json!({ "query": "keeper of the lamp house 1" })).await;
        assert_eq!(
            (status, &found["mode"], &found["model"]),
            (200, &json!("text"), &Value::Null),
            "{fault:?}: {found}"
        );
        assert!(!found["hits"].as_array().unwrap().is_empty(), "{fault:?}: {found}");
    }
    let (status, refused) = world.client.post("/search", json!({ "query": "keeper", "mode": "vector" })).await;
    assert_eq!((status, &refused["code"]), (503, &json!("embedder_unavailable")), "{refused}");
}
