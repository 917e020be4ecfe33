//! What looking for work costs, and when it is next worth it.

use std::time::{Duration, Instant};

use app::{
    db::{
        Conn, Session,
        jobs::{ClaimCursor, advance_job, beat_heart, claim_jobs, get_checkpoint, get_outlook, hand_back_job},
    },
    domain::{Code, Lease, Status, Step, WorkerId},
};
use serde_json::json;

use super::{OPTIONS, enqueue, expire, one, row_of, user};
use crate::support::{db::TestDb, fleet::PATIENCE};

#[tokio::test]
async fn an_idle_worker_knows_when_to_look_again() {
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
async fn a_heartbeat_tells_when_anothers_lease_would_expire() {
    let test = TestDb::new().await;
    let (worker, lease) = one(&test).await;
    let conn = test.db.get().await.unwrap();
    let own = beat_heart(&conn, &row_of(worker), &[lease.fence], OPTIONS).await.unwrap();
    assert!(own.next_expiry.is_none(), "its own leases are no concern of it");
    let others = beat_heart(&conn, &row_of(WorkerId::generate()), &[], OPTIONS).await.unwrap().next_expiry.unwrap();
    assert!(others > Duration::from_secs(25) && others <= Duration::from_secs(30), "{others:?}");
    expire(&test, lease.fence.job_id).await;
    let now = beat_heart(&conn, &row_of(WorkerId::generate()), &[], OPTIONS).await.unwrap().next_expiry;
    assert_eq!(now, Some(Duration::ZERO));
}

/// Buffers that the claim of one job of the second user touches, at the ninth time in one session: by then its plans are those
/// kept for good. `floors`: the last three arguments.
async fn claim_buffers(test: &TestDb, floors: &str) -> u64 {
    let statuses = Status::claimable().join(",");
    let mut touched = 0;
    for _ in 0..9 {
        let plan = test
            .rows(&format!(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM upload_pipeline.claim_jobs_from(
                   gen_random_uuid(), 1, 2, '{}', '{{{statuses}}}', NULL, 2, 30, now(), {floors})",
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
async fn neither_a_bounded_backlog_nor_the_history_is_read_by_anothers_claim() {
    let test = TestDb::new().await;
    enqueue(&test, user(2), 40).await;
    let nowhere = "NULL, '{}', '{}'";
    let alone = claim_buffers(&test, nowhere).await;
    enqueue(&test, user(1), 10_000).await;
    enqueue(&test, user(3), 10_000).await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET state = 'done', status = 'complete' WHERE user_id = '{}'",
        user(3)
    ))
    .await;
    // Both slots of the first user are taken, so every claim passes by ten thousand rows that it must not read.
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET state = 'working', lease_expires_at = now() + interval '1 hour'
         WHERE job_id IN (SELECT job_id FROM upload_pipeline.upload_jobs WHERE user_id = '{}' LIMIT 2)",
        user(1)
    ))
    .await;
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let beside = claim_buffers(&test, nowhere).await;
    assert!(beside < alone + 100, "a claim touched {beside} pages beside the backlog and {alone} without it");
    let from_floor = claim_buffers(&test, &format!("0::smallint, '{{{}}}', '{{-infinity}}'", user(1))).await;
    assert!(from_floor < alone + 100, "a claim touched {from_floor} pages from where it left off");
}

/// Scans of the index of running jobs so far.
async fn scans_of_running(test: &TestDb) -> i64 {
    let sql = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ix_upload_jobs_working'";
    test.value(sql).await.parse().unwrap()
}

#[tokio::test]
async fn what_is_written_of_a_job_in_hand_is_found_by_its_id_whatever_the_statistics_say() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 500).await;
    // The statistics of a quiet moment: nothing is running.
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let conn = test.db.get().await.unwrap();
    let worker = WorkerId::generate();
    let leases = claim_jobs(&conn, worker, 200, &mut ClaimCursor::default(), OPTIONS).await.unwrap().leases;
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

/// Entries of the index on waiting jobs that were read so far.
async fn waiting_entries_read(test: &TestDb, conn: &Conn) -> u64 {
    conn.rows("SELECT pg_stat_force_next_flush()::text", &[]).await.unwrap();
    let sql = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_upload_jobs_claim'";
    test.value(sql).await.parse().unwrap()
}

