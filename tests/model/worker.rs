//! What a process has in hand, and what becomes of it: `src/worker`.

use crate::{
    protocol::{Protocol, Reclaim},
    state::{Begin, Claim, Late, PROCESSES, Phase, Process, Run, WorkerId, World, Write},
};

impl<const JOBS: usize> World<JOBS> {
    fn late(&mut self, late: Late) {
        let at = self.late.partition_point(|other| *other < late);
        self.late.insert(at, late);
    }

    /// Takes a run away; the one behind it may begin.
    fn end(&mut self, by: usize, run: usize) {
        let runs = &mut self.processes[by].runs;
        let job = runs.remove(run).job;
        let mut of_job = runs.iter_mut().filter(|run| run.job == job);
        if let (Some(next), None) = (of_job.next(), of_job.next())
            && let Phase::Behind(begin) = next.phase
        {
            next.phase = begin.phase();
        }
    }

    pub(crate) fn stop(&mut self, protocol: &Protocol, by: usize, at: usize) {
        let run = &mut self.processes[by].runs[at];
        match run.phase {
            Phase::Sent(_) if !protocol.statements_outlive_runs => run.stopping = true,
            Phase::Sent(write) => {
                let late = Late { job: run.job, claim: run.claim, write };
                self.late(late);
                self.end(by, at);
            }
            Phase::Behind(_) | Phase::Raising | Phase::Working | Phase::Unsure(_) => self.end(by, at),
        }
    }

    pub(crate) fn hold(&mut self, protocol: &Protocol, by: usize, job: usize, claim: Claim) {
        let run = Run { job: job as u8, claim, status: self.rows[job].status, phase: Phase::Working, stopping: false };
        let is_older = |run: &Run| usize::from(run.job) == job;
        // A run in hand, or one that ended before its last statement was answered.
        let begin = match protocol.reclaim {
            Reclaim::UnderANewEpoch if self.had_before(by, job, claim) => Begin::Raise,
            _ => Begin::Step,
        };
        self.processes[by].runs.push(Run { phase: begin.phase(), ..run });
        if protocol.reclaim == Reclaim::Nothing {
            return;
        }
        let newest = self.processes[by].runs.len() - 1;
        if self.processes[by].runs[..newest].iter().any(is_older) {
            self.processes[by].runs[newest].phase = Phase::Behind(begin);
        }
        for at in (0..newest).rev() {
            if is_older(&self.processes[by].runs[at]) {
                self.stop(protocol, by, at);
            }
        }
    }

    /// Whether the process remembers a claim of the job with this very fence.
    fn had_before(&self, by: usize, job: usize, claim: Claim) -> bool {
        let same = |of_job: u8, other: Claim| {
            usize::from(of_job) == job && other.worker == claim.worker && other.epoch == claim.epoch
        };
        self.processes[by].runs.iter().any(|run| same(run.job, run.claim))
            || self.late.iter().any(|late| same(late.job, late.claim))
    }

    /// The statement of a run reaches the server.
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
            Write::Advance(to) if changed && !run.stopping => {
                let run = &mut self.processes[by].runs[at];
                run.status = to;
                run.phase = Phase::Working;
            }
            Write::Raise if changed && !run.stopping => {
                let status = self.rows[job].status;
                let run = &mut self.processes[by].runs[at];
                run.claim.epoch += 1;
                run.status = status;
                run.phase = Phase::Working;
            }
            Write::HandBack if changed => {
                self.history.handed_back[job] = Some(run.claim);
                self.end(by, at);
            }
            _ => self.end(by, at),
        }
    }

    /// A failed step is tried again; what becomes of the job is written until it is answered.
    fn unanswered(&mut self, by: usize, at: usize, write: Write) {
        let next = match write {
            Write::Advance(_) | Write::Complete => Write::Retry,
            Write::Retry | Write::Fail | Write::HandBack | Write::Raise => write,
        };
        let run = &mut self.processes[by].runs[at];
        if run.stopping {
            self.end(by, at);
        } else {
            run.phase = Phase::Unsure(next);
        }
    }

    pub(crate) fn cut(&mut self, protocol: &Protocol, by: usize, at: usize) {
        let run = self.processes[by].runs[at];
        let Phase::Sent(write) = run.phase else { return };
        if protocol.statements_outlive_runs {
            self.late(Late { job: run.job, claim: run.claim, write });
        }
        self.unanswered(by, at, write);
    }

    pub(crate) fn kill(&mut self, by: usize) {
        let newest = self.processes.iter().map(|process| process.id.0).max().unwrap_or(0);
        let id = WorkerId(newest + 1);
        let dead = std::mem::replace(&mut self.processes[by], Process { id, runs: Vec::new() });
        for run in dead.runs {
            if let Phase::Sent(write) = run.phase {
                self.late(Late { job: run.job, claim: run.claim, write });
            }
        }
    }

    pub(crate) fn crash_postgres(&mut self) {
        self.crash();
        for by in 0..PROCESSES {
            for at in (0..self.processes[by].runs.len()).rev() {
                if let Phase::Sent(write) = self.processes[by].runs[at].phase {
                    self.unanswered(by, at, write);
                }
            }
        }
    }
}
