//! The statements of the queue: claim, fence, heartbeat, takeover, fairness, limits, cancel.

mod claim_cost;
mod completion;
mod edge_cases;
mod fairness;
mod turns;

use std::{collections::HashSet, time::Duration};

use domain::{Code, ErrorClass, Failure, JobId, Lease, Status, Step, UserId, WorkerId};
use pg::{DbError, Session};
use serde_json::json;
use store::{
    jobs::{
        ClaimOptions, Failed, advance_job, beat_heart, cancel_job, claim_jobs, claim_suspect, fail_job, hand_back_job,
        hand_back_unheld, redrive_job, release_expired_jobs, retry_job, save_progress, show_progress, snooze_job,
    },
    workers::WorkerRow,
};
use uuid::Uuid;

use crate::support::db::TestDb;

const OPTIONS: ClaimOptions = ClaimOptions { lease: Duration::from_secs(30), max_running_per_user: 0, now: None };

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// Inserts `count` queued jobs of a user.
async fn enqueue(test: &TestDb, owner: UserId, count: usize) {
    test.run(&format!(
        "WITH d AS (
           INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
           SELECT gen_random_uuid(), '{owner}', 'a.md', 'text/markdown', 1, gen_random_uuid()::text, 'raw/x'
           FROM generate_series(1, {count}) RETURNING document_id)
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
         SELECT gen_random_uuid(), document_id, 'uploaded', 'queued', '{{}}', now(), now() FROM d"
    ))
    .await;
}

async fn claim(
    test: &TestDb,
    worker: WorkerId,
    slots: u32,
    after: Option<UserId>,
    options: ClaimOptions,
) -> Vec<Lease> {
    claim_jobs(&test.db.get().await.unwrap(), worker, slots, after, options).await.unwrap()
}

fn row_of(id: WorkerId) -> WorkerRow {
    let build = domain::build_info::BuildInfo::new("c0ffee", "main", store::migrations::SCHEMA_VERSION, |_| None);
    WorkerRow { id, host: "here".into(), build, environment: "development".into(), slots: 4 }
}

async fn claim_new_job(test: &TestDb) -> (WorkerId, Lease) {
    enqueue(test, user(1), 1).await;
    let worker = WorkerId::generate();
    (worker, claim(test, worker, 1, None, OPTIONS).await.pop().unwrap())
}

async fn state(test: &TestDb, job: JobId) -> (String, String) {
    let rows =
        test.rows(&format!("SELECT status, state FROM upload_pipeline.upload_jobs WHERE job_id = '{job}'")).await;
    (rows[0][0].clone(), rows[0][1].clone())
}

async fn expire(test: &TestDb, job: JobId) {
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET lease_expires_at = now() - interval '1 second' WHERE job_id = '{job}'"
    ))
    .await;
}

async fn release(test: &TestDb) -> u64 {
    release_expired_jobs(&test.db, 100, None, false).await.unwrap()
}

fn failure(class: ErrorClass) -> Failure {
    Failure::of_class(class, Code::StepPanicked, "what happened, and what to do")
}

#[tokio::test]
async fn two_workers_never_claim_the_same_job() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 40).await;
    let claims = (0..8).map(|_| {
        let db = test.db.clone();
        tokio::spawn(async move {
            let conn = db.get().await.unwrap();
            let mut claimed = Vec::new();
            loop {
                let leases = claim_jobs(&conn, WorkerId::generate(), 3, None, OPTIONS).await.unwrap();
                if leases.is_empty() {
                    return claimed;
                }
                claimed.extend(leases.into_iter().map(|lease| lease.fence.job_id));
            }
        })
    });
    let mut all = Vec::new();
    for claim in claims {
        all.extend(claim.await.unwrap());
    }
    let distinct: HashSet<JobId> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
}

#[tokio::test]
async fn no_statement_under_a_lost_lease_changes_anything() {
    let test = TestDb::new().await;
    let (worker, old) = claim_new_job(&test).await;
    expire(&test, old.fence.job_id).await;
    assert_eq!(release(&test).await, 1);
    let new = claim(&test, worker, 1, None, OPTIONS).await.pop().unwrap();
    assert_eq!(new.fence.epoch, old.fence.epoch + 1);
    let conn = test.db.get().await.unwrap();
    let (fence, step) = (old.fence, Step::Parse);
    let failed = failure(ErrorClass::Document);
    let failed = Failed { failure: &failed, step };
    let tries: Vec<Result<(), DbError>> = vec![
        advance_job(&conn, &old, step, Status::Parsed, &json!({}), Duration::ZERO).await,
        snooze_job(&conn, fence, Code::WaitingForUpload, Duration::ZERO).await,
        hand_back_job(&conn, fence, Code::Shutdown, Duration::ZERO).await,
        retry_job(&conn, &old, failed, Duration::ZERO).await,
        fail_job(&conn, &old, failed).await,
    ];
    for tried in tries {
        assert!(matches!(tried, Err(DbError::LeaseLost { .. })), "{tried:?}");
    }
    let row = row_of(worker);
    assert_eq!(beat_heart(&conn, &row, &[fence], OPTIONS).await.unwrap().kept, []);
    assert_eq!(beat_heart(&conn, &row, &[new.fence], OPTIONS).await.unwrap().kept, [new.fence.job_id]);
    assert_eq!(state(&test, fence.job_id).await, ("uploaded".into(), "working".into()));
}

