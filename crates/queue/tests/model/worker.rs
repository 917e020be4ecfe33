//! The runs of a process, as in `crates/queue`.

use crate::{
    protocol::Protocol,
    state::{Claim, Late, Phase, Process, Run, WorkerId, World, Write},
};

impl<const JOBS: usize> World<JOBS> {
    fn push_late(&mut self, late: Late) {
        let at = self.late.partition_point(|other| *other < late);
        self.late.insert(at, late);
    }

    /// Ends a run; its statement may still be on the way to the server.
    pub(crate) fn stop(&mut self, by: usize, at: usize) {
        let run = self.processes[by].runs.remove(at);
        if let Phase::Sent(write) = run.phase {
            self.push_late(Late { job: run.job, claim: run.claim, write });
        }
    }

    /// Starts a run for a claim, and stops an older run of the same job.
    pub(crate) fn hold(&mut self, by: usize, job: usize, claim: Claim) {
        if let Some(older) = self.processes[by].runs.iter().position(|run| usize::from(run.job) == job) {
            self.stop(by, older);
        }
        let run = Run { job: job as u8, claim, status: self.rows[job].status, phase: Phase::Working };
        self.processes[by].runs.push(run);
    }

    /// The server executes the statement of a run.
    pub(crate) fn execute(&mut self, protocol: &Protocol, by: usize, at: usize, heard: bool) {
        let run = self.processes[by].runs[at];
        let Phase::Sent(write) = run.phase else { return };
        let job = usize::from(run.job);
        let changed = self.write(protocol, job, run.claim, write);
        if !heard {
            self.unanswered(by, at, write);
            return;
        }
        match write {
            Write::Advance(to) if changed => {
                let run = &mut self.processes[by].runs[at];
                run.status = to;
                run.phase = Phase::Working;
            }
            Write::HandBack if changed => {
                self.history.handed_back[job] = Some(run.claim);
                self.processes[by].runs.remove(at);
            }
            _ => drop(self.processes[by].runs.remove(at)),
        }
    }

    /// After a lost answer, a failed step is retried, and a final write is repeated until it is answered.
    fn unanswered(&mut self, by: usize, at: usize, write: Write) {
        let next = match write {
            Write::Advance(_) | Write::Complete => Write::Retry,
            Write::Retry | Write::Fail | Write::HandBack => write,
        };
        self.processes[by].runs[at].phase = Phase::Unsure(next);
    }

    pub(crate) fn cut(&mut self, by: usize, at: usize) {
        let run = self.processes[by].runs[at];
        let Phase::Sent(write) = run.phase else { return };
        self.push_late(Late { job: run.job, claim: run.claim, write });
        self.unanswered(by, at, write);
    }

    pub(crate) fn kill(&mut self, by: usize) {
        let newest = self.processes.iter().map(|process| process.id.0).max().unwrap_or(0);
        let id = WorkerId(newest + 1);
        let dead = std::mem::replace(&mut self.processes[by], Process { id, runs: Vec::new() });
        for run in dead.runs {
            if let Phase::Sent(write) = run.phase {
                self.push_late(Late { job: run.job, claim: run.claim, write });
            }
        }
    }
}
