//! A provider that refuses, breaks, forgets or lies; workers that die; people who change their minds.

use serde_json::{Value, json};

use super::{KEY, World, world};
use crate::support::fakes::{
    http::Reply,
    llamaparse::{Call, Mood},
};

const POST: reqwest::Method = reqwest::Method::POST;

type Change = fn(&mut Mood);

fn refusal(status: u16) -> Reply {
    Reply::json(status, &json!({ "detail": "told to" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_buying_and_writing_buys_again_and_says_so() {
    let world = world(&[]).await;
    world.provider.next(Call::Start, [Reply::Silence]);
    let worker = world.fleet.worker();
    let job = world.upload().await;
    let intended =
        format!("SELECT coalesce(max(state), '') FROM upload_pipeline.provider_calls WHERE job_id = '{job}'");
    world.wait_for(&intended, "intended").await;
    while world.provider.jobs().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    worker.kill();
    let worker = world.fleet.worker();
    let ended = world.wait_impatiently(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("uncertain collected", 2));
    let event = format!(
        "SELECT type || ' ' || severity || ' ' || (payload ->> 'provider')
         FROM upload_pipeline.events WHERE job_id = '{job}' AND code = 'provider_call_uncertain'"
    );
    assert_eq!(world.test.value(&event).await, "retry warn llamaparse");
    assert_eq!(worker.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_bought_and_written_down_is_never_bought_again() {
    let world = world(&[]).await;
    world.provider.next(Call::Fetch, [Reply::Silence]);
    let worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now(); NOTIFY upload_jobs").await;
    while world.provider.asked(Call::Fetch) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    worker.kill();
    let _next = world.fleet.worker();
    let ended = world.wait_impatiently(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("collected", 1));
    assert_eq!(world.events(&job, "provider_call_uncertain").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_pauses_the_worker_and_burns_no_try() {
    let world = world(&[]).await;
    world.provider.set(|mood| mood.key = "llx-another".to_owned());
    let mut worker = world.fleet.worker();
    let job = world.upload().await;
    let handed_back = format!(
        "SELECT count(*) FROM upload_pipeline.events
         WHERE job_id = '{job}' AND type = 'handed_back' AND code = 'remote_parser_key_refused'"
    );
    world.wait_for(&handed_back, "1").await;
    let (_, waits) = world.client.get(&format!("/jobs/{job}")).await;
    assert_eq!((&waits["state"], &waits["retry_count"]), (&json!("queued"), &json!(0)), "{waits}");
    world.provider.set(|mood| mood.key = KEY.to_owned());
    let ended = world.wait_impatiently(&job).await;
    assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    assert_eq!(world.calls(&job).await, "collected");
    assert!(!worker.read_log().join("\n").contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_ends_as_it_deserves_and_a_retry_goes_on_from_there() {
    let world = world(&[("WORKER_MAX_RETRIES", "1"), ("PARSE_OUTPUT_BYTES", "100 kB")]).await;
    let _worker = world.fleet.worker();
    // No credits: final at once, and nothing was bought.
    world.provider.next(Call::Start, [refusal(402)]);
    let job = world.upload().await;
    failed(&world, &job, "remote_parser_no_credits", "refused").await;
    // Broken at each try: who can tell what was bought?
    world.provider.next(Call::Start, [refusal(500), refusal(503)]);
    retry(&world, &job, json!({})).await;
    failed(&world, &job, "remote_parser_unavailable", "refused uncertain intended").await;
    assert_eq!(world.events(&job, "remote_parser_unavailable").await, "2");
    // Away before anything was asked that costs.
    world.provider.next(Call::Upload, [refusal(503), refusal(503)]);
    retry(&world, &job, json!({})).await;
    failed(&world, &job, "remote_parser_unavailable", "refused uncertain intended").await;
    // Too busy once; it says when to come again.
    world.provider.next(Call::Upload, [refusal(429)]);
    world.provider.set(|mood| mood.status = "FAILED");
    retry(&world, &job, json!({})).await;
    let failed_job = failed(&world, &job, "remote_parser_failed", "refused uncertain uncertain failed").await;
    assert!(
        failed_job["last_error"]["message"].as_str().unwrap().contains("(failed: page tree is broken)"),
        "{failed_job}"
    );
    assert_eq!(world.events(&job, "remote_parser_busy").await, "1");
    // The checkpoint is `parse_queued`, but that job of the provider's has ended: it is begun anew.
    let mut calls = "refused uncertain uncertain failed".to_owned();
    let changes: [(&str, Change); 3] = [
        ("remote_parser_failed", |mood| mood.status = "EXPIRED"),
        ("remote_parser_incomplete", |mood| {
            mood.status = "PARTIAL_SUCCESS";
            mood.pages[1] = None;
        }),
        ("parse_output_limit", |mood| {
            mood.status = "COMPLETED";
            mood.pages = vec![Some("x".repeat(150_000))];
        }),
    ];
    for (code, change) in changes {
        world.provider.set(change);
        retry(&world, &job, json!({})).await;
        calls.push_str(if code == "parse_output_limit" { " accepted" } else { " failed" });
        failed(&world, &job, code, &calls).await;
    }
    // An answer that is too long may be fetched again, under another limit, without paying.
    let bought = world.provider.jobs().len();
    world.provider.set(|mood| mood.pages = vec![Some("The heron waits.".to_owned())]);
    retry(&world, &job, json!({})).await;
    assert_eq!(world.wait_impatiently(&job).await["status"], "complete");
    assert_eq!(world.provider.jobs().len(), bought);
}

async fn failed(world: &World, job: &str, code: &str, calls: &str) -> Value {
    let ended = world.wait_impatiently(job).await;
    assert_eq!((&ended["status"], &ended["last_error"]["code"]), (&json!("failed_parse"), &json!(code)), "{ended}");
    assert_eq!(world.calls(job).await, calls, "{code}");
    ended
}

async fn retry(world: &World, job: &str, body: Value) {
    let (status, answer) = world.client.post(&format!("/jobs/{job}/retry"), body).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_asked_costs_no_try_until_the_time_is_up() {
    let world = world(&[("PARSE_REMOTE_TIMEOUT", "8"), ("WORKER_MAX_RETRIES", "0")]).await;
    world.provider.set(|mood| mood.status = "RUNNING");
    world.provider.next(Call::Look, (0..2).map(|_| refusal(500)).chain([refusal(429)]));
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    let ended = world.wait_impatiently(&job).await;
    assert_eq!(ended["last_error"]["code"], "parser_timeout", "{ended}");
    assert!(world.provider.asked(Call::Look) > 3);
    assert_eq!(world.calls(&job).await, "accepted", "it may still be asked");
    world.provider.set(|mood| mood.status = "COMPLETED");
    retry(&world, &job, json!({})).await;
    assert_eq!(world.wait_impatiently(&job).await["status"], "complete");
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("collected", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_gone_is_paid_for_once_more_and_not_for_ever() {
    let world = world(&[]).await;
    world.provider.set(|mood| mood.forgetful = true);
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    failed(&world, &job, "remote_parser_lost_job", "gone gone").await;
    assert_eq!((world.events(&job, "provider_call_gone").await.as_str(), world.provider.jobs().len()), ("2", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_deleted_or_begun_anew_stops_waiting() {
    let world = world(&[]).await;
    world.provider.set(|mood| mood.status = "RUNNING");
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    let (status, cancelled) = world.client.post(&format!("/jobs/{job}/cancel"), json!({})).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!(world.provider.jobs()[0].call_back(b"{}"), 200, "its sender has done nothing wrong");
    let unchanged = format!("SELECT state || ' ' || status FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'");
    assert_eq!(world.test.value(&unchanged).await, "cancelled parse_queued");

    // From the start: the provider is asked anew, which is no accident.
    retry(&world, &job, json!({ "from": "uploaded" })).await;
    world.wait_until_parked(&job).await;
    assert_eq!(world.calls(&job).await, "abandoned accepted");
    assert_eq!(world.events(&job, "provider_call_uncertain").await, "0");
    // From where it stood: what was bought is waited for.
    let (status, _) = world.client.send(POST, &format!("/jobs/{job}/cancel"), None).await;
    assert_eq!(status, 200);
    retry(&world, &job, json!({})).await;
    world.wait_until_parked(&job).await;
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("abandoned accepted", 2));

    let document = world.test.value("SELECT document_id FROM upload_pipeline.documents").await;
    let (status, _) = world.client.send(reqwest::Method::DELETE, &format!("/documents/{document}"), None).await;
    assert_eq!(status, 202);
    for table in ["provider_calls", "webhook_log", "upload_jobs"] {
        assert_eq!(world.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, "0", "{table}");
    }
    assert_eq!(world.provider.jobs()[1].call_back(b"{}"), 404);
}
