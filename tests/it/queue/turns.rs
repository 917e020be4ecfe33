//! Turns: who goes first, what a job whose turn is over does, and how many jobs run beside the slots.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Code, Failure, Lease, Outcome, RetryPolicy, Status, Step, StepError, UserId, WorkerId};
use queue::{Steps, Worker, WorkerSettings};
use serde_json::json;
use store::jobs::{ClaimOptions, list_users_ahead, save_progress};
use tokio::sync::{
    Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_util::sync::CancellationToken;

use super::{OPTIONS, claim, enqueue, row_of, user};
use crate::support::db::TestDb;

/// Steps that tell the test when they begin, and wait for its permission to end. A user's jobs in `books` are embedded in
/// parts without end; those of others end at once, as failed.
struct Gated {
    db: pg::Db,
    books: Vec<UserId>,
    began: UnboundedSender<UserId>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Steps for Gated {
    type Memory = ();

    async fn run_step(&self, lease: &Lease, step: Step, (): &mut ()) -> Result<Outcome, StepError> {
        let _ = self.began.send(lease.user_id);
        if !self.books.contains(&lease.user_id) {
            return Err(Failure::new(Code::FileCorrupt, "the test wants an end").into());
        }
        self.gate.acquire().await.unwrap().forget();
        save_progress(&self.db, lease.fence, step, Status::EmbeddingInProgress, &json!({})).await?;
        Ok(Outcome::Advanced(Status::EmbeddingInProgress))
    }

    async fn after_failure(&self, (): ()) {}

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

struct Running {
    test: TestDb,
    begun: UnboundedReceiver<UserId>,
    gate: Arc<Semaphore>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Running {
    /// A worker with one slot, whose turns are over at once.
    fn start(test: TestDb, books: &[u128], long_jobs: u32, turn: Duration) -> Self {
        let (began, begun) = unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let steps = Gated {
            db: test.db.clone(),
            books: books.iter().map(|n| user(*n)).collect(),
            began,
            gate: Arc::clone(&gate),
        };
        let second = Duration::from_secs(1);
        let settings = WorkerSettings {
            concurrency: 1,
            claims: ClaimOptions { max_running_per_user: 2, ..OPTIONS },
            heartbeat: 10 * second,
            poll_interval: second / 20,
            listen_poll_interval: second / 20,
            grace: Duration::ZERO,
            turn,
            long_jobs,
            retry: RetryPolicy { max_retries: 3, base_delay: second, max_delay: second },
        };
        let worker = Worker::new(test.db.clone(), steps, row_of(WorkerId::generate()), settings, None);
        let stop = CancellationToken::new();
        let ended = tokio::spawn(Arc::new(worker).run(stop.clone()));
        Self { test, begun, gate, stop, ended }
    }

    /// The user whose job begins its next step.
    async fn next(&mut self) -> UserId {
        tokio::time::timeout(Duration::from_secs(60), self.begun.recv()).await.unwrap().unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}

const AT_ONCE: Duration = Duration::from_nanos(1);

async fn enqueue_at(test: &TestDb, n: u128, status: Status) {
    enqueue(test, user(n), 1).await;
    test.run(&format!(
        "UPDATE upload_pipeline.upload_jobs SET status = '{status}' WHERE user_id = '{}' AND state = 'queued'",
        user(n)
    ))
    .await;
}

#[tokio::test]
async fn a_job_whose_turn_is_over_goes_back_at_its_checkpoint_for_a_user_who_waits() {
    let test = TestDb::new().await;
    enqueue_at(&test, 1, Status::ChunksStored).await;
    let mut running = Running::start(test, &[1], 0, AT_ONCE);
    assert_eq!(running.next().await, user(1));
    // While nobody waits, it goes on.
    running.gate.add_permits(1);
    assert_eq!(running.next().await, user(1));
    enqueue_at(&running.test, 2, Status::ChunksStored).await;
    // It looked less than a second ago, so it may go on for some parts.
    let next = loop {
        running.gate.add_permits(1);
        let next = running.next().await;
        if next == user(2) {
            break next;
        }
    };
    assert_eq!(next, user(2));
    // Behind the other, it is continued.
    assert_eq!(running.next().await, user(1));
    let book = format!("WHERE user_id = '{}'", user(1));
    let row = format!("SELECT status, state, retry_count, crash_count FROM upload_pipeline.upload_jobs {book}");
    assert_eq!(running.test.rows(&row).await, [["embedding_in_progress", "working", "0", "0"]]);
    let events = "SELECT type, code FROM upload_pipeline.events WHERE type = 'handed_back'";
    assert_eq!(running.test.rows(events).await, [["handed_back", "turn_over"]]);
    running.end().await;
}

#[tokio::test]
async fn a_step_that_outlasts_a_turn_frees_its_slot_and_no_more_than_allowed_do() {
    let test = TestDb::new().await;
    for book in [1, 2] {
        enqueue_at(&test, book, Status::ChunksStored).await;
    }
    let mut running = Running::start(test, &[1, 2], 1, AT_ONCE);
    // The first book gives up its slot, which the second takes and keeps: one may run beside the slots.
    let mut both = [running.next().await, running.next().await];
    both.sort();
    assert_eq!(both, [user(1), user(2)]);
    enqueue_at(&running.test, 3, Status::Uploaded).await;
    // One of them comes to a checkpoint. As its slot is taken, or for the user who waits, it goes back.
    running.gate.add_permits(1);
    assert_eq!(running.next().await, user(3));
    running.end().await;
}

#[tokio::test]
async fn without_turns_a_long_step_keeps_its_slot_and_its_job() {
    let test = TestDb::new().await;
    enqueue_at(&test, 1, Status::ChunksStored).await;
    let mut running = Running::start(test, &[1], 1, Duration::ZERO);
    assert_eq!(running.next().await, user(1));
    enqueue_at(&running.test, 2, Status::Uploaded).await;
    for _ in 0..3 {
        running.gate.add_permits(1);
        assert_eq!(running.next().await, user(1));
    }
    running.end().await;
}

/// Who goes before the only running job of user 1.
async fn ahead(test: &TestDb, running: &Lease) -> Vec<UserId> {
    list_users_ahead(&test.db, running.fence, 10).await.unwrap()
}

#[tokio::test]
async fn a_running_job_gives_way_to_users_with_fewer_running_jobs_and_a_due_one() {
    let test = TestDb::new().await;
    enqueue(&test, user(1), 3).await;
    let worker = WorkerId::generate();
    let mine = claim(&test, worker, 2, None, OPTIONS).await.pop().unwrap();
    assert_eq!(ahead(&test, &mine).await, [], "a user's own jobs are not others'");
    enqueue(&test, user(5), 3).await;
    claim(&test, worker, 1, Some(user(4)), OPTIONS).await;
    enqueue(&test, user(4), 1).await;
    assert_eq!(ahead(&test, &mine).await, [user(4), user(5)], "the one with nothing running comes first");
    claim(&test, worker, 1, Some(user(4)), OPTIONS).await;
    assert_eq!(ahead(&test, &mine).await, [user(4)], "a user with as many running jobs has its share");
    let of_four = |set: &str| format!("UPDATE upload_pipeline.upload_jobs SET {set} WHERE user_id = '{}'", user(4));
    for (later, now) in [
        ("run_at = now() + interval '1 hour'", "run_at = now()"),
        ("priority = 1", "priority = 0"),
        ("crash_count = 2", "crash_count = 0"),
    ] {
        test.run(&of_four(later)).await;
        assert_eq!(ahead(&test, &mine).await, [], "{later}");
        test.run(&of_four(now)).await;
        assert_eq!(ahead(&test, &mine).await, [user(4)], "{now}");
    }
}
