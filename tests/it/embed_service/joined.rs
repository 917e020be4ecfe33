//! Texts of several documents in one request: fewer requests, and each document pays, fails and ends for itself.

use serde_json::{Value, json};

use super::{World, book, world};
use crate::support::{cluster::connect, fakes::embeddings::Fault, fleet::Client};

const MANY: [(&str, &str); 2] = [("WORKER_CONCURRENCY", "8"), ("MAX_RUNNING_JOBS_PER_USER", "8")];
/// A cent a token: a passage of [`book`] is charged about 100 and reckoned as about 130.
const PRICE: (&str, &str) = ("EMBED_PRICES", "heron=1000000");
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// No request has a place within this time.
async fn pause(world: &World, wait: &str) {
    let sql = format!(
        "INSERT INTO upload_pipeline.provider_rates (provider, paused_until) VALUES ('openai', now() + interval '{wait}')
         ON CONFLICT (provider) DO UPDATE SET paused_until = excluded.paused_until"
    );
    world.test.run(&sql).await;
}

/// Documents of one passage each, whose jobs all wait for their place.
async fn parked<'a>(world: &World, texts: &[(&'a Client, &str)]) -> Vec<(&'a Client, String)> {
    pause(world, "1 hour").await;
    let mut jobs = Vec::new();
    for (n, (client, name)) in texts.iter().enumerate() {
        jobs.push((*client, client.upload_text(&format!("{name} {n}"), &book(name, 1)).await));
    }
    let waiting = "SELECT count(*) FROM upload_pipeline.upload_jobs
        WHERE state = 'queued' AND run_at > now() + interval '30 minutes' AND status IN ('chunks_stored', 'embedding_in_progress')";
    world.wait_for(waiting, &texts.len().to_string()).await;
    jobs
}

/// Makes them all due, and their place comes in two seconds, so that they wait for it together.
async fn let_go(world: &World) {
    pause(world, "2 seconds").await;
    world
        .test
        .run("UPDATE upload_pipeline.upload_jobs SET run_at = now() WHERE state = 'queued'; NOTIFY upload_jobs")
        .await;
}

async fn complete(jobs: &[(&Client, String)]) -> Vec<Value> {
    let mut ended = Vec::new();
    for (client, job) in jobs {
        let end = client.wait_for_end(job).await;
        assert_eq!((&end["status"], &end["retry_count"]), (&json!("complete"), &json!(0)), "{end}");
        ended.push(end);
    }
    ended
}

/// The texts of each request that was billed.
fn sizes(world: &World) -> Vec<usize> {
    world.service.billed().iter().map(|request| request.texts.len()).collect()
}

const NAMES: [&str; 5] = ["lamp", "boat", "harbour", "anchor", "sail"];

