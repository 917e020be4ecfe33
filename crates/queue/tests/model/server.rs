//! The statements of `crates/store/src/jobs`, each of which is atomic.

use crate::{
    promises::Promise,
    protocol::Protocol,
    state::{CHECKPOINTS, Claim, JobState, Row, World, Write},
};

impl<const JOBS: usize> World<JOBS> {
    /// `claim_jobs`.
    pub(crate) fn claim(&mut self, job: usize, by: usize) -> Claim {
        let row = &mut self.rows[job];
        row.state = JobState::Working;
        row.owner = Some(self.processes[by].id);
        row.epoch += 1;
        Claim { worker: self.processes[by].id, epoch: row.epoch }
    }

    /// Any statement of a worker under its lease; returns whether it changed the row.
    pub(crate) fn write(&mut self, protocol: &Protocol, job: usize, claim: Claim, write: Write) -> bool {
        let before = self.rows[job];
        let from_other_checkpoint = matches!(write, Write::Advance(to) if to != before.status + 1);
        if !protocol.lets_write(&before, claim) || (protocol.checks_checkpoint && from_other_checkpoint) {
            return false;
        }
        if before.state != JobState::Working || before.owner != Some(claim.worker) || before.epoch != claim.epoch {
            self.breaks(Promise::Fenced);
        }
        if before.state == JobState::Cancelled && write == Write::Complete {
            self.breaks(Promise::CancelledStays);
        }
        if write == Write::Complete {
            self.history.completions[job] = (self.history.completions[job] + 1).min(2);
        }
        self.rows[job] = written(before, write);
        self.check_change(before, self.rows[job]);
        true
    }

    /// `release_expired_jobs`.
    pub(crate) fn take_over(&mut self, protocol: &Protocol, job: usize) {
        let before = self.rows[job];
        if let (Some(claim), Some(owner)) = (self.history.handed_back[job], before.owner)
            && claim.worker == owner
            && claim.epoch == before.epoch
        {
            self.breaks(Promise::HandBackCostsNoTry);
        }
        let row = &mut self.rows[job];
        row.crashes += 1;
        row.state = if row.crashes >= protocol.given_up_after { JobState::Deadletter } else { JobState::Waiting };
        row.owner = None;
    }

    /// `hand_back_unheld`.
    pub(crate) fn give_back(&mut self, job: usize) {
        let row = &mut self.rows[job];
        row.state = JobState::Waiting;
        row.owner = None;
    }

    /// `cancel_job`.
    pub(crate) fn cancel(&mut self, protocol: &Protocol, job: usize) {
        let row = &mut self.rows[job];
        row.state = JobState::Cancelled;
        if protocol.cancel_clears_owner {
            row.epoch += 1;
            row.owner = None;
        }
    }

    /// `redrive_job`: a job that is done starts from the beginning, any other goes on from its checkpoint.
    pub(crate) fn redrive(&mut self, job: usize) {
        let row = &mut self.rows[job];
        *row = Row {
            state: JobState::Waiting,
            status: if row.state == JobState::Done { 0 } else { row.status },
            owner: None,
            epoch: row.epoch + 1,
            crashes: 0,
        };
        self.history.completions[job] = 0;
    }

    /// Checks the promises about a worker's change of a row.
    fn check_change(&mut self, before: Row, after: Row) {
        if after.status < before.status {
            self.breaks(Promise::CheckpointsStay);
        }
        if before.is_terminal() {
            self.breaks(Promise::TerminalStays);
        }
    }

    fn breaks(&mut self, promise: Promise) {
        self.history.broken |= promise.bit();
    }
}

/// The row after a write.
fn written(row: Row, write: Write) -> Row {
    match write {
        Write::Advance(to) => Row { status: to, ..row },
        Write::Complete => Row { state: JobState::Done, status: CHECKPOINTS, owner: None, ..row },
        Write::Fail => Row { state: JobState::Deadletter, owner: None, ..row },
        Write::Retry | Write::HandBack => Row { state: JobState::Waiting, owner: None, ..row },
    }
}
