//! What a claim and the writes of a worker read, and when an idle worker should claim next.

use std::time::Duration;

use domain::{Code, Status, Step, WorkerId};
use pg::{Conn, Session};
use serde_json::json;
use store::jobs::{advance_job, beat_heart, claim_jobs, get_checkpoint, get_outlook, hand_back_job};

use super::{OPTIONS, claim_new_job, enqueue, expire, row_of, user};
use crate::support::db::TestDb;

#[tokio::test]
async fn the_outlook_says_when_the_next_job_is_due() {
    let test = TestDb::new().await;
    let conn = test.db.get().await.unwrap();
    assert!(get_outlook(&conn).await.unwrap().next_due.is_none());
    enqueue(&test, user(1), 1).await;
    enqueue(&test, user(2), 3).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 hour'").await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 minute', priority = 3
         WHERE job_id = (SELECT job_id FROM upload_pipeline.upload_jobs WHERE user_id = '{}' LIMIT 1)",
        user(2)
    ))
    .await;
    let outlook = get_outlook(&conn).await.unwrap();
    let due = outlook.next_due.unwrap();
    assert!(due > Duration::from_secs(50) && due <= Duration::from_secs(60), "{due:?}");
    assert!(!outlook.suspect);
}

#[tokio::test]
async fn a_heartbeat_returns_when_the_next_lease_of_another_worker_expires() {
    let test = TestDb::new().await;
    let (worker, lease) = claim_new_job(&test).await;
    let conn = test.db.get().await.unwrap();
    let own = beat_heart(&conn, &row_of(worker), &[lease.fence], OPTIONS).await.unwrap();
    assert!(own.next_expiry.is_none(), "the worker's own leases are not reported");
    let others = beat_heart(&conn, &row_of(WorkerId::generate()), &[], OPTIONS).await.unwrap().next_expiry.unwrap();
    assert!(others > Duration::from_secs(25) && others <= Duration::from_secs(30), "{others:?}");
    expire(&test, lease.fence.job_id).await;
    let now = beat_heart(&conn, &row_of(WorkerId::generate()), &[], OPTIONS).await.unwrap().next_expiry;
    assert_eq!(now, Some(Duration::ZERO));
}

/// Pages that the ninth claim of a job of user 2 reads in one session. By then PostgreSQL uses its generic plans.
async fn claim_buffers(test: &TestDb) -> u64 {
    let statuses = Status::claimable().join(",");
    let mut touched = 0;
    for _ in 0..9 {
        let plan = test
            .rows(&format!(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM upload_pipeline.claim_jobs(
                   gen_random_uuid(), 1, 2, '{}', '{{{statuses}}}', '{{{statuses}}}', 2, 30, now())",
                user(1)
            ))
            .await;
        let plan: serde_json::Value = serde_json::from_str(&plan[0][0]).unwrap();
        let plan = &plan[0]["Plan"];
        assert_eq!(plan["Actual Rows"].as_f64(), Some(1.0), "{plan}");
        test.run(&format!(
            "UPDATE upload_pipeline.upload_jobs SET state = 'done', status = 'complete', claimed_by = NULL
             WHERE state = 'working' AND user_id = '{}'",
            user(2)
        ))
        .await;
        touched = plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap();
    }
    touched
}

#[tokio::test]
async fn a_claim_reads_neither_the_backlog_of_a_user_at_the_limit_nor_ended_jobs() {
    let test = TestDb::new().await;
    enqueue(&test, user(2), 40).await;
    let alone = claim_buffers(&test).await;
    enqueue(&test, user(1), 10_000).await;
    enqueue(&test, user(3), 10_000).await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET state = 'done', status = 'complete' WHERE user_id = '{}'",
        user(3)
    ))
    .await;
    // User 1 is at the limit, so a claim must skip their ten thousand queued jobs without reading them.
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET state = 'working', lease_expires_at = now() + interval '1 hour'
         WHERE job_id IN (SELECT job_id FROM upload_pipeline.upload_jobs WHERE user_id = '{}' LIMIT 2)",
        user(1)
    ))
    .await;
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let beside = claim_buffers(&test).await;
    assert!(beside < alone + 100, "a claim touched {beside} pages beside the backlog and {alone} without it");
}

/// Scans of the index on running jobs so far.
async fn scans_of_running(test: &TestDb) -> i64 {
    let sql = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ix_upload_jobs_working'";
    test.value(sql).await.parse().unwrap()
}

#[tokio::test]
async fn writes_to_a_running_job_find_it_by_id_even_with_stale_statistics() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 500).await;
    // The planner's statistics say that no job is running.
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let conn = test.db.get().await.unwrap();
    let worker = WorkerId::generate();
    let leases = claim_jobs(&conn, worker, 200, None, OPTIONS).await.unwrap();
    assert_eq!(leases.len(), 200);
    conn.rows("SELECT pg_stat_force_next_flush()::text", &[]).await.unwrap();
    let before = scans_of_running(&test).await;
    for lease in &leases[..20] {
        let step = Step::after(lease.status).unwrap();
        advance_job(&conn, lease, step, Status::Parsed, &json!({}), Duration::ZERO).await.unwrap();
        assert!(get_checkpoint(&conn, lease.fence).await.unwrap().is_some());
        hand_back_job(&conn, lease.fence, Code::Shutdown, Duration::ZERO).await.unwrap();
    }
    conn.rows("SELECT pg_stat_force_next_flush()::text", &[]).await.unwrap();
    assert_eq!(scans_of_running(&test).await, before);
}

/// Entries of the index on waiting jobs read so far.
async fn waiting_entries_read(test: &TestDb, conn: &Conn) -> u64 {
    conn.rows("SELECT pg_stat_force_next_flush()::text", &[]).await.unwrap();
    let sql = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_upload_jobs_claim'";
    test.value(sql).await.parse().unwrap()
}

#[tokio::test]
async fn under_a_held_snapshot_a_claim_reads_dead_index_entries_only_once() {
    let test = TestDb::new().await;
    for _ in 0..30 {
        enqueue(&test, user(1), 100).await;
    }
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let held = test.db.get().await.unwrap();
    held.run("BEGIN ISOLATION LEVEL REPEATABLE READ", &[]).await.unwrap();
    held.rows("SELECT count(*) FROM upload_pipeline.upload_jobs", &[]).await.unwrap();

    let (conn, worker) = (test.db.get().await.unwrap(), WorkerId::generate());
    let before = waiting_entries_read(&test, &conn).await;
    for _ in 0..30 {
        assert_eq!(claim_jobs(&conn, worker, 100, Some(user(1)), OPTIONS).await.unwrap().len(), 100);
    }
    let read = waiting_entries_read(&test, &conn).await - before;
    held.run("ROLLBACK", &[]).await.unwrap();
    // The thirty claims skip 43,500 dead entries and take 3,000 live ones. A claim that starts each of its scans at the first
    // entry would read the dead ones at least three times.
    assert!(read < 60_000, "{read} entries were read");
}

#[tokio::test]
async fn a_job_with_run_at_minus_infinity_is_claimed() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 3).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET run_at = '-infinity'").await;
    let (conn, worker) = (test.db.get().await.unwrap(), WorkerId::generate());
    for _ in 0..3 {
        assert_eq!(claim_jobs(&conn, worker, 1, None, OPTIONS).await.unwrap().len(), 1);
    }
}
