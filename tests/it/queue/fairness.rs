//! Whose job is next: turns among users, the bound of each, priority.

use std::time::Duration;

use app::{
    db::jobs::{ClaimOptions, hand_back_job},
    domain::{Code, WorkerId},
};

use super::{OPTIONS, claim, enqueue, user};
use crate::support::db::TestDb;

#[tokio::test]
async fn ten_thousand_documents_of_one_user_do_not_hold_up_anothers_one() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 10_000).await;
    enqueue(&test, user(2), 1).await;
    let worker = WorkerId::generate();
    // With two slots or more, each user that has work is in the first round.
    let first = claim(&test, worker, 4, None, OPTIONS).await;
    assert_eq!(first.iter().filter(|lease| lease.user_id == user(2)).count(), 1);
    assert_eq!(first.len(), 4, "what one user does not need goes to the other");
    // With a single slot the turn goes round: the second claim is the other user's.
    enqueue(&test, user(2), 1).await;
    let next = claim(&test, worker, 1, Some(user(1)), OPTIONS).await;
    assert_eq!(next[0].user_id, user(2));
}

#[tokio::test]
async fn a_user_has_no_more_running_jobs_than_the_bound_and_the_rest_waits() {
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
async fn priority_comes_before_turns_and_the_future_is_not_claimed() {
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
