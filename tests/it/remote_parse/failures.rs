//! A provider that refuses, fails or loses jobs, workers that die, and users who cancel, delete or retry.

use serde_json::{Value, json};

use super::{KEY, World, world};
use crate::support::fakes::{
    http::Reply,
    llamaparse::{Behaviour, Call},
};

const POST: reqwest::Method = reqwest::Method::POST;

type Change = fn(&mut Behaviour);

fn refusal(status: u16) -> Reply {
    Reply::json(status, &json!({ "detail": "told to" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_it_records_a_purchase_buys_again_and_logs_an_event() {
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
    let ended = world.skip_waits_until_end(&job).await;
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
async fn a_recorded_purchase_is_never_bought_again() {
    let world = world(&[]).await;
    world.provider.next(Call::Fetch, [Reply::Silence]);
    let worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    world.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now(); NOTIFY upload_jobs").await;
    while world.provider.calls(Call::Fetch) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    worker.kill();
    let _next = world.fleet.worker();
    let ended = world.skip_waits_until_end(&job).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("collected", 1));
    assert_eq!(world.events(&job, "provider_call_uncertain").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_pauses_the_worker_and_costs_no_try() {
    let world = world(&[]).await;
    world.provider.set(|behaviour| behaviour.key = "llx-another".to_owned());
    let mut worker = world.fleet.worker();
    let job = world.upload().await;
    let handed_back = format!(
        "SELECT count(*) FROM upload_pipeline.events
         WHERE job_id = '{job}' AND type = 'handed_back' AND code = 'remote_parser_key_refused'"
    );
    world.wait_for(&handed_back, "1").await;
    let (_, waits) = world.client.get(&format!("/jobs/{job}")).await;
    assert_eq!((&waits["state"], &waits["retry_count"]), (&json!("queued"), &json!(0)), "{waits}");
    world.provider.set(|behaviour| behaviour.key = KEY.to_owned());
    let ended = world.skip_waits_until_end(&job).await;
    assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    assert_eq!(world.calls(&job).await, "collected");
    assert!(!worker.read_log().join("\n").contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_own_code_and_a_retry_continues_from_there() {
    let world = world(&[("WORKER_MAX_RETRIES", "1"), ("PARSE_OUTPUT_BYTES", "100 kB")]).await;
    let _worker = world.fleet.worker();
    // No credits: a final failure, and nothing was bought.
    world.provider.next(Call::Start, [refusal(402)]);
    let job = world.upload().await;
    failed(&world, &job, "remote_parser_no_credits", "refused").await;
    // A server error at each try: the job may have been bought.
    world.provider.next(Call::Start, [refusal(500), refusal(503)]);
    retry(&world, &job, json!({})).await;
    failed(&world, &job, "remote_parser_unavailable", "refused uncertain intended").await;
    assert_eq!(world.events(&job, "remote_parser_unavailable").await, "2");
    // Unavailable before the call that costs money.
    world.provider.next(Call::Upload, [refusal(503), refusal(503)]);
    retry(&world, &job, json!({})).await;
    failed(&world, &job, "remote_parser_unavailable", "refused uncertain intended").await;
    // Busy once, with a Retry-After.
    world.provider.next(Call::Upload, [refusal(429)]);
    world.provider.set(|behaviour| behaviour.status = "FAILED");
    retry(&world, &job, json!({})).await;
    let failed_job = failed(&world, &job, "remote_parser_failed", "refused uncertain uncertain failed").await;
    assert!(
        failed_job["last_error"]["message"].as_str().unwrap().contains("(failed: page tree is broken)"),
        "{failed_job}"
    );
    assert_eq!(world.events(&job, "remote_parser_busy").await, "1");
    // The checkpoint is `parse_queued`, but the provider's job has failed, so a retry starts a new one.
    let mut calls = "refused uncertain uncertain failed".to_owned();
    let changes: [(&str, Change); 3] = [
        ("remote_parser_failed", |behaviour| behaviour.status = "EXPIRED"),
        ("remote_parser_incomplete", |behaviour| {
            behaviour.status = "PARTIAL_SUCCESS";
            behaviour.pages[1] = None;
        }),
        ("parse_output_limit", |behaviour| {
            behaviour.status = "COMPLETED";
            behaviour.pages = vec![Some("x".repeat(150_000))];
        }),
    ];
    for (code, change) in changes {
        world.provider.set(change);
        retry(&world, &job, json!({})).await;
        calls.push_str(if code == "parse_output_limit" { " accepted" } else { " failed" });
        failed(&world, &job, code, &calls).await;
    }
    // A result that was too long can be fetched again without paying.
    let bought = world.provider.jobs().len();
    world.provider.set(|behaviour| behaviour.pages = vec![Some("The heron waits.".to_owned())]);
    retry(&world, &job, json!({})).await;
    assert_eq!(world.skip_waits_until_end(&job).await["status"], "complete");
    assert_eq!(world.provider.jobs().len(), bought);
}

async fn failed(world: &World, job: &str, code: &str, calls: &str) -> Value {
    let ended = world.skip_waits_until_end(job).await;
    assert_eq!((&ended["status"], &ended["last_error"]["code"]), (&json!("failed_parse"), &json!(code)), "{ended}");
    assert_eq!(world.calls(job).await, calls, "{code}");
    ended
}

async fn retry(world: &World, job: &str, body: Value) {
    let (status, answer) = world.client.post(&format!("/jobs/{job}/retry"), body).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_provider_costs_no_try_until_the_timeout() {
    let world = world(&[("PARSE_REMOTE_TIMEOUT", "8"), ("WORKER_MAX_RETRIES", "0")]).await;
    world.provider.set(|behaviour| behaviour.status = "RUNNING");
    world.provider.next(Call::GetState, (0..2).map(|_| refusal(500)).chain([refusal(429)]));
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    let ended = world.skip_waits_until_end(&job).await;
    assert_eq!(ended["last_error"]["code"], "parser_timeout", "{ended}");
    assert!(world.provider.calls(Call::GetState) > 3);
    assert_eq!(world.calls(&job).await, "accepted", "the provider's job can still be collected");
    world.provider.set(|behaviour| behaviour.status = "COMPLETED");
    retry(&world, &job, json!({})).await;
    assert_eq!(world.skip_waits_until_end(&job).await["status"], "complete");
    assert_eq!((world.calls(&job).await.as_str(), world.provider.jobs().len()), ("collected", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_result_is_bought_once_more_and_then_fails() {
    let world = world(&[]).await;
    world.provider.set(|behaviour| behaviour.loses_jobs = true);
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    failed(&world, &job, "remote_parser_lost_job", "gone gone").await;
    assert_eq!((world.events(&job, "provider_call_gone").await.as_str(), world.provider.jobs().len()), ("2", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_deleted_or_restarted_stops_waiting() {
    let world = world(&[]).await;
    world.provider.set(|behaviour| behaviour.status = "RUNNING");
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    let (status, cancelled) = world.client.post(&format!("/jobs/{job}/cancel"), json!({})).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!(world.provider.jobs()[0].call_back(b"{}"), 200, "a webhook for a cancelled job is not an error");
    let unchanged = format!("SELECT state || ' ' || status FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'");
    assert_eq!(world.test.value(&unchanged).await, "cancelled parse_queued");

    // A retry from the start makes a new call to the provider on purpose, so the old call is not uncertain.
    retry(&world, &job, json!({ "from": "uploaded" })).await;
    world.wait_until_parked(&job).await;
    assert_eq!(world.calls(&job).await, "abandoned accepted");
    assert_eq!(world.events(&job, "provider_call_uncertain").await, "0");
    // A retry from the checkpoint waits for the job that was bought.
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
