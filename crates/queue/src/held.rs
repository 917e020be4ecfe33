//! The jobs that this process runs, and the signal to each that its lease is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use domain::{Fence, JobId};

/// A running job.
struct HeldJob {
    fence: Fence,
    lost: CancellationToken,
    renewed_at: Instant,
}

/// All running jobs, each under its newest claim.
#[derive(Default)]
pub(super) struct Held {
    jobs: Mutex<HashMap<JobId, HeldJob>>,
}

/// Keeps a job among the running ones; dropping it, also by a panic, ends its heartbeats.
pub(super) struct HeldGuard {
    held: Arc<Held>,
    fence: Fence,
    /// Cancelled when the lease is lost.
    pub(super) lost: CancellationToken,
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        let mut jobs = self.held.lock();
        if jobs.get(&self.fence.job_id).is_some_and(|job| job.fence == self.fence) {
            jobs.remove(&self.fence.job_id);
        }
    }
}

impl Held {
    /// A poisoned lock only means that a thread panicked while it held the lock; the map is consistent at every await
    /// point.
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, HeldJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job that was just claimed. If this process still runs an older claim of the job, that claim is cancelled
    /// as lost.
    pub(super) fn hold(self: &Arc<Self>, fence: Fence) -> HeldGuard {
        let lost = CancellationToken::new();
        let job = HeldJob { fence, lost: lost.clone(), renewed_at: Instant::now() };
        if let Some(older) = self.lock().insert(fence.job_id, job) {
            older.lost.cancel();
        }
        HeldGuard { held: Arc::clone(self), fence, lost }
    }

    /// The fences of the running jobs whose lease is not known to be lost.
    pub(super) fn fences(&self) -> Vec<Fence> {
        self.lock().values().filter(|job| !job.lost.is_cancelled()).map(|job| job.fence).collect()
    }

    /// After a heartbeat that began at `began` for `asked` and renewed `kept`: the others of `asked` are lost.
    pub(super) fn renew(&self, asked: &[Fence], kept: &[JobId], began: Instant) {
        let kept: HashSet<&JobId> = kept.iter().collect();
        let mut jobs = self.lock();
        for fence in asked {
            let Some(job) = jobs.get_mut(&fence.job_id).filter(|job| job.fence == *fence) else { continue };
            if kept.contains(&fence.job_id) {
                job.renewed_at = began;
            } else {
                job.lost.cancel();
            }
        }
    }

    /// Cancels jobs whose lease was not renewed for its whole length, since heartbeats fail: another worker may have them.
    pub(super) fn drop_expired(&self, lease: Duration) {
        for job in self.lock().values() {
            if job.renewed_at.elapsed() >= lease {
                job.lost.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::WorkerId;

    fn fence(epoch: i64) -> Fence {
        Fence { job_id: JobId(uuid::Uuid::from_u128(1)), worker: WorkerId(uuid::Uuid::from_u128(2)), epoch }
    }

    #[test]
    fn a_heartbeat_that_does_not_renew_a_job_tells_it_so() {
        let held = Arc::new(Held::default());
        let guard = held.hold(fence(1));
        held.renew(&[fence(1)], &[fence(1).job_id], Instant::now());
        assert!(!guard.lost.is_cancelled());
        held.renew(&[fence(1)], &[], Instant::now());
        assert!(guard.lost.is_cancelled());
    }

    #[test]
    fn an_older_heartbeat_says_nothing_of_a_newer_claim() {
        let held = Arc::new(Held::default());
        let older = held.hold(fence(1));
        let newer = held.hold(fence(2));
        assert!(older.lost.is_cancelled());
        held.renew(&[fence(1)], &[], Instant::now());
        assert!(!newer.lost.is_cancelled());
        drop(older);
        assert_eq!(held.fences(), [fence(2)]);
        drop(newer);
        assert_eq!(held.fences(), []);
    }

    #[test]
    fn a_lease_that_could_not_be_renewed_in_time_is_given_up() {
        let held = Arc::new(Held::default());
        let guard = held.hold(fence(1));
        held.drop_expired(Duration::from_secs(30));
        assert!(!guard.lost.is_cancelled());
        held.drop_expired(Duration::ZERO);
        assert!(guard.lost.is_cancelled());
    }
}
