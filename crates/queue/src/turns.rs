//! Turns: a job that has had its time lets the jobs of others go first.
//!
//! At a checkpoint a job whose turn is over looks whether a user with fewer running jobs waits, and goes back to the
//! queue for that user. A step that outlasts a turn has no checkpoint to go back at, so its job gives up its slot
//! instead: another job is claimed beside it. The number of these is bounded.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Steps, Worker};
use domain::{Lease, UserId};
use store::jobs::list_users_ahead;

/// Between two looks of a job, and between two jobs that go back for the same user.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Users that one look finds.
const MOST_AHEAD: i64 = 16;

/// What the running jobs of a worker share.
pub(super) struct Turns {
    /// Room for jobs without a slot, whose step has outlasted a turn.
    long: Semaphore,
    most_long: u32,
    /// Users for whom a job went back, and when.
    given: Mutex<HashMap<UserId, Instant>>,
    /// A job that must run alone waits until nothing runs here.
    pub(super) clearing: AtomicBool,
}

/// The turn of one claim of a job.
pub(super) struct Turn {
    began: Instant,
    looked: Option<Instant>,
}

impl Turn {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), looked: None }
    }
}

impl Turns {
    pub(super) fn new(most_long: u32) -> Self {
        let long = Semaphore::new(usize::try_from(most_long).unwrap_or(Semaphore::MAX_PERMITS));
        Self { long, most_long, given: Mutex::default(), clearing: AtomicBool::default() }
    }

    /// Of `running` jobs, those that have a slot.
    pub(super) fn with_slot(&self, running: usize) -> u32 {
        let long = self.most_long.saturating_sub(u32::try_from(self.long.available_permits()).unwrap_or(u32::MAX));
        u32::try_from(running).unwrap_or(u32::MAX).saturating_sub(long)
    }

    /// Whether a job goes back for `user`: no other has just done so.
    fn give(&self, user: UserId) -> bool {
        // What it guards is whole at any time.
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, at| at.elapsed() < LOOK_EVERY);
        given.insert(user, Instant::now()).is_none()
    }
}

impl<S: Steps> Worker<S> {
    /// Runs a step. One that outlasts a turn gives up its slot, as soon as few enough have, so that other jobs are claimed.
    pub(super) async fn run_within_slot<T>(&self, step: impl Future<Output = T>) -> T {
        let mut step = std::pin::pin!(step);
        tokio::select! {
            done = &mut step => done,
            _long = self.give_up_slot() => step.await,
        }
    }

    async fn give_up_slot(&self) -> SemaphorePermit<'_> {
        if !self.settings.turn.is_zero() {
            tokio::time::sleep(self.settings.turn).await;
            if let Ok(long) = self.turns.long.acquire().await {
                self.freed.notify_one();
                return long;
            }
        }
        std::future::pending().await
    }

    /// At a checkpoint: `None`, the job goes on; else it goes back, for the named user if there is one.
    pub(super) async fn gives_way(&self, lease: &Lease, turn: &mut Turn) -> Option<Option<UserId>> {
        if self.settings.turn.is_zero() || turn.began.elapsed() < self.settings.turn {
            return None;
        }
        // Its slot was taken while a long step ran, or a job that must run alone waits.
        if self.turns.with_slot(self.held.fences().len()) > self.settings.concurrency
            || self.turns.clearing.load(Ordering::Relaxed)
        {
            return Some(None);
        }
        if turn.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return None;
        }
        turn.looked = Some(Instant::now());
        // Without an answer it goes on: the next write of the step finds out what is wrong.
        let ahead = list_users_ahead(&self.db, lease.fence, MOST_AHEAD).await.unwrap_or_default();
        ahead.into_iter().find(|user| self.turns.give(*user)).map(Some)
    }
}
