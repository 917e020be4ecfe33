//! Workers that get a signal, and workers that wait for a lock.

use std::time::{Duration, Instant};

use super::{assert_one_set_of_chunks, markdown, start, wait_for};
use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet, USER},
};

/// Waits until a statement whose name matches this pattern waits for a lock.
async fn wait_for_blocked(test: &TestDb, statement: &str) {
    let waiting = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ '^-- {statement}\\s'"
    );
    wait_for(test, &waiting, "t").await;
}

/// Starts a worker whose step waits for the test's transaction; returns the worker and its job.
async fn start_blocked(test: &TestDb, fleet: &Fleet, client: &Client) -> (App, String) {
    test.run("BEGIN; LOCK TABLE upload_pipeline.document_chunks IN ACCESS EXCLUSIVE MODE").await;
    let worker = fleet.worker();
    let job = client.upload_text("held up", &markdown(3)).await;
    // The relation has the same id in other tests' databases.
    let is_blocked = "SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
         WHERE NOT l.granted AND l.relation = 'upload_pipeline.document_chunks'::regclass AND d.datname = current_database()";
    wait_for(test, is_blocked, "t").await;
    (worker, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_claim_does_not_outlast_the_grace_period() {
    let (test, mut fleet) = start().await;
    fleet.set("WORKER_GRACE", "4");
    fleet.set("WORKER_LISTEN_POLL_INTERVAL", "0.5");
    let mut worker = fleet.worker();
    worker.wait_for("listening for new jobs");
    test.run("BEGIN; LOCK TABLE upload_pipeline.upload_jobs IN ACCESS EXCLUSIVE MODE").await;
    // Either of the statements with which a worker asks for work.
    wait_for_blocked(&test, "(claim_jobs|get_outlook)").await;
    worker.signal("TERM");
    assert_eq!(worker.wait_for_exit().await, 0);
    worker.wait_for("a claim was not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_worker_at_once_and_another_takes_its_job_over() {
    let (test, fleet) = start().await;
    let (_api, client) = fleet.api();
    let (mut worker, job) = start_blocked(&test, &fleet, &client).await;
    worker.signal("TERM");
    worker.wait_for("received: stopping");
    worker.signal("TERM");
    assert_eq!(worker.wait_for_exit().await, 143);
    assert_eq!(test.value("SELECT state FROM upload_pipeline.upload_jobs").await, "working");
    test.run("ROLLBACK").await;
    let _other = fleet.worker();
    assert_one_set_of_chunks(&test, &client.wait_for_end(&job).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_back_running_jobs_without_costing_a_try() {
    let (test, mut fleet) = start().await;
    fleet.set("WORKER_GRACE", "3.2");
    let (api, client) = fleet.api();
    let worker = fleet.worker();
    let job = client.upload_text("handed back", &markdown(400)).await;
    let status = format!("SELECT status FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'");
    wait_for(&test, &status, "embedding_in_progress").await;
    let began = Instant::now();
    assert_eq!(worker.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let left = "SELECT state || ' ' || retry_count || ' ' || crash_count FROM upload_pipeline.upload_jobs";
    assert_eq!(test.value(left).await, "queued 0 0");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.workers").await, "0");
    assert_eq!(api.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_that_waits_for_a_lock_does_not_delay_heartbeats() {
    let (test, fleet) = start().await;
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('00000000-0000-0000-0000-0000000000d1', '{USER}', 'a.pdf', 'application/pdf', 1, 'x', 'raw/nowhere');
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, claimed_by, lease_expires_at, step_started_at, crash_count)
         VALUES (gen_random_uuid(), '00000000-0000-0000-0000-0000000000d1', 'uploaded', 'working', gen_random_uuid(), now(), now(), 2)"
    ))
    .await;
    test.run("BEGIN; SELECT FROM upload_pipeline.documents FOR NO KEY UPDATE").await;
    let mut worker = fleet.worker();
    wait_for_blocked(&test, "take_over_jobs").await;
    let seen = test.value("SELECT last_seen_at FROM upload_pipeline.workers").await;
    wait_for(&test, &format!("SELECT last_seen_at > '{seen}' FROM upload_pipeline.workers"), "t").await;
    worker.wait_for("couldn't take over jobs");
    test.run("ROLLBACK").await;
    wait_for(&test, "SELECT state FROM upload_pipeline.upload_jobs", "deadletter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_warns_when_another_uses_its_id() {
    let (test, fleet) = start().await;
    let mut worker = fleet.worker();
    // Its own heartbeats cause no warning.
    for _ in 0..2 {
        wait_for(&test, "SELECT count(*) FROM upload_pipeline.workers", "1").await;
        let seen = test.value("SELECT last_seen_at FROM upload_pipeline.workers").await;
        wait_for(&test, &format!("SELECT last_seen_at > '{seen}' FROM upload_pipeline.workers"), "t").await;
    }
    assert!(!worker.read_log().iter().any(|line| line.contains("goes by this worker's id")));
    // Changes the row as a heartbeat of another process would.
    test.run("UPDATE upload_pipeline.workers SET last_seen_at = now() - interval '1 millisecond'").await;
    worker.wait_for("goes by this worker's id");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_running_job_stops_it_in_the_middle_of_its_step() {
    let (test, fleet) = start().await;
    let (_api, client) = fleet.api();
    let (mut worker, job) = start_blocked(&test, &fleet, &client).await;
    let (status, cancelled) = client.post(&format!("/jobs/{job}/cancel"), serde_json::json!({})).await;
    assert_eq!((status, &cancelled["state"]), (200, &"cancelled".into()), "{cancelled}");
    // The step still waits for the lock, so the worker learned of the cancel from a heartbeat.
    worker.wait_for("is lost");
    test.run("ROLLBACK").await;
    assert_eq!(client.get(&format!("/jobs/{job}")).await.1["state"], "cancelled");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.document_chunks").await, "0");
}