fn all_of(client: &Client) -> Vec<(&Client, &'static str)> {
    NAMES.iter().map(|name| (client, *name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_wait_together_share_a_request_and_each_pays_its_part() {
    let world = world(&[MANY[0], MANY[1], PRICE]).await;
    let _worker = world.fleet.worker();
    let other = world.client.as_user(OTHER);
    let mut texts = all_of(&world.client);
    texts.extend([(&other, "rudder"), (&other, "mast")]);
    let jobs = parked(&world, &texts).await;
    let_go(&world).await;
    let ended = complete(&jobs).await;
    assert_eq!(sizes(&world), [7], "one request for all");
    let charged: usize = world.service.units().iter().map(|text| text.split_whitespace().count()).sum();
    let costs: Vec<f64> = ended.iter().map(|job| job["cost_cents"].as_f64().unwrap()).collect();
    assert!(costs.iter().all(|cost| (80.0..120.0).contains(cost)), "{costs:?}");
    assert_eq!(costs.iter().sum::<f64>(), charged as f64, "the parts add up to what was charged: {costs:?}");
    let of_other = other.get("/usage").await.1;
    assert_eq!(of_other["total"]["cost_cents"], json!(costs[5] + costs[6]), "{of_other}");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_refused_fails_its_own_document_and_no_other_of_the_request() {
    let world = world(&MANY).await;
    let _worker = world.fleet.worker();
    world.service.set(|behaviour| behaviour.refuses = Some("gunpowder"));
    let mut texts = all_of(&world.client);
    texts.insert(2, (&world.client, "gunpowder"));
    let mut jobs = parked(&world, &texts).await;
    let bad = jobs.remove(2).1;
    let_go(&world).await;
    complete(&jobs).await;
    assert_eq!(world.client.wait_for_end(&bad).await["last_error"]["code"], "embed_service_text_refused");
    assert_eq!(world.service.units().len(), NAMES.len(), "a refusal costs nothing, and the others are bought once");
    let refused = "SELECT bool_and(c.state = 'refused') FROM upload_pipeline.embed_calls AS c
        JOIN upload_pipeline.upload_jobs AS j ON j.job_id = c.job_id WHERE j.status = 'failed_embedding'";
    assert_eq!(world.test.value(refused).await, "t");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_that_is_no_number_is_bought_again_for_its_own_document_alone() {
    let world = world(&[MANY[0], MANY[1], PRICE]).await;
    let _worker = world.fleet.worker();
    let jobs = parked(&world, &all_of(&world.client)).await;
    world.service.set(|behaviour| behaviour.next = [Fault::NotANumber].into());
    let_go(&world).await;
    let mut retried = 0;
    for (client, job) in &jobs {
        let ended = world.skip_waits_until_end(job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
        let events = client.get(&format!("/jobs/{job}/events")).await.1.to_string();
        retried += usize::from(events.contains("vector_invalid"));
    }
    assert_eq!((sizes(&world), retried), (vec![5, 1], 1));
    assert_eq!(world.uncertain_units().await, 1);
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_is_sent_again_by_each_document_alone_and_counts_once_for_the_breaker() {
    let world = world(&MANY).await;
    let mut worker = world.fleet.worker();
    let jobs = parked(&world, &all_of(&world.client)).await;
    world.service.set(|behaviour| behaviour.next = [Fault::Error].into());
    let_go(&world).await;
    for (_, job) in &jobs {
        assert_eq!(world.skip_waits_until_end(job).await["status"], "complete");
    }
    assert_eq!(sizes(&world), [1; NAMES.len()]);
    assert!(!worker.read_log().join("\n").contains("not claiming"), "one failure is not three");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_cancelled_while_its_request_runs_takes_nothing_from_the_others() {
    let world = world(&MANY).await;
    let _worker = world.fleet.worker();
    let mut jobs = parked(&world, &all_of(&world.client)).await;
    world.service.set(|behaviour| behaviour.holds = true);
    let_go(&world).await;
    world.service.wait_for_requests(1).await;
    // The one whose wait began the request, as likely as any.
    let (client, cancelled) = jobs.remove(0);
    assert_eq!(client.post(&format!("/jobs/{cancelled}/cancel"), json!({})).await.0, 200);
    world.service.set(|behaviour| behaviour.holds = false);
    complete(&jobs).await;
    assert_eq!(sizes(&world), [5]);
    assert_eq!(client.wait_for_end(&cancelled).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_cap_stops_that_users_documents_and_no_other_of_the_request() {
    let world = world(&[MANY[0], MANY[1], PRICE, ("MAX_CENTS_PER_USER_PER_DAY", "200")]).await;
    let _worker = world.fleet.worker();
    let other = world.client.as_user(OTHER);
    let (one, two) = (&world.client, &other);
    let jobs = parked(&world, &[(one, "lamp"), (one, "boat"), (one, "sail"), (two, "mast")]).await;
    let_go(&world).await;
    complete(&jobs[3..]).await;
    let ends = "SELECT count(*) FILTER (WHERE state = 'done') || ' ' ||
        count(*) FILTER (WHERE state = 'queued' AND last_error ->> 'code' = 'user_day_cap_reached') FROM upload_pipeline.upload_jobs";
    world.wait_for(ends, "2 2").await;
    assert_eq!(world.service.units().len(), 2, "one passage of each user");
}

/// A worker that dies with a request of five documents: at this moment.
#[derive(Clone, Copy, PartialEq)]
enum Dies {
    WaitingForItsPlace,
    BeforeTheAnswer,
    BeforeTheCommits,
}

async fn dies(moment: Dies, paid: usize) {
    let world = world(&MANY).await;
    let worker = world.fleet.worker();
    let jobs = parked(&world, &all_of(&world.client)).await;
    world.service.set(|behaviour| behaviour.holds = true);
    let_go(&world).await;
    let lock = connect(&world.test.url).await.unwrap();
    match moment {
        Dies::WaitingForItsPlace => {
            let working = "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state = 'working'";
            world.wait_for(working, "5").await;
        }
        Dies::BeforeTheAnswer => world.service.wait_for_requests(1).await,
        Dies::BeforeTheCommits => {
            world.service.wait_for_requests(1).await;
            lock.batch_execute("BEGIN; SELECT FROM upload_pipeline.upload_jobs FOR UPDATE").await.unwrap();
            world.service.set(|behaviour| behaviour.holds = false);
            let waiting = "SELECT count(*) >= 5 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '-- lock_lease%'";
            world.wait_for(waiting, "t").await;
        }
    }
    worker.kill();
    let _ = lock.batch_execute("ROLLBACK").await;
    world.service.set(|behaviour| behaviour.holds = false);
    let _worker = world.fleet.worker();
    for (client, job) in &jobs {
        assert_eq!(client.wait_for_end(job).await["status"], "complete");
    }
    assert_eq!(world.service.units().len(), NAMES.len() + paid);
    assert_eq!(world.uncertain_units().await, paid, "what was paid and lost is recorded");
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_documents_wait_for_their_place_has_paid_and_written_nothing() {
    dies(Dies::WaitingForItsPlace, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_a_shared_answer_buys_it_again_and_each_document_says_so() {
    dies(Dies::BeforeTheAnswer, NAMES.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_a_shared_answer_and_the_commits_buys_it_again() {
    dies(Dies::BeforeTheCommits, NAMES.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_fewer_texts_is_found_out_and_each_text_is_bought_once() {
    let world = world(&MANY).await;
    world.service.set(|behaviour| behaviour.max_inputs = 2);
    let _worker = world.fleet.worker();
    let jobs = parked(&world, &all_of(&world.client)).await;
    let_go(&world).await;
    complete(&jobs).await;
    assert_eq!(world.service.units().len(), NAMES.len());
    assert!(sizes(&world).iter().all(|texts| *texts <= 2), "{:?}", sizes(&world));
    world.assert_nothing_is_paid_twice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_counted_and_leave_less_for_documents() {
    let world = world(&[PRICE, ("MAX_CENTS_PER_USER_PER_DAY", "300")]).await;
    let _worker = world.fleet.worker();
    let first = world.client.upload_text("lamps", &book("lamp", 1)).await;
    let cost = world.client.wait_for_end(&first).await["cost_cents"].as_f64().unwrap();
    let question = "boats home night ".repeat(40);
    for _ in 0..2 {
        let (status, found) = world.client.post("/search", json!({ "query": question })).await;
        assert_eq!((status, &found["mode"]), (200, &json!("hybrid")), "{found}");
    }
    // 120 words each, a cent a word.
    let counted = "SELECT requests || ' ' || tokens || ' ' || trim_scale(cost_cents) FROM upload_pipeline.usage_days";
    world.wait_for(counted, &format!("3 {0} {0}", cost + 240.0)).await;
    let second = world.client.upload_text("boats", &book("boat", 1)).await;
    let code = format!("SELECT last_error ->> 'code' FROM upload_pipeline.upload_jobs WHERE job_id = '{second}'");
    world.wait_for(&code, "user_day_cap_reached").await;
    let (status, _found) = world.client.post("/search", json!({ "query": "lamp" })).await;
    assert_eq!(status, 200, "a search is not refused");
    // At the end, what was counted last is written.
    assert_eq!(world.api.stop(), 0);
    assert_eq!(world.test.value("SELECT requests FROM upload_pipeline.usage_days").await, "4");
}
