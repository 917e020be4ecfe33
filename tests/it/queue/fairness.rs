//! Which job is claimed next: turns of users, the limit for each user, priority.

use std::time::Duration;

use domain::{Code, WorkerId};
use store::jobs::{ClaimOptions, hand_back_job, served_last};

use super::{OPTIONS, claim, enqueue, user};
use crate::support::db::TestDb;

#[tokio::test]
async fn ten_thousand_documents_of_one_user_do_not_delay_another_user() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 10_000).await;
    enqueue(&test, user(2), 1).await;
    let worker = WorkerId::generate();
    // With at least two slots, each user with queued jobs gets one in the first claim.
    let first = claim(&test, worker, 4, None, OPTIONS).await;
    assert_eq!(first.iter().filter(|lease| lease.user_id == user(2)).count(), 1);
    // Slots that one user leaves free go to the other user, at the latest in the next claim.
    let rest = claim(&test, worker, 4 - u32::try_from(first.len()).unwrap(), served_last(None, &first), OPTIONS).await;
    assert_eq!(first.len() + rest.len(), 4);
    // With a single slot users take turns, so the next claim is for the other user.
    enqueue(&test, user(2), 1).await;
    let next = claim(&test, worker, 1, Some(user(1)), OPTIONS).await;
    assert_eq!(next[0].user_id, user(2));
}

#[tokio::test]
async fn a_user_has_no_more_running_jobs_than_the_limit() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 10).await;
    enqueue(&test, user(2), 10).await;
    let bounded = ClaimOptions { max_running_per_user: 2, ..OPTIONS };
    let worker = WorkerId::generate();
    let first = claim(&test, worker, 8, None, bounded).await;
    assert_eq!(first.len(), 4);
    assert!(claim(&test, worker, 4, None, bounded).await.is_empty());
    hand_back_job(&test.db.get().await.unwrap(), first[0].fence, Code::Shutdown, Duration::ZERO).await.unwrap();
    assert_eq!(claim(&test, worker, 4, None, bounded).await.len(), 1);
}

#[tokio::test]
async fn priority_comes_before_turns_and_future_jobs_are_not_claimed() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 1).await;
    enqueue(&test, user(2), 2).await;
    test.run(&format!("UPDATE upload_pipeline.upload_jobs SET priority = 5 WHERE user_id = '{}'", user(1))).await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 hour'
         WHERE job_id = (SELECT job_id FROM upload_pipeline.upload_jobs WHERE user_id = '{}' LIMIT 1)",
        user(2)
    ))
    .await;
    let worker = WorkerId::generate();
    let first = claim(&test, worker, 1, None, OPTIONS).await;
    assert_eq!(first[0].user_id, user(2));
    let rest = claim(&test, worker, 9, None, OPTIONS).await;
    assert_eq!(rest.iter().map(|lease| lease.user_id).collect::<Vec<_>>(), [user(1)]);
}

#[tokio::test]
async fn users_take_turns_and_no_user_is_skipped() {
    let test = TestDb::new().await;
    for n in 1..=4 {
        enqueue(&test, user(n), 3).await;
    }
    let (worker, mut after, mut served) = (WorkerId::generate(), None, Vec::new());
    for _ in 0..8 {
        let leases = claim(&test, worker, 1, after, OPTIONS).await;
        served.push(leases[0].user_id);
        after = served_last(after, &leases);
    }
    assert_eq!(served, [1, 2, 3, 4, 1, 2, 3, 4].map(user));
    // A new user gets a turn within the round. A job of higher priority is claimed at once.
    enqueue(&test, user(5), 1).await;
    let three = claim(&test, worker, 3, after, OPTIONS).await;
    assert!(three.iter().any(|lease| lease.user_id == user(5)), "{three:?}");
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET priority = -1 WHERE user_id = '{}' AND state = 'queued'",
        user(3)
    ))
    .await;
    assert_eq!(claim(&test, worker, 1, after, OPTIONS).await[0].user_id, user(3));
}

#[tokio::test]
async fn a_user_whose_due_jobs_must_run_alone_does_not_block_other_users() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 2).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET crash_count = 2").await;
    enqueue(&test, user(2), 1).await;
    let claimed = claim(&test, WorkerId::generate(), 1, None, OPTIONS).await;
    assert_eq!(claimed.iter().map(|lease| lease.user_id).collect::<Vec<_>>(), [user(2)]);
}
