//! The jobs in hand, and how each is told that it is so no longer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use domain::{Fence, JobId};

/// A job in hand.
struct HeldJob {
    fence: Fence,
    lost: CancellationToken,
    ended: CancellationToken,
    renewed_at: Instant,
    /// Its claim is being given another epoch, which renews its lease, too.
    raising: bool,
}

/// How long a run that ended without an answer is remembered. Source: ours; longer than a statement stays on its way.
const REMEMBERED: Duration = Duration::from_secs(600);

/// All jobs in hand. A job has more than one entry only while an older run of it, told that it is lost, has not ended.
#[derive(Default)]
pub(super) struct Held {
    jobs: Mutex<HashMap<JobId, Vec<HeldJob>>>,
    /// Of runs that ended without hearing what became of their jobs: a statement of theirs may still be on its way.
    unsettled: Mutex<Vec<(Fence, Instant)>>,
}

/// Keeps a job among those in hand; dropping it, also by a panic, ends its heartbeats.
pub(super) struct HeldGuard {
    held: Arc<Held>,
    ended: CancellationToken,
    /// Cancelled when the lease is lost.
    pub(super) lost: CancellationToken,
    fence: Fence,
    /// Older runs of the same job in this process.
    older: Vec<CancellationToken>,
    /// This process has had the very same fence before: a crash of the server lost that claim, but not what was sent under it.
    pub(super) again: bool,
    /// What became of the job was written, and the answer heard.
    pub(super) settled: bool,
}

impl HeldGuard {
    /// Waits until no older run of the job is left in this process.
    pub(super) async fn be_the_only_one(&self) {
        for ended in &self.older {
            ended.cancelled().await;
        }
    }

    /// Goes on under the claim's new fence, which was asked for at `began`, once no older run is left.
    pub(super) fn renumber(&mut self, fence: Fence, began: Instant) {
        let older = std::mem::replace(&mut self.fence, fence);
        let mut jobs = self.held.lock();
        for run in jobs.get_mut(&fence.job_id).into_iter().flatten().filter(|run| run.fence == older) {
            run.fence = fence;
            run.renewed_at = began;
            run.raising = false;
        }
        self.again = false;
    }
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        let mut jobs = self.held.lock();
        if !self.settled {
            let mut unsettled = self.held.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
            unsettled.retain(|(_, since)| since.elapsed() < REMEMBERED);
            unsettled.push((self.fence, Instant::now()));
        }
        self.ended.cancel();
        if let Some(runs) = jobs.get_mut(&self.fence.job_id) {
            runs.retain(|run| !run.ended.is_cancelled());
            if runs.is_empty() {
                jobs.remove(&self.fence.job_id);
            }
        }
    }
}

impl Held {
    /// A poisoned lock only means that a thread panicked while it held it; the map is whole at every await point.
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Vec<HeldJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job that was just claimed. If this process still runs older claims of it, those are told that they are lost.
    pub(super) fn hold(self: &Arc<Self>, fence: Fence) -> HeldGuard {
        let (lost, ended) = (CancellationToken::new(), CancellationToken::new());
        let mut jobs = self.lock();
        let unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = jobs.entry(fence.job_id).or_default();
        let had = runs.iter().map(|run| run.fence).chain(unsettled.iter().map(|(had, _)| *had));
        let again = had.into_iter().any(|had| had == fence);
        let older = runs.iter().map(|run| run.ended.clone()).collect();
        for run in runs.iter() {
            run.lost.cancel();
        }
        let renewed_at = Instant::now();
        runs.push(HeldJob { fence, lost: lost.clone(), ended: ended.clone(), renewed_at, raising: again });
        drop((unsettled, jobs));
        HeldGuard { held: Arc::clone(self), ended, lost, fence, older, again, settled: false }
    }

    /// The fences of the jobs in hand, as far as is known.
    pub(super) fn fences(&self) -> Vec<Fence> {
        self.fences_of(|_| true)
    }

    /// Those that a heartbeat renews.
    pub(super) fn renewable(&self) -> Vec<Fence> {
        self.fences_of(|run| !run.raising)
    }

    fn fences_of(&self, wanted: impl Fn(&HeldJob) -> bool) -> Vec<Fence> {
        let jobs = self.lock();
        jobs.values().flatten().filter(|run| !run.lost.is_cancelled() && wanted(run)).map(|run| run.fence).collect()
    }

    /// After a heartbeat that began at `began` for `asked` and renewed `kept`: the others of `asked` are lost.
    pub(super) fn renew(&self, asked: &[Fence], kept: &[JobId], began: Instant) {
        let kept: HashSet<&JobId> = kept.iter().collect();
        let mut jobs = self.lock();
        for fence in asked {
            let runs = jobs.get_mut(&fence.job_id).into_iter().flatten();
            // A run that is younger than the heartbeat may carry the fence of an older one, which the answer is about.
            for run in runs.filter(|run| run.fence == *fence && run.renewed_at <= began) {
                if kept.contains(&fence.job_id) {
                    run.renewed_at = began;
                } else {
                    run.lost.cancel();
                }
            }
        }
    }

    /// When heartbeats fail: what was not renewed for a whole lease may be somebody else's by now.
    pub(super) fn drop_expired(&self, lease: Duration) {
        for run in self.lock().values().flatten() {
            if run.renewed_at.elapsed() >= lease {
                run.lost.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

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

    #[tokio::test]
    async fn a_claim_that_a_crash_lost_and_this_process_made_again_waits_for_its_older_run() {
        let held = Arc::new(Held::default());
        let older = held.hold(fence(1));
        let newer = held.hold(fence(1));
        assert!(older.lost.is_cancelled() && !newer.lost.is_cancelled());
        assert!(newer.be_the_only_one().now_or_never().is_none(), "the older run has not ended");
        drop(newer);
        let newest = held.hold(fence(1));
        assert!(newest.be_the_only_one().now_or_never().is_none(), "nor has it by the next claim");
        drop(older);
        newest.be_the_only_one().await;
        assert_eq!(held.fences(), [fence(1)], "the older run's end is not the newer one's");
    }

    #[test]
    fn a_fence_that_was_had_before_is_known_unless_its_job_was_settled() {
        let held = Arc::new(Held::default());
        let older = held.hold(fence(1));
        let mut newer = held.hold(fence(1));
        assert!(!older.again && newer.again);
        drop(older);
        assert_eq!((held.fences(), held.renewable()), (vec![fence(1)], vec![]), "it is being raised");
        newer.renumber(fence(2), Instant::now());
        assert!(!newer.again);
        assert_eq!(held.renewable(), [fence(2)]);
        assert!(held.hold(fence(1)).again, "a statement of the first run may still be on its way");
        newer.settled = true;
        drop(newer);
        assert!(!held.hold(fence(2)).again);
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