#[tokio::test]
async fn a_takeover_counts_a_try_only_if_a_step_had_started() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 1).await;
    // Another program wrote `working`, so no worker has started a step.
    test.run("UPDATE upload_pipeline.upload_jobs SET state = 'working'").await;
    assert_eq!(release(&test).await, 1);
    assert_eq!(test.value("SELECT retry_count || ' ' || crash_count FROM upload_pipeline.upload_jobs").await, "0 0");
    // A claim also starts the step.
    let lease = claim(&test, WorkerId::generate(), 1, None, OPTIONS).await.pop().unwrap();
    expire(&test, lease.fence.job_id).await;
    release(&test).await;
    assert_eq!(test.value("SELECT retry_count || ' ' || crash_count FROM upload_pipeline.upload_jobs").await, "1 1");
    assert_eq!(test.value("SELECT last_error ->> 'code' FROM upload_pipeline.upload_jobs").await, "worker_died");
}

#[tokio::test]
async fn a_database_that_was_away_costs_no_document_a_try() {
    let test = TestDb::new().await;
    let (_, lease) = claim_new_job(&test).await;
    let job = lease.fence.job_id;
    expire(&test, job).await;
    assert_eq!(release_expired_jobs(&test.db, 100, None, true).await.unwrap(), 1);
    assert_eq!(state(&test, job).await, ("uploaded".into(), "queued".into()));
    let left =
        "SELECT retry_count || ' ' || crash_count || ' ' || (last_error IS NULL) FROM upload_pipeline.upload_jobs";
    assert_eq!(test.value(left).await, "0 0 true");
    let event = "SELECT payload -> 'database_was_away' FROM upload_pipeline.events WHERE type = 'taken_over'";
    assert_eq!(test.value(event).await, "true");
}

#[tokio::test]
async fn a_document_that_kills_workers_runs_alone_and_then_is_given_up() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    let job = lease.fence.job_id;
    for crash in 1..=3 {
        expire(&test, job).await;
        assert_eq!(release(&test).await, 1);
        if crash == 1 {
            assert_eq!(
                claim(&test, worker, 1, None, OPTIONS).await.len(),
                1,
                "after one crash the job is claimed as usual"
            );
        } else if crash == 2 {
            assert!(
                claim(&test, worker, 8, None, OPTIONS).await.is_empty(),
                "a job with two crashes is not claimed with others"
            );
            let conn = test.db.get().await.unwrap();
            assert!(
                claim_suspect(&conn, worker, OPTIONS).await.unwrap().is_some(),
                "after two crashes the job may run alone"
            );
        }
    }
    assert_eq!(state(&test, job).await, ("failed_parse".into(), "deadletter".into()));
    let error = test.value("SELECT last_error ->> 'message' FROM upload_pipeline.upload_jobs").await;
    assert!(error.contains("given up"), "{error}");
    assert_eq!(test.value("SELECT processing_status FROM upload_pipeline.documents").await, "failed_parse");
    assert!(redrive_job(&test.db.get().await.unwrap(), user(1), job, None).await.unwrap());
    assert_eq!(claim(&test, worker, 1, None, OPTIONS).await.len(), 1, "a redrive resets the crashes");
}

#[tokio::test]
async fn a_working_job_without_a_lease_counts_as_expired() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 1).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET state = 'working'").await;
    assert_eq!(release(&test).await, 1);
    assert_eq!(claim(&test, WorkerId::generate(), 1, None, OPTIONS).await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_job_takes_the_lease_from_its_worker() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    assert!(!cancel_job(&conn, user(2), lease.fence.job_id).await.unwrap(), "a job of another user is not cancelled");
    assert!(cancel_job(&conn, user(1), lease.fence.job_id).await.unwrap());
    assert!(beat_heart(&conn, &row_of(worker), &[lease.fence], OPTIONS).await.unwrap().kept.is_empty());
    let advanced = advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({}), Duration::ZERO).await;
    assert!(matches!(advanced, Err(DbError::LeaseLost { .. })));
    assert_eq!(state(&test, lease.fence.job_id).await, ("uploaded".into(), "cancelled".into()));
}

