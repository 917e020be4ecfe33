//! What is paid: nothing twice, whatever dies; nothing for a text that the user has already; no faster than allowed.

use std::time::Duration;

use serde_json::json;
use store::provider_rates::{Rates, Reserved, pause_requests, reserve_request};

use super::{World, book, world};
use crate::{
    replace::put,
    support::{cluster::connect, db::TestDb, fakes::embeddings::Fault},
};

const FEW: [(&str, &str); 2] = [("EMBED_REQUEST_INPUTS", "2"), ("EMBED_REQUESTS_IN_FLIGHT", "2")];

/// A job of which two requests are paid and not answered yet.
async fn paid_and_not_answered(world: &World) -> String {
    world.service.set(|behaviour| behaviour.holds = true);
    let job = world.client.upload_text("lamps", &book("lamp", 8)).await;
    world.service.wait_for_requests(2).await;
    job
}

/// Another worker finishes the job, pays for what was lost, and says so.
async fn finish_after_a_crash(world: &World, job: &str) {
    world.service.set(|behaviour| behaviour.holds = false);
    let _worker = world.fleet.worker();
    let ended = world.client.wait_for_end(job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_eq!((world.unique_units().await, world.uncertain_units().await), (8, 4));
    assert_eq!(world.service.units().len(), 12);
    world.assert_nothing_is_paid_twice().await;
    let event = format!(
        "SELECT type || ' ' || severity || ' ' || (payload ->> 'calls') || ' ' || (payload ->> 'inputs')
         FROM upload_pipeline.events WHERE job_id = '{job}' AND code = 'provider_call_uncertain'"
    );
    assert_eq!(world.test.value(&event).await, "retry warn 2 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_answers_buys_only_what_was_in_flight_again() {
    let world = world(&FEW).await;
    let worker = world.fleet.worker();
    let job = paid_and_not_answered(&world).await;
    worker.kill();
    finish_after_a_crash(&world, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_answer_and_commit_buys_only_what_was_in_flight_again() {
    let world = world(&FEW).await;
    let worker = world.fleet.worker();
    let job = paid_and_not_answered(&world).await;
    // The commit of vectors locks the job's row. On a connection of its own: what a transaction sees of others' waits stays.
    let other = connect(&world.test.url).await.unwrap();
    let lock = format!("BEGIN; SELECT FROM upload_pipeline.upload_jobs WHERE job_id = '{job}' FOR UPDATE");
    other.batch_execute(&lock).await.unwrap();
    world.service.set(|behaviour| behaviour.holds = false);
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '-- lock_lease%'";
    world.wait_for(waiting, "t").await;
    worker.kill();
    other.batch_execute("ROLLBACK").await.unwrap();
    finish_after_a_crash(&world, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_and_dies_nothing_is_paid_twice_that_is_not_recorded() {
    let settings = [("EMBED_REQUEST_INPUTS", "3"), ("EMBED_TIMEOUT", "2"), ("WORKER_MAX_RETRIES", "20")];
    let world = world(&settings).await;
    let faults =
        [Fault::Error, Fault::Cut, Fault::Busy(1), Fault::Silence, Fault::NotANumber, Fault::Error, Fault::Count];
    world.service.set(|behaviour| behaviour.next = faults.into());
    let mut jobs = Vec::new();
    for name in ["lamp", "boat", "harbour"] {
        jobs.push(world.client.upload_text(name, &book(name, 10)).await);
    }
    for requests in [3, 6, 9] {
        let worker = world.fleet.worker();
        world.service.wait_for_requests(requests).await;
        worker.kill();
    }
    let _worker = world.fleet.worker();
    for job in jobs {
        let ended = world.skip_waits_until_end(&job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
    }
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_the_user_has_already_is_not_bought_again() {
    let world = world(&FEW).await;
    let _worker = world.fleet.worker();
    let first = world.client.upload_text("first", &book("lamp", 4)).await;
    assert_eq!(world.client.wait_for_end(&first).await["status"], "complete");
    let paid = world.service.units().len();
    let second = world.client.upload_text("second", &format!("{}{}", book("lamp", 4), book("boat", 2))).await;
    let ended = world.client.wait_for_end(&second).await;
    assert_eq!((&ended["status"], &ended["progress"]["reused"]), (&json!("complete"), &json!(4)), "{ended}");
    assert_eq!(world.service.units().len(), paid + 2);
    // Nothing is shared across users.
    let other = world.client.as_user("22222222-2222-4222-8222-222222222222");
    let third = other.upload_text("third", &book("lamp", 4)).await;
    let ended = other.wait_for_end(&third).await;
    assert_eq!((&ended["status"], ended["progress"].get("reused")), (&json!("complete"), None), "{ended}");
    assert_eq!(world.service.units().len(), paid + 2 + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_replaces_another_buys_only_what_no_document_of_the_user_has() {
    let world = world(&FEW).await;
    let _worker = world.fleet.worker();
    let first = world.client.upload_text("first", &book("lamp", 4)).await;
    let second = world.client.upload_text("second", &book("boat", 2)).await;
    let document = world.client.wait_for_end(&first).await["document_id"].as_str().unwrap().to_owned();
    assert_eq!(world.client.wait_for_end(&second).await["status"], "complete");
    let paid = world.service.units().len();
    let text = [book("harbour", 3), book("boat", 2), book("lamp", 4)].concat();
    let answer = put(&world.client, &document, "first.md", "text/markdown", text.as_bytes()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let ended = world.client.wait_for_end(answer.body["job_id"].as_str().unwrap()).await;
    let (kept, reused) = (&ended["progress"]["kept"], &ended["progress"]["reused"]);
    assert_eq!((&ended["status"], kept, reused), (&json!("complete"), &json!(4), &json!(2)), "{ended}");
    assert_eq!(world.service.units().len(), paid + 3);
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_requests_of_a_minute() {
    let settings = [("EMBED_REQUESTS_PER_MINUTE", "150"), ("EMBED_REQUEST_INPUTS", "2"), ("WORKER_CONCURRENCY", "1")];
    let world = world(&settings).await;
    let workers = [world.fleet.worker(), world.fleet.worker()];
    let other = world.client.as_user("22222222-2222-4222-8222-222222222222");
    let jobs =
        [world.client.upload_text("lamps", &book("lamp", 8)).await, other.upload_text("boats", &book("boat", 8)).await];
    for (client, job) in [&world.client, &other].into_iter().zip(&jobs) {
        let ended = client.wait_for_end(job).await;
        assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    }
    let billed = world.service.billed();
    assert!(billed.len() >= 8, "{billed:?}");
    let (first, last) = (billed[0].at, billed[billed.len() - 1].at);
    // 0.4 s apart. A request that is late does not move the others.
    let least = Duration::from_millis(400) * u32::try_from(billed.len() - 1).unwrap() - Duration::from_millis(300);
    assert!(last - first >= least, "{} requests within {:?}", billed.len(), last - first);
    drop(workers);
}

#[tokio::test]
async fn a_place_is_reserved_only_within_patience_and_a_pause_holds_for_all() {
    let test = TestDb::new().await;
    let rates = Rates { requests: 6, tokens: 600 };
    let reserve = |tokens, seconds| reserve_request(&test.db, "openai", rates, tokens, Duration::from_secs(seconds));
    assert_eq!(reserve(100, 5).await.unwrap(), Reserved::After(Duration::ZERO));
    let Reserved::Not(wait) = reserve(100, 5).await.unwrap() else { panic!("the next has its place in 10 s") };
    assert!((Duration::from_secs(6)..=Duration::from_secs(10)).contains(&wait), "{wait:?}");
    let Reserved::After(wait) = reserve(300, 20).await.unwrap() else { panic!("it waits as long as it can") };
    assert!((Duration::from_secs(6)..=Duration::from_secs(10)).contains(&wait), "{wait:?}");
    // 300 tokens are half a minute.
    let Reserved::Not(wait) = reserve(1, 20).await.unwrap() else { panic!("the tokens are used up") };
    assert!(wait > Duration::from_secs(30), "{wait:?}");
    pause_requests(&test.db, "openai", Duration::from_secs(600)).await.unwrap();
    let free = Rates { requests: 0, tokens: 0 };
    let paused = reserve_request(&test.db, "openai", free, 1, Duration::from_secs(5)).await.unwrap();
    assert!(matches!(paused, Reserved::Not(wait) if wait > Duration::from_secs(500)), "{paused:?}");
}
