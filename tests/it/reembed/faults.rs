//! Workers die and the service fails during a run: nothing is paid twice that is not recorded, and nothing is lost.

use super::{LACKING, TO_HERON, World, book, world};
use crate::support::fakes::embeddings::Fault;

const FEW: [(&str, &str); 2] = [("EMBED_REQUEST_INPUTS", "2"), ("EMBED_REQUESTS_IN_FLIGHT", "2")];

impl World {
    async fn assert_nothing_is_paid_twice(&self) {
        let paid = self.service.units().len();
        let unique = self.test.value("SELECT count(DISTINCT chunk_sha) FROM upload_pipeline.document_chunks").await;
        let uncertain = "SELECT coalesce(sum(inputs), 0) FROM upload_pipeline.embed_calls WHERE state = 'uncertain'";
        let most: usize = unique.parse::<usize>().unwrap() + self.test.value(uncertain).await.parse::<usize>().unwrap();
        assert!(paid <= most, "{paid} units were paid, of {most}");
        let open = "SELECT count(*) FROM upload_pipeline.embed_calls WHERE state = 'intended'";
        assert_eq!(self.test.value(open).await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_during_a_run_costs_only_what_was_in_flight() {
    let world = world(&FEW).await;
    let worker = world.fleet.worker();
    for name in ["lamp", "boat"] {
        world.complete(name, &book(name, 6)).await;
    }
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    for requests in [2, 4, 6] {
        world.service.set(|behaviour| behaviour.holds = true);
        let worker = world.fleet.worker();
        world.service.wait_for_requests(requests).await;
        worker.kill();
        world.service.set(|behaviour| behaviour.holds = false);
        // As if the lease had expired.
        world.test.run("UPDATE upload_pipeline.upload_jobs SET state = 'queued', claimed_by = NULL, run_at = now(), crash_count = 0 WHERE document_id IS NULL").await;
    }
    let _worker = world.fleet.worker();
    world.reembeds(&["status", "--wait", "60"]);
    assert_eq!(world.test.value(LACKING).await, "0");
    world.assert_nothing_is_paid_twice().await;
    let events = "SELECT count(*) > 0 FROM upload_pipeline.events WHERE code = 'provider_call_uncertain' AND document_id IS NULL";
    assert_eq!(world.test.value(events).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_jobs_were_given_up_says_so_and_goes_on_when_it_is_started_again() {
    let world = world(&[("WORKER_MAX_RETRIES", "1"), ("EMBED_TIMEOUT", "2")]).await;
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 5)).await;
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.service.set(|behaviour| behaviour.next = [Fault::Count; 2].into());
    let _worker = world.fleet.worker();
    let (code, status, _) = world.reembed(&["status", "--wait", "60"]);
    assert!(code == 1 && status.contains("1 given up") && status.contains("vector_count"), "{status}");
    world.refuses(&["switch", "--without-questions"], "reembed_incomplete");
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    assert_eq!(world.test.value(LACKING).await, "0");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passages_that_the_service_refuses_are_named_and_left_to_words_only_when_that_is_said() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &format!("gunpowder and lamps\n\n{}", book("lamp", 3))).await;
    world.service.set(|behaviour| behaviour.refuses = Some("gunpowder"));
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    let status = world.reembeds(&["status", "--wait", "60"]);
    assert!(status.contains("refused   1 texts by embed_service_text_refused"), "{status}");
    world.refuses(&["switch", "--without-questions"], "reembed_refused_texts");
    world.reembeds(&["switch", "--without-questions", "--leave-refused"]);
    world.wait_for_search_by("heron").await;
    let found = world.search("gunpowder", "hybrid").await;
    assert!(found["hits"][0]["text"].as_str().unwrap().contains("gunpowder"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_past_a_text_whose_vector_is_never_a_number_and_names_it() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &format!("gunpowder and lamps\n\n{}", book("lamp", 3))).await;
    world.service.set(|behaviour| behaviour.breaks_on = Some("gunpowder"));
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    let status = world.reembeds(&["status", "--wait", "60"]);
    assert!(status.contains("refused   1 texts by vector_invalid"), "{status}");
    let beside = "SELECT count(*) FROM upload_pipeline.chunk_vectors";
    let texts = "SELECT count(DISTINCT chunk_sha) - 1 FROM upload_pipeline.document_chunks";
    assert_eq!(world.test.value(beside).await, world.test.value(texts).await);
    world.assert_nothing_is_paid_twice().await;
    world.reembeds(&["switch", "--without-questions", "--leave-refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_the_rate_that_it_was_given() {
    let world = world(&[]).await;
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 9)).await;
    assert_eq!(worker.stop(), 0);
    // One passage a second: four at a time, since a batch takes a twelfth of a minute's.
    world.reembeds(&[&["start"][..], &TO_HERON, &["--passages-per-minute", "48"]].concat());
    let _worker = world.fleet.worker();
    world.reembeds(&["status", "--wait", "60"]);
    let billed = world.service.billed();
    let sizes: Vec<usize> = billed.iter().map(|request| request.texts.len()).collect();
    assert_eq!(sizes, [4, 4, 1]);
    let took = billed[2].at.duration_since(billed[0].at).as_secs_f64();
    assert!(took >= 9.5, "eight passages at 48 a minute took {took} s");
}