#[tokio::test]
async fn a_redrive_resumes_at_the_checkpoint_and_keeps_the_first_error() {
    let test = TestDb::new().await;
    let (worker, mut lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({ "pages": 3 }), Duration::ZERO).await.unwrap();
    lease.status = Status::Parsed;
    let first = Failure::new(Code::WorkerDied, "first");
    retry_job(&conn, &lease, Failed { failure: &first, step: Step::Validate }, Duration::ZERO).await.unwrap();
    let lease = claim(&test, worker, 1, None, OPTIONS).await.pop().unwrap();
    assert_eq!((lease.status, lease.retry_count), (Status::Parsed, 1));
    let last = Failure::new(Code::FileCorrupt, "last");
    fail_job(&conn, &lease, Failed { failure: &last, step: Step::Validate }).await.unwrap();
    assert_eq!(state(&test, lease.fence.job_id).await, ("failed_parse".into(), "deadletter".into()));
    assert!(redrive_job(&conn, user(1), lease.fence.job_id, None).await.unwrap());
    assert_eq!(state(&test, lease.fence.job_id).await, ("parsed".into(), "queued".into()));
    let codes = test
        .rows("SELECT last_error ->> 'code', last_error -> 'first' ->> 'code' FROM upload_pipeline.upload_jobs")
        .await;
    assert_eq!(codes, [["file_corrupt", "worker_died"]]);
}

#[tokio::test]
async fn a_snooze_and_a_hand_back_cost_no_try() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    snooze_job(&conn, lease.fence, Code::WaitingForUpload, Duration::ZERO).await.unwrap();
    let lease = claim(&test, worker, 1, None, OPTIONS).await.pop().unwrap();
    hand_back_job(&conn, lease.fence, Code::Shutdown, Duration::ZERO).await.unwrap();
    let counts =
        test.value("SELECT retry_count || ' ' || crash_count || ' ' || state FROM upload_pipeline.upload_jobs").await;
    assert_eq!(counts, "0 0 queued");
}

#[tokio::test]
async fn the_database_refuses_invalid_job_rows() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 1).await;
    for wrong in
        ["state = 'done'", "status = 'complete'", "state = 'asleep'", "status = 'half_done'", "progress = '[]'"]
    {
        let refusal = test.refusal(&format!("UPDATE upload_pipeline.upload_jobs SET {wrong}")).await;
        assert!(refusal.contains("violates check constraint"), "{wrong}: {refusal}");
    }
    let refusal = test
        .refusal(
            "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
             VALUES (gen_random_uuid(), gen_random_uuid(), 'uploaded', 'queued', '{}', now(), now())",
        )
        .await;
    assert!(refusal.contains("upload_jobs_document_id_fkey"), "{refusal}");
    // A check constraint fails before the foreign key to the document.
    for (status, state, check) in [
        ("half_done", "queued", "ck_upload_jobs_status"),
        ("uploaded", "asleep", "ck_upload_jobs_state"),
        ("uploaded", "done", "ck_upload_jobs_done"),
    ] {
        let refusal = test
            .refusal(&format!(
                "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
                 VALUES (gen_random_uuid(), gen_random_uuid(), '{status}', '{state}', '{{}}', now(), now())"
            ))
            .await;
        assert!(refusal.contains(&format!("violates check constraint \"{check}\"")), "{refusal}");
    }
}

#[tokio::test]
async fn a_claim_starts_the_step_and_writes_the_event() {
    let test = TestDb::new().await;
    claim_new_job(&test).await;
    assert_eq!(test.value("SELECT type || ' ' || code FROM upload_pipeline.events").await, "stage_started parse");
    assert_eq!(test.value("SELECT step_started_at IS NOT NULL FROM upload_pipeline.upload_jobs").await, "t");
}

#[tokio::test]
async fn events_are_deleted_with_their_job_whatever_deletes_it() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 2).await;
    assert_eq!(claim(&test, WorkerId::generate(), 2, None, OPTIONS).await.len(), 2);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.events").await, "2");
    test.run("DELETE FROM upload_pipeline.documents WHERE document_id = (SELECT document_id FROM upload_pipeline.documents LIMIT 1)").await;
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.events").await, "1");
}