#[tokio::test]
async fn under_a_held_snapshot_a_claim_does_not_read_what_those_before_it_took() {
    let test = TestDb::new().await;
    for _ in 0..30 {
        enqueue(&test, user(1), 100).await;
    }
    test.run("VACUUM ANALYZE upload_pipeline.upload_jobs").await;
    let held = test.db.get().await.unwrap();
    held.run("BEGIN ISOLATION LEVEL REPEATABLE READ", &[]).await.unwrap();
    held.rows("SELECT count(*) FROM upload_pipeline.upload_jobs", &[]).await.unwrap();

    let (conn, worker, mut cursor) = (test.db.get().await.unwrap(), WorkerId::generate(), ClaimCursor::default());
    let before = waiting_entries_read(&test, &conn).await;
    for _ in 0..30 {
        assert_eq!(claim_jobs(&conn, worker, 100, &mut cursor, OPTIONS).await.unwrap().leases.len(), 100);
    }
    let read = waiting_entries_read(&test, &conn).await - before;
    held.run("ROLLBACK", &[]).await.unwrap();
    // 3,000 jobs; without the cursor, thirty claims read what is dead four times each, which is 174,000.
    assert!(read < 87_000, "{read} entries were read");
}

#[tokio::test]
async fn where_claims_left_off_hides_no_user_and_no_priority() {
    let test = TestDb::new().await;
    for of in [1, 3] {
        enqueue(&test, user(of), 6).await;
    }
    let (conn, worker, mut cursor) = (test.db.get().await.unwrap(), WorkerId::generate(), ClaimCursor::default());
    let served = |leases: Vec<Lease>| leases.iter().map(|lease| lease.user_id).collect::<Vec<_>>();
    let mut claim = async || served(claim_jobs(&conn, worker, 2, &mut cursor, OPTIONS).await.unwrap().leases);
    assert_eq!(claim().await.len(), 2);
    // A user between those and one after them, both due before the first.
    enqueue(&test, user(2), 1).await;
    enqueue(&test, user(4), 1).await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET run_at = now() - interval '1 hour'
         WHERE user_id IN ('{}', '{}')",
        user(2),
        user(4)
    ))
    .await;
    let mut round = claim().await;
    round.extend(claim().await);
    assert!(round.contains(&user(2)) && round.contains(&user(4)), "served within one round of the users: {round:?}");
    // A higher priority is seen at once.
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET priority = -1 WHERE job_id = (SELECT job_id FROM upload_pipeline.upload_jobs
           WHERE user_id = '{}' AND state = 'queued' ORDER BY run_at DESC LIMIT 1)",
        user(3)
    ))
    .await;
    assert!(claim().await.contains(&user(3)));
    let urgent = "SELECT state FROM upload_pipeline.upload_jobs WHERE priority = -1";
    assert_eq!(test.value(urgent).await, "working");
}

/// One user's backlog, its first job taken, and one that was committed late: due before that.
async fn late_behind_the_first(test: &TestDb, conn: &Conn, worker: WorkerId) -> (ClaimCursor, String) {
    let mut cursor = ClaimCursor::default();
    enqueue(test, user(1), 6).await;
    assert_eq!(claim_jobs(conn, worker, 1, &mut cursor, OPTIONS).await.unwrap().leases.len(), 1);
    let late = test
        .value(
            "UPDATE upload_pipeline.upload_jobs SET run_at = now() - interval '1 hour'
             WHERE job_id = (SELECT max(job_id::text)::uuid FROM upload_pipeline.upload_jobs WHERE state = 'queued')
             RETURNING job_id",
        )
        .await;
    (cursor, late)
}

#[tokio::test]
async fn a_job_committed_late_is_found_at_the_latest_when_nothing_else_is_left() {
    let test = TestDb::new().await;
    let (conn, worker) = (test.db.get().await.unwrap(), WorkerId::generate());
    let (mut cursor, _late) = late_behind_the_first(&test, &conn, worker).await;
    for _ in 0..5 {
        assert_eq!(claim_jobs(&conn, worker, 1, &mut cursor, OPTIONS).await.unwrap().leases.len(), 1);
    }
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state <> 'working'").await, "0");
}

#[tokio::test]
async fn a_job_committed_late_is_found_while_a_backlog_lasts() {
    let test = TestDb::new().await;
    let (conn, worker, began) = (test.db.get().await.unwrap(), WorkerId::generate(), Instant::now());
    let (mut cursor, late) = late_behind_the_first(&test, &conn, worker).await;
    loop {
        let leases = claim_jobs(&conn, worker, 1, &mut cursor, OPTIONS).await.unwrap().leases;
        let [lease] = leases.as_slice() else { panic!("the backlog never ends: {leases:?}") };
        if lease.fence.job_id.to_string() == late {
            // As long as a worker goes on from where it left off, and no longer.
            assert!(began.elapsed() >= Duration::from_secs(1));
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the late one starves");
        hand_back_job(&conn, lease.fence, Code::Shutdown, Duration::ZERO).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_due_since_ever_is_claimed_like_any_other() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 3).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET run_at = '-infinity'").await;
    let (conn, worker, mut cursor) = (test.db.get().await.unwrap(), WorkerId::generate(), ClaimCursor::default());
    for _ in 0..3 {
        assert_eq!(claim_jobs(&conn, worker, 1, &mut cursor, OPTIONS).await.unwrap().leases.len(), 1);
    }
}
