//! Rows written by hand, two workers with one id, and statements that hang.

use std::time::Duration;

use domain::{Status, Step, WorkerId};
use pg::{Db, DbError, PoolOptions, Session};
use serde_json::json;
use store::{
    housekeeping::{delete_stale_workers, take_sweep_turn},
    jobs::{advance_job, beat_heart, get_outlook, hand_back_unheld, redrive_job},
};

use super::{OPTIONS, claim, claim_new_job, enqueue, release, row_of, state, user};
use crate::support::db::{TestDb, target};

#[tokio::test]
async fn a_redrive_without_a_usable_checkpoint_starts_from_the_beginning() {
    let test = TestDb::new().await;
    let conn = test.db.get().await.unwrap();
    let (_, lease) = claim_new_job(&test).await;
    for checkpoint in ["half_done", "complete", "failed_parse"] {
        test.run(&format!(
            "UPDATE upload_pipeline.upload_jobs
             SET state = 'deadletter', status = 'failed_embedding', last_error = '{{\"checkpoint\": \"{checkpoint}\"}}'"
        ))
        .await;
        assert!(redrive_job(&conn, user(1), lease.fence.job_id, None).await.unwrap());
        assert_eq!(state(&test, lease.fence.job_id).await, ("uploaded".into(), "queued".into()), "{checkpoint}");
    }
}

#[tokio::test]
async fn a_row_written_by_hand_delays_no_other_job() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 2).await;
    test.run(
        "UPDATE upload_pipeline.upload_jobs
         SET progress = (repeat('{\"a\":', 200) || '1e400' || repeat('}', 200))::jsonb, upload_expires_at = 'infinity',
           retry_count = 2147483647, run_at = '-infinity'
         WHERE job_id = (SELECT min(job_id::text)::uuid FROM upload_pipeline.upload_jobs)",
    )
    .await;
    assert_eq!(claim(&test, WorkerId::generate(), 2, None, OPTIONS).await.len(), 2);
    test.run("UPDATE upload_pipeline.upload_jobs SET lease_expires_at = '-infinity'").await;
    let beat = beat_heart(&test.db.get().await.unwrap(), &row_of(WorkerId::generate()), &[], OPTIONS).await.unwrap();
    assert_eq!(beat.next_expiry, Some(Duration::ZERO));
    assert_eq!(release(&test).await, 2);
    test.run("UPDATE upload_pipeline.upload_jobs SET run_at = 'infinity'").await;
    let outlook = get_outlook(&test.db.get().await.unwrap()).await.unwrap();
    assert!(outlook.next_due.is_some_and(|due| due > Duration::from_secs(3600)), "{outlook:?}");
}

#[tokio::test]
async fn two_workers_with_one_id_are_kept_apart_by_the_fence() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    // The second worker hands back the first one's job as an unknown claim. The fence then stops the first worker.
    assert_eq!(hand_back_unheld(&conn, worker, &[]).await.unwrap(), 1);
    assert_eq!(claim(&test, worker, 1, None, OPTIONS).await.len(), 1);
    let advanced = advance_job(&conn, &lease, Step::Parse, Status::Parsed, &json!({}), Duration::ZERO).await;
    assert!(matches!(advanced, Err(DbError::LeaseLost { .. })));
}

#[tokio::test]
async fn a_connection_with_an_unanswered_statement_is_not_handed_out() {
    let test = TestDb::new().await;
    let db = Db::open(target(&test.url), PoolOptions { size: 2, ..PoolOptions::default() }).unwrap();
    test.run("SELECT pg_advisory_lock(7)").await;
    let given_up = db.get().await.unwrap();
    let hangs = given_up.run("-- hang\nSELECT pg_advisory_lock(7)::text", &[]);
    let waiting = async {
        let held_up = "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
             WHERE NOT l.granted AND l.locktype = 'advisory' AND d.datname = current_database()";
        while test.value(held_up).await != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = hangs => panic!("the lock was not held: {answer:?}"),
        () = waiting => {}
    }
    drop(given_up);
    // The pool normally hands out the connection returned last, but this one still waits for an answer.
    let other = db.get().await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(4), other.run("SELECT 1 AS one", &[])).await;
    assert_eq!(answered.expect("the pool handed out the connection that waits for the lock").unwrap(), 1);
    drop(other);
    test.run("SELECT pg_advisory_unlock(7)").await;
    while db.pool_status().idle < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_worker_at_a_time_sweeps_and_stale_workers_are_deleted() {
    let test = TestDb::new().await;
    let conn = test.db.get().await.unwrap();
    test.run("UPDATE upload_pipeline.housekeeping SET next_run_at = now()").await;
    assert!(take_sweep_turn(&conn, Duration::from_secs(300)).await.unwrap());
    assert!(!take_sweep_turn(&conn, Duration::from_secs(300)).await.unwrap(), "the turn was already taken");
    for id in [WorkerId::generate(), WorkerId::generate()] {
        beat_heart(&conn, &row_of(id), &[], OPTIONS).await.unwrap();
        test.run("UPDATE upload_pipeline.workers SET last_seen_at = last_seen_at - interval '200 seconds'").await;
    }
    assert_eq!(delete_stale_workers(&conn, Duration::from_secs(300)).await.unwrap(), 1);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.workers").await, "1");
}
