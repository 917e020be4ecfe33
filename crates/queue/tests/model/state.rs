//! The state of the model: the rows, the processes, and the statements on their way to the server.

use std::fmt;

/// Checkpoints of a job. The statement that completes the job writes the last one.
pub(crate) const CHECKPOINTS: u8 = 3;
/// Takeovers after which a job is given up, as in `crates/domain/src/takeover.rs`.
pub(crate) const GIVEN_UP_AFTER_CRASHES: u8 = 3;
/// Processes; each may die and start again under a new id.
pub(crate) const PROCESSES: usize = 2;

/// The id of a process, new at each start: the first two are A and B, the next is C.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u8);

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// The claim of a run, which is the fence of its statements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Claim {
    pub(crate) worker: WorkerId,
    pub(crate) epoch: u8,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {})", self.worker, self.epoch)
    }
}

/// The state of a job. `Waiting` is both `queued` and `retryable`, which differ only in when they may be claimed; the model
/// has no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum JobState {
    Waiting,
    Working,
    Done,
    Deadletter,
    Cancelled,
}

/// A row of `upload_jobs`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: JobState,
    /// The checkpoint.
    pub(crate) status: u8,
    /// `claimed_by`.
    pub(crate) owner: Option<WorkerId>,
    /// `lease_epoch`.
    pub(crate) epoch: u8,
    /// `crash_count`.
    pub(crate) crashes: u8,
}

impl Row {
    pub(crate) const NEW: Self = Self { state: JobState::Waiting, status: 0, owner: None, epoch: 0, crashes: 0 };

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.state, JobState::Done | JobState::Deadletter | JobState::Cancelled)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at checkpoint {}, epoch {}", self.state, self.status, self.epoch)?;
        match self.owner {
            Some(owner) => write!(f, ", claimed by {owner:?}")?,
            None => write!(f, ", unclaimed")?,
        }
        write!(f, ", crashes {}", self.crashes)
    }
}

/// A statement of a worker under its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Write {
    /// `advance_job`, to this checkpoint.
    Advance(u8),
    /// `complete_jobs`.
    Complete,
    /// `retry_job`.
    Retry,
    /// `fail_job`.
    Fail,
    /// `give_up_lease`: hand back, snooze, pause.
    HandBack,
}

impl Write {
    /// A unique number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Advance(to) => to,
            Self::Complete => 100,
            Self::Retry => 101,
            Self::Fail => 102,
            Self::HandBack => 103,
        }
    }
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// In a step.
    Working,
    /// A statement is under way.
    Sent(Write),
    /// The last statement got no answer. This is the next one to send.
    Unsure(Write),
}

/// What a process knows of a job that it claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) job: u8,
    pub(crate) claim: Claim,
    /// The job's checkpoint as the process knows it.
    pub(crate) status: u8,
    pub(crate) phase: Phase,
}

/// A worker process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) id: WorkerId,
    /// Oldest first.
    pub(crate) runs: Vec<Run>,
}

/// A statement whose run has ended and that the server may still execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Late {
    pub(crate) job: u8,
    pub(crate) claim: Claim,
    pub(crate) write: Write,
}

/// How often each fault and each request may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// `kill -9` of a process, which starts again.
    pub(crate) kills: u8,
    /// Statements that never arrive, and answers that are lost.
    pub(crate) cuts: u8,
    /// Steps that fail, temporarily or finally.
    pub(crate) failures: u8,
    pub(crate) hand_backs: u8,
    pub(crate) cancels: u8,
    pub(crate) redrives: u8,
}

/// A whole state of the model. Its hash is in `canonical.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct World<const JOBS: usize> {
    /// The rows of the table `upload_jobs`.
    pub(crate) rows: [Row; JOBS],
    pub(crate) processes: [Process; PROCESSES],
    /// Sorted, so that their order does not make different states.
    pub(crate) late: Vec<Late>,
    pub(crate) left: Budget,
    /// Memory of the checker, not of any process.
    pub(crate) history: History<JOBS>,
}

/// What the checker must remember in order to check the promises.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History<const JOBS: usize> {
    /// How often each job was completed since it was last redriven.
    pub(crate) completions: [u8; JOBS],
    /// The claim of the last hand-back whose answer arrived.
    pub(crate) handed_back: [Option<Claim>; JOBS],
    /// The promises broken so far, as bits of [`crate::promises::Promise`].
    pub(crate) broken: u16,
    /// The protocol's `checks_epoch`: a claim older than the row's epoch can then never write again.
    pub(crate) epoch_counts: bool,
}
