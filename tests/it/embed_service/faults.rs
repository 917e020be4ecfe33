//! What the service refuses or gets wrong, and what becomes of documents, tries and the worker.

use serde_json::json;

use super::{KEY, KNOWN, World, book, world, world_with};
use crate::{
    check::check,
    support::fakes::embeddings::{Behaviour, Fault},
};

impl World {
    /// Whether the job has an event of this type and code.
    fn has_event(job: &str, kind: &str, code: &str) -> String {
        format!(
            "SELECT count(*) > 0 FROM upload_pipeline.events WHERE job_id = '{job}' AND type = '{kind}' AND code = '{code}'"
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_costs_no_vector_that_is_there_and_has_its_code() {
    let world = world(&[("EMBED_REQUEST_INPUTS", "3"), ("EMBED_TIMEOUT", "1")]).await;
    let _worker = world.fleet.worker();
    for (n, (fault, kind, code)) in [
        (Fault::Error, "retry", "embed_service_unavailable"),
        (Fault::Silence, "retry", "embed_service_timeout"),
        (Fault::Cut, "retry", "embed_service_answer_cut"),
        (Fault::NotANumber, "retry", "vector_invalid"),
        (Fault::Count, "retry", "vector_count"),
        (Fault::Busy(1), "snoozed", "waiting_for_embedder"),
    ]
    .into_iter()
    .enumerate()
    {
        world.service.set(|behaviour| behaviour.next = [fault].into());
        let job = world.client.upload_text(code, &book(&format!("lamp{n}"), 7)).await;
        let ended = world.skip_waits_until_end(&job).await;
        assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{fault:?}: {ended}");
        assert_eq!(world.test.value(&World::has_event(&job, kind, code)).await, "t", "{fault:?}");
        world.assert_nothing_is_paid_twice().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_whose_vectors_never_are_numbers_is_given_up_and_a_retry_buys_what_is_missing() {
    let world = world(&[("EMBED_REQUEST_INPUTS", "4"), ("WORKER_MAX_RETRIES", "1")]).await;
    let _worker = world.fleet.worker();
    world.service.set(|behaviour| behaviour.always = None);
    let first = world.client.upload_text("first", &book("lamp", 2)).await;
    assert_eq!(world.client.wait_for_end(&first).await["status"], "complete");
    world.service.set(|behaviour| behaviour.always = Some(Fault::NotANumber));
    let job = world.client.upload_text("second", &book("boat", 4)).await;
    let ended = world.skip_waits_until_end(&job).await;
    assert_eq!(
        (&ended["status"], &ended["last_error"]["code"]),
        (&json!("failed_embedding"), &json!("vector_invalid")),
        "{ended}"
    );
    world.service.set(|behaviour| behaviour.always = None);
    assert_eq!(world.client.post(&format!("/jobs/{job}/retry"), json!({})).await.0, 202);
    assert_eq!(world.skip_waits_until_end(&job).await["status"], "complete");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passage_that_the_service_refuses_fails_its_document_alone() {
    let world = world(&[]).await;
    world.service.set(|behaviour| behaviour.refuses = Some("gunpowder"));
    let mut worker = world.fleet.worker();
    let bad = world.client.upload_text("gunpowder", &format!("gunpowder and lamps\n\n{}", book("lamp", 3))).await;
    let ended = world.skip_waits_until_end(&bad).await;
    assert_eq!(ended["last_error"]["code"], "embed_service_text_refused", "{ended}");
    assert!(!ended.to_string().contains("cannot take"), "what the service says may quote the text: {ended}");
    let good = world.client.upload_text("boats", &book("boat", 2)).await;
    assert_eq!(world.client.wait_for_end(&good).await["status"], "complete");
    assert!(!worker.read_log().join("\n").contains("cannot take"));
}

type Change = fn(&mut Behaviour);

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_a_person_must_mend_stops_the_worker_and_costs_no_try() {
    let world = world_with(KNOWN, 1536, &[]).await;
    let worker = world.fleet.worker();
    let first = world.client.upload_text("first", &book("lamp", 1)).await;
    assert_eq!(world.client.wait_for_end(&first).await["status"], "complete");
    assert_eq!(worker.stop(), 0);
    let mut jobs = Vec::new();
    let changes: [(&str, Change); 4] = [
        ("embed_service_key_refused", |behaviour| behaviour.key = Some("sk-another".to_owned())),
        ("embed_service_no_quota", |behaviour| behaviour.always = Some(Fault::NoQuota)),
        ("embed_service_model_unknown", |behaviour| behaviour.model = "another".to_owned()),
        ("vector_dimension", |behaviour| behaviour.always = Some(Fault::Dimension)),
    ];
    for (code, change) in changes {
        world.service.set(change);
        let job = world.client.upload_text(code, &book(code, 1)).await;
        let mut worker = world.fleet.worker();
        worker.wait_for("not claiming until this is mended");
        world.wait_for(&World::has_event(&job, "handed_back", code), "t").await;
        let (_, waits) = world.client.get(&format!("/jobs/{job}")).await;
        assert_eq!((&waits["state"], &waits["retry_count"]), (&json!("queued"), &json!(0)), "{waits}");
        assert!(!worker.read_log().join("\n").contains(KEY));
        worker.kill();
        world.service.set(|behaviour| {
            (behaviour.key, behaviour.model, behaviour.always) = (None, KNOWN.to_owned(), None);
        });
        jobs.push(job);
    }
    let _worker = world.fleet.worker();
    for job in jobs {
        let ended = world.skip_waits_until_end(&job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
    }
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_stops_claiming_until_it_is_back_and_no_job_loses_a_try() {
    let world = world_with(KNOWN, 1536, &[("EMBED_REQUEST_INPUTS", "1")]).await;
    let mut worker = world.fleet.worker();
    let first = world.client.upload_text("first", &book("lamp", 1)).await;
    assert_eq!(world.client.wait_for_end(&first).await["status"], "complete");
    world.service.set(|behaviour| behaviour.always = Some(Fault::Error));
    let job = world.client.upload_text("second", &book("boat", 6)).await;
    worker.wait_for("not claiming until this is mended");
    let (_, waits) = world.client.get(&format!("/jobs/{job}")).await;
    assert_eq!((&waits["state"], &waits["retry_count"]), (&json!("queued"), &json!(0)), "{waits}");
    let later = world.client.upload_text("third", &book("harbour", 1)).await;
    world.service.set(|behaviour| behaviour.always = None);
    for job in [job, later] {
        let ended = world.client.wait_for_end(&job).await;
        assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    }
    worker.wait_for("mended; claiming again");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_document_is_sent_before_the_model_is_known_to_fit() {
    let mut world = world(&[]).await;
    let row = "INSERT INTO upload_pipeline.active_model (model, version, vector_dim, provider) VALUES ('heron', '1', 32, 'openai')";
    world.test.run(row).await;
    let mut worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 1)).await;
    worker.wait_for("not claiming until this is mended");
    world.wait_for(&World::has_event(&job, "handed_back", "model_dimension"), "t").await;
    assert_eq!(world.service.units(), [""; 0]);
    check(&world.fleet, &["--only", "ext.embeddings"]).requires("ext.embeddings/dimension_unlike_database");
    world.fleet.set("EMBED_PROVIDER", "local");
    let checked = check(&world.fleet, &["--only", "db.vectors", "--strict"]);
    let finding = checked.requires("db.vectors/model_differs");
    assert_eq!(finding["expected"], "heron version 1 by the provider openai", "{finding}");
}
