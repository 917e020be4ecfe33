//! What becomes of a job whose lease has expired: its worker died, or lost its connection for longer than the lease.

use super::{Code, Failure, State};

/// A job in whose steps workers died this often has no neighbours at its next run: alone, it can hurt no other job.
pub const ALONE_AFTER_CRASHES: i32 = 2;
/// A job in whose steps workers died this often, without any work committed between, is given up: a document that kills
/// workers cannot loop.
const GIVEN_UP_AFTER_CRASHES: i32 = 3;

/// What to do with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// No step had begun: another worker claims it, at no cost.
    Requeue,
    /// The worker died in a step: another goes on from the last checkpoint; costs a try.
    Retry,
    /// The same, for the last time: nothing runs beside it.
    RetryAlone,
    /// It is given up; a person must look at it.
    GiveUp,
}

impl Takeover {
    /// Decides. `crashes`: how often a worker died in a step of the job before, since its last checkpoint.
    pub fn decide(in_a_step: bool, crashes: i32) -> Self {
        match crashes.saturating_add(1) {
            _ if !in_a_step => Self::Requeue,
            GIVEN_UP_AFTER_CRASHES.. => Self::GiveUp,
            ALONE_AFTER_CRASHES.. => Self::RetryAlone,
            _ => Self::Retry,
        }
    }

    /// The state that the job is in from then on.
    pub fn state(self) -> State {
        match self {
            Self::Requeue => State::Queued,
            Self::Retry | Self::RetryAlone => State::Retryable,
            Self::GiveUp => State::Deadletter,
        }
    }

    /// What the job's owner is told; `None`: nothing went wrong for them.
    pub fn failure(self) -> Option<Failure> {
        let message = match self {
            Self::Requeue => return None,
            Self::Retry => {
                "The worker that had this job died or lost its connection in the middle of a step; another goes on from the last \
                 checkpoint."
            }
            Self::RetryAlone => {
                "The worker that had this job died or lost its connection in the middle of a step, as one before it; another goes on \
                 from the last checkpoint, with no other job beside it."
            }
            Self::GiveUp => {
                "The worker died in the middle of this document for the third time, the last time with no other job beside it, so it \
                 is given up. Look at the file and the worker's memory limit, then retry the job."
            }
        };
        Some(Failure::new(Code::WorkerDied, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_kills_workers_is_tried_again_then_alone_and_then_given_up() {
        let decided = [0, 1, 2, i32::MAX].map(|crashes| Takeover::decide(true, crashes));
        assert_eq!(decided, [Takeover::Retry, Takeover::RetryAlone, Takeover::GiveUp, Takeover::GiveUp]);
    }

    #[test]
    fn a_job_whose_step_had_not_begun_costs_nothing() {
        for crashes in [0, 2, i32::MAX] {
            assert_eq!(Takeover::decide(false, crashes), Takeover::Requeue);
        }
        assert_eq!((Takeover::Requeue.state(), Takeover::Requeue.failure()), (State::Queued, None));
    }
}
