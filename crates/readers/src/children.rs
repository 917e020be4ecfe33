//! How many children run at a time.
//!
//! A child that has had its turn makes room for another: it goes on at a lower priority, beside the others. The number of
//! these is bounded, too.

use std::time::Duration;

use rustix::process::{Pid, setpriority_process};
use tokio::sync::{Semaphore, SemaphorePermit};

use reading::fault::Fault;

/// The niceness of a child that has had its turn: it gets a quarter of a core for which it competes with one other thread.
const NICE: i32 = 5;

/// The places of children.
#[derive(Debug)]
pub(super) struct Children {
    /// For those in their turn.
    pub(super) places: Semaphore,
    /// For those that have had it.
    pub(super) long: Semaphore,
    /// How long a turn is; zero: it does not end.
    pub(super) turn: Duration,
}

impl Children {
    /// Waits for a place.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.places.acquire().await.map_err(|_closed| Fault::unavailable("closed"))
    }

    /// Waits until the turn of the child `pid` is over and there is room beside the others; frees its place.
    pub(super) async fn make_room<'a>(&'a self, place: SemaphorePermit<'_>, pid: Option<u32>) -> SemaphorePermit<'a> {
        if !self.turn.is_zero() {
            tokio::time::sleep(self.turn).await;
            if let Ok(long) = self.long.acquire().await {
                lower_priority(pid);
                drop(place);
                return long;
            }
        }
        std::future::pending().await
    }
}

/// Lowers the priority of all threads of a process; those that they start inherit it. Without /proc it stays.
fn lower_priority(pid: Option<u32>) {
    let Some(threads) = pid.and_then(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).ok()) else { return };
    let ids = threads.flatten().filter_map(|thread| Pid::from_raw(thread.file_name().to_str()?.parse().ok()?));
    for id in ids {
        // The only error is that the thread is gone.
        let _ = setpriority_process(Some(id), NICE);
    }
}
