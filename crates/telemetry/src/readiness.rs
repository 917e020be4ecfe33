//! Whether a worker is ready, as its port reports it (`/readyz`).

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The phase of the claim loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The database cannot be used yet.
    Waiting,
    /// Claims succeed.
    Claiming,
    /// Claims fail.
    Failing,
    /// The configuration is wrong. Nothing is claimed until it is corrected.
    Misconfigured,
    /// The process was told to stop. Nothing more is claimed.
    Draining,
}

const PHASES: [Phase; 5] = [Phase::Waiting, Phase::Claiming, Phase::Failing, Phase::Misconfigured, Phase::Draining];

/// The state of a worker. Its loops write it, and the port reads it without asking the database.
#[derive(Debug, Default)]
pub struct Readiness {
    phase: AtomicU8,
    heartbeat_fails: AtomicBool,
}

impl Readiness {
    /// Records that the claim loop enters `phase`.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Records whether the last heartbeat was written.
    pub fn note_heartbeat(&self, written: bool) {
        self.heartbeat_fails.store(!written, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        PHASES.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Waiting)
    }

    /// Why this worker claims nothing, as a sentence; `None` if it claims.
    pub fn obstacle(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Waiting => Some("waiting for a database that can be used; the log says what is missing"),
            Phase::Failing => Some("claiming jobs fails; the log says why"),
            Phase::Misconfigured => Some(
                "the configuration is wrong, so it claims nothing until that is corrected; the log says what is wrong",
            ),
            Phase::Draining => Some("stopping: it finishes the running jobs and claims no more"),
            Phase::Claiming if self.heartbeat_fails.load(Ordering::Relaxed) => {
                Some("the heartbeat fails; the log says why")
            }
            Phase::Claiming => None,
        }
    }

    /// Whether the last claim and the last heartbeat could use the database.
    pub fn database_up(&self) -> bool {
        let can_claim = !matches!(self.phase(), Phase::Waiting | Phase::Failing);
        can_claim && !self.heartbeat_fails.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_ready_only_while_claims_and_heartbeats_succeed() {
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
