//! Caps: held before anything is bought, by all workers together; they cost no try and stop no search.

use serde_json::{Value, json};

use super::{World, book, world};
use crate::support::{cluster::connect, db::TestDb, fleet::Client};

/// A cent a token: a passage of [`book`] is charged about 100 and reckoned as about 130.
const PRICE: (&str, &str) = ("EMBED_PRICES", "heron=1000000");
const SMALL: (&str, &str) = ("EMBED_REQUEST_INPUTS", "2");
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// Waits until the job waits for a day to turn, or has ended.
async fn held(world: &World, client: &Client, job: &str) -> Value {
    let held = format!(
        "SELECT state || ' ' || coalesce(last_error ->> 'code', '') || ' ' || (run_at >= (now() AT TIME ZONE 'UTC')::date + 1)
         FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'"
    );
    let deadline = std::time::Instant::now() + crate::support::fleet::PATIENCE;
    while !world.test.value(&held).await.ends_with("cap_reached true")
        && !world.test.value(&held).await.starts_with("done")
    {
        assert!(std::time::Instant::now() < deadline, "{}", world.test.value(&held).await);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    client.get(&format!("/jobs/{job}")).await.1
}

/// What was spent on all days, what may be charged included.
async fn spent(test: &TestDb) -> f64 {
    test.value("SELECT coalesce(sum(cost_cents + uncertain_cents), 0) FROM upload_pipeline.usage_days")
        .await
        .parse()
        .unwrap()
}

/// Lets the day turn.
async fn next_day(world: &World) {
    world
        .test
        .run(
            "UPDATE upload_pipeline.usage_days SET day = day - 1; UPDATE upload_pipeline.embed_calls SET day = day - 1;
              UPDATE upload_pipeline.upload_jobs SET run_at = now() WHERE state = 'queued'; NOTIFY upload_jobs",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_at_the_cap_waits_for_the_next_day_at_no_cost_and_finds_what_is_complete() {
    let world = world(&[PRICE, SMALL, ("MAX_CENTS_PER_USER_PER_DAY", "600")]).await;
    let _worker = world.fleet.worker();
    let first = world.client.upload_text("first", &book("lamp", 2)).await;
    assert_eq!(world.client.wait_for_end(&first).await["status"], "complete");
    let second = world.client.upload_text("second", &book("boat", 8)).await;
    let waiting = held(&world, &world.client, &second).await;
    assert_eq!((&waiting["state"], &waiting["retry_count"]), (&json!("queued"), &json!(0)), "{waiting}");
    assert_eq!(waiting["last_error"]["code"], "user_day_cap_reached");
    let message = waiting["last_error"]["message"].as_str().unwrap();
    assert!(
        message.contains("MAX_CENTS_PER_USER_PER_DAY") && message.contains("goes on by itself after 20"),
        "{message}"
    );
    assert!(spent(&world.test).await <= 600.0);
    let (_, found) = world.client.post("/search", json!({ "query": "keeper of the lamp house 1" })).await;
    assert!(!found["hits"].as_array().unwrap().is_empty(), "{found}");
    let usage = world.client.get("/usage").await.1;
    assert!(usage["today"]["left_cents"].as_f64().unwrap() < 600.0 && usage["today"]["ends_at"].is_string(), "{usage}");
    // Another user has a cap of their own.
    let other = world.client.as_user(OTHER);
    let third = other.upload_text("third", &book("lamp", 2)).await;
    assert_eq!(other.wait_for_end(&third).await["status"], "complete");
    // Each day goes on where the last one stopped.
    let paid = world.service.units().len();
    next_day(&world).await;
    let deadline = std::time::Instant::now() + crate::support::fleet::PATIENCE;
    loop {
        let job = world.client.get(&format!("/jobs/{second}")).await.1;
        if job["terminal"] == true {
            assert_eq!((&job["status"], &job["retry_count"]), (&json!("complete"), &json!(0)), "{job}");
            break;
        }
        if job["state"] == "queued" && job["run_at"].as_str() > waiting["updated_at"].as_str() {
            next_day(&world).await;
        }
        assert!(std::time::Instant::now() < deadline, "{job}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(world.service.units().len() > paid);
    let passages = world.service.units().iter().filter(|text| !text.starts_with("keeper of the lamp")).count();
    assert_eq!(passages, 12, "each passage is bought once for each user");
}

/// Three workers buy for eight documents at the same moment, under a cap of 600 cents of which they would use 6400. Returns the jobs
/// that wait for the next day, and the cents that were charged.
async fn buy_together(world: &World) -> (Vec<Value>, usize) {
    let other = world.client.as_user(OTHER);
    let mut jobs = Vec::new();
    for number in 0..4 {
        jobs.push((&world.client, world.client.upload_text("a", &book(&format!("lamp{number}"), 8)).await));
        jobs.push((&other, other.upload_text("b", &book(&format!("boat{number}"), 8)).await));
    }
    // No reservation can be written while these rows are locked, so that many look at the same sums if nothing keeps them from it.
    world
        .test
        .run(
            "INSERT INTO upload_pipeline.usage_days (user_id, day, provider, model)
             SELECT DISTINCT user_id, (now() AT TIME ZONE 'UTC')::date, 'openai', 'heron' FROM upload_pipeline.documents",
        )
        .await;
    let lock = connect(&world.test.url).await.unwrap();
    lock.batch_execute("BEGIN; SELECT FROM upload_pipeline.usage_days FOR UPDATE").await.unwrap();
    let workers = [world.fleet.worker(), world.fleet.worker(), world.fleet.worker()];
    let waiting = "SELECT count(*) >= 4 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ '^-- (lock_spending|count_uncertain)'";
    world.wait_for(waiting, "t").await;
    lock.batch_execute("ROLLBACK").await.unwrap();
    let mut left = Vec::new();
    for (client, job) in jobs {
        left.push(held(world, client, &job).await);
    }
    drop(workers);
    let charged: usize = world.service.units().iter().map(|text| text.split_whitespace().count()).sum();
    left.retain(|job| job["terminal"] == false);
    (left, charged)
}

const TOGETHER: [(&str, &str); 4] = [PRICE, SMALL, ("MAX_CENTS_PER_DAY", "600"), ("WORKER_CONCURRENCY", "4")];

#[tokio::test(flavor = "multi_thread")]
async fn workers_together_do_not_pass_a_cap() {
    let world = world(&TOGETHER).await;
    let (waiting, charged) = buy_together(&world).await;
    assert!((350..=600).contains(&charged), "{charged} cents were charged");
    assert!(spent(&world.test).await <= 600.0);
    assert!(waiting.len() >= 4, "64 passages cost about 6400 cents, but only {} jobs wait", waiting.len());
    // Its tries are not looked at: a worker whose rows are locked for long is taken for dead.
    for job in waiting {
        assert_eq!(job["last_error"]["code"], "day_cap_reached", "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_costs_more_than_its_cap_fails_and_goes_on_with_a_higher_one() {
    let mut world = world(&[PRICE, SMALL, ("EMBED_REQUESTS_IN_FLIGHT", "1"), ("MAX_CENTS_PER_DOCUMENT", "500")]).await;
    let worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 6)).await;
    let failed = world.client.wait_for_end(&job).await;
    assert_eq!((&failed["status"], &failed["state"]), (&json!("failed_embedding"), &json!("deadletter")), "{failed}");
    assert_eq!(failed["last_error"]["code"], "document_cap_reached");
    assert_eq!(failed["last_error"]["first"], Value::Null, "it was not tried again: {failed}");
    let paid = world.service.units().len();
    assert!(paid > 0 && paid < 6, "{paid}");
    assert_eq!(worker.stop(), 0);
    world.fleet.set("MAX_CENTS_PER_DOCUMENT", "5000");
    let _worker = world.fleet.worker();
    let (status, _queued) = world.client.post(&format!("/jobs/{job}/retry"), json!({})).await;
    assert_eq!(status, 202);
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(world.service.units().len(), 6, "what was bought is not bought again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_day_allows_fails_at_once() {
    let world = world(&[PRICE, SMALL, ("MAX_CENTS_PER_DAY", "100")]).await;
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 2)).await;
    let failed = world.client.wait_for_end(&job).await;
    assert_eq!(failed["last_error"]["code"], "day_cap_too_small", "{failed}");
    assert_eq!(world.service.units(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_that_was_raised_lets_jobs_go_on_when_the_workers_start_again() {
    let mut world = world(&[PRICE, SMALL, ("MAX_CENTS_PER_USER_PER_DAY", "400")]).await;
    let worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 6)).await;
    held(&world, &world.client, &job).await;
    assert_eq!(worker.stop(), 0);
    world.fleet.set("MAX_CENTS_PER_USER_PER_DAY", "0");
    let _worker = world.fleet.worker();
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_without_a_price_is_refused_at_the_start() {
    let mut world = world(&[]).await;
    world.fleet.set("MAX_CENTS_PER_DAY", "100");
    let (status, _printed, log) = world.fleet.run(&["worker"]);
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("EMBED_PRICES") && log.contains("heron"), "{log}");
}
