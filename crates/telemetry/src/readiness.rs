//! Whether a worker does what it is there for, as its port says it (`/readyz`).

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What the claim loop is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The database cannot be used yet.
    Waiting,
    /// Looks for work succeed.
    Claiming,
    /// Looks for work fail.
    Failing,
    /// Set up wrongly: nothing is claimed until that is mended.
    Misconfigured,
    /// Told to stop: nothing more is claimed.
    Draining,
}

const PHASES: [Phase; 5] = [Phase::Waiting, Phase::Claiming, Phase::Failing, Phase::Misconfigured, Phase::Draining];

/// Written by the worker's loops, read by whoever asks. Never touches the database.
#[derive(Debug, Default)]
pub struct Readiness {
    phase: AtomicU8,
    heart_fails: AtomicBool,
}

impl Readiness {
    /// The claim loop is at this from now on.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A heartbeat was written, or failed.
    pub fn note_heartbeat(&self, beaten: bool) {
        self.heart_fails.store(!beaten, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        PHASES.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Waiting)
    }

    /// Why this worker claims nothing, in a sentence; `None`: it does.
    pub fn obstacle(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Waiting => Some("waiting for a database that it may use; the log says what is missing"),
            Phase::Failing => Some("looks for work fail; the log says why"),
            Phase::Misconfigured => {
                Some("set up wrongly, so it claims nothing until that is mended; the log says what")
            }
            Phase::Draining => Some("stopping: it finishes what runs and claims nothing more"),
            Phase::Claiming if self.heart_fails.load(Ordering::Relaxed) => {
                Some("the heartbeat fails; the log says why")
            }
            Phase::Claiming => None,
        }
    }

    /// Whether the database could be used at the last look and the last heartbeat.
    pub fn database_up(&self) -> bool {
        let looked = !matches!(self.phase(), Phase::Waiting | Phase::Failing);
        looked && !self.heart_fails.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_ready_only_while_it_claims_and_its_heart_beats() {
        let readiness = Readiness::default();
        assert!(readiness.obstacle().is_some_and(|why| why.starts_with("waiting")));
        for phase in PHASES {
            readiness.enter(phase);
            assert_eq!(readiness.phase(), phase);
            assert_eq!(readiness.obstacle().is_none(), phase == Phase::Claiming, "{phase:?}");
        }
        readiness.enter(Phase::Claiming);
        assert!(readiness.database_up());
        readiness.note_heartbeat(false);
        assert!(readiness.obstacle().is_some() && !readiness.database_up());
    }
}