#[tokio::test]
async fn a_claim_that_its_worker_does_not_know_of_is_handed_back_without_costing_a_try() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 2).await;
    let worker = WorkerId::generate();
    let held = claim(&test, worker, 1, None, OPTIONS).await.pop().unwrap();
    claim(&test, worker, 1, None, OPTIONS).await;
    let conn = test.db.get().await.unwrap();
    assert_eq!(hand_back_unheld(&conn, worker, &[held.fence]).await.unwrap(), 1);
    assert_eq!(hand_back_unheld(&conn, worker, &[held.fence]).await.unwrap(), 0);
    let jobs =
        test.rows("SELECT state, retry_count, crash_count FROM upload_pipeline.upload_jobs ORDER BY state").await;
    assert_eq!(jobs, [["queued", "0", "0"], ["working", "0", "0"]]);
}

#[tokio::test]
async fn a_delayed_checkpoint_does_not_undo_a_later_one() {
    let test = TestDb::new().await;
    let (_, mut lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({}), Duration::ZERO).await.unwrap();
    lease.status = Status::Parsed;
    advance_job(&conn, &lease, Step::Validate, Status::ParseValidated, &json!({}), Duration::ZERO).await.unwrap();
    let late = advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({}), Duration::ZERO).await;
    assert!(matches!(late, Err(DbError::LeaseLost { .. })));
    for impossible in [Status::Complete, Status::Uploaded, Status::FailedParse, Status::EmbeddingsStored] {
        let refused = advance_job(&conn, &lease, Step::Chunk, impossible, &json!({}), Duration::ZERO).await;
        assert!(matches!(refused, Err(DbError::Row { .. })), "{refused:?}");
    }
    assert_eq!(state(&test, lease.fence.job_id).await.0, "parse_validated");
}

#[tokio::test]
async fn a_checkpoint_resets_the_crash_count() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    expire(&test, lease.fence.job_id).await;
    release(&test).await;
    let lease = claim(&test, worker, 1, None, OPTIONS).await.pop().unwrap();
    let conn = test.db.get().await.unwrap();
    advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({}), Duration::ZERO).await.unwrap();
    assert_eq!(test.value("SELECT crash_count FROM upload_pipeline.upload_jobs").await, "0");
}

#[tokio::test]
async fn work_that_was_stored_forgives_all_deaths_but_one_and_counts_that_are_only_shown_forgive_nothing() {
    let test = TestDb::new().await;
    let (_, lease) = claim_new_job(&test).await;
    let (conn, counts) = (test.db.get().await.unwrap(), json!({ "pages_read": 3 }));
    let left = "SELECT retry_count || ' ' || crash_count || ' ' || (progress ->> 'pages_read') FROM upload_pipeline.upload_jobs";
    test.run("UPDATE upload_pipeline.upload_jobs SET retry_count = 2, crash_count = 2").await;
    show_progress(&conn, lease.fence, Step::Parse, Status::Uploaded, &counts).await.unwrap();
    assert_eq!(test.value(left).await, "2 2 3");
    for _ in 0..2 {
        save_progress(&conn, lease.fence, Step::Parse, Status::Uploaded, &counts).await.unwrap();
        assert_eq!(test.value(left).await, "0 1 3");
    }
    test.run("UPDATE upload_pipeline.upload_jobs SET crash_count = 0").await;
    save_progress(&conn, lease.fence, Step::Parse, Status::Uploaded, &counts).await.unwrap();
    assert_eq!(test.value(left).await, "0 0 3");
}

#[tokio::test]
async fn the_server_ends_a_transaction_that_idles_too_long() {
    let test = TestDb::new().await;
    let bound = test
        .db
        .run_tx("read_timeout", |tx| {
            Box::pin(async move {
                let row = tx.row("SELECT current_setting('idle_in_transaction_session_timeout') AS bound", &[]).await?;
                Ok(row.unwrap().get::<_, String>("bound"))
            })
        })
        .await
        .unwrap();
    assert_eq!(bound, "15s");
}

#[tokio::test]
async fn a_build_claims_only_jobs_whose_step_it_knows() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 2).await;
    test.run(
        "UPDATE upload_pipeline.upload_jobs SET status = 'parsed'
         WHERE job_id = (SELECT job_id FROM upload_pipeline.upload_jobs LIMIT 1)",
    )
    .await;
    // The call of an older build that knows only the first step.
    let claimed_statuses = test
        .rows(
            "SELECT status FROM upload_pipeline.claim_jobs(
           gen_random_uuid(), 9, 0, NULL, '{uploaded}', '{parse}', 2, 30, now())",
        )
        .await;
    assert_eq!(claimed_statuses, [["uploaded"]]);
    assert_eq!(test.value("SELECT state FROM upload_pipeline.upload_jobs WHERE status = 'parsed'").await, "queued");
}
