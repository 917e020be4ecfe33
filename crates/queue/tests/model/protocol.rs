//! The actions that are possible in a state, and their effects.

use stateright::{Model, Property};

use crate::{
    promises,
    state::{
        Budget, CHECKPOINTS, Claim, History, JobState, Late, PROCESSES, Phase, Process, Row, Run, WorkerId, World,
        Write,
    },
};

/// The protocol; a test can switch off each part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// A write names `claimed_by`.
    pub(crate) checks_owner: bool,
    /// A write names `lease_epoch`.
    pub(crate) checks_epoch: bool,
    /// A write names `state = 'working'`.
    pub(crate) checks_state: bool,
    /// A cancel raises the epoch and clears the owner.
    pub(crate) cancel_clears_owner: bool,
    /// An advance names the checkpoint before it.
    pub(crate) checks_checkpoint: bool,
    /// Takeovers after which a job is given up.
    pub(crate) given_up_after: u8,
    /// Workers take over jobs whose lease has expired.
    pub(crate) takes_over: bool,
    pub(crate) budget: Budget,
}

impl Protocol {
    /// The `WHERE` of every write of a worker.
    pub(crate) fn lets_write(&self, row: &Row, claim: Claim) -> bool {
        (!self.checks_owner || row.owner == Some(claim.worker))
            && (!self.checks_epoch || row.epoch == claim.epoch)
            && (!self.checks_state || row.state == JobState::Working)
    }
}

/// An action. `by` is the index of a process, `run` the index of one of its runs; `heard` says whether the answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Claim {
        by: usize,
        job: usize,
        heard: bool,
    },
    Send {
        by: usize,
        run: usize,
        write: Write,
    },
    Execute {
        by: usize,
        run: usize,
        heard: bool,
    },
    /// The connection is cut before the statement arrives.
    Cut {
        by: usize,
        run: usize,
    },
    /// The run is told to stop: a heartbeat did not find the job or, as a cut, heartbeats failed for the length of a lease.
    Stop {
        by: usize,
        run: usize,
    },
    /// The server runs a statement whose run has ended.
    ExecuteLate {
        late: usize,
    },
    /// A lease expires and a worker takes the job over. This may happen at any moment, since a heartbeat may be late by any
    /// time.
    TakeOver {
        job: usize,
    },
    /// A process hands back a claim that it does not know of: `hand_back_unheld`.
    GiveBack {
        by: usize,
        job: usize,
    },
    Cancel {
        job: usize,
    },
    Redrive {
        job: usize,
    },
    Kill {
        by: usize,
    },
}

impl<const JOBS: usize> World<JOBS> {
    pub(crate) fn new(protocol: &Protocol) -> Self {
        let process = |id| Process { id: WorkerId(id), runs: Vec::new() };
        Self {
            rows: [Row::NEW; JOBS],
            processes: [process(0), process(1)],
            late: Vec::new(),
            left: protocol.budget,
            history: History {
                completions: [0; JOBS],
                handed_back: [None; JOBS],
                broken: 0,
                epoch_counts: protocol.checks_epoch,
            },
        }
    }

    /// Carries out the action.
    pub(crate) fn apply(&mut self, protocol: &Protocol, action: Action) {
        match action {
            Action::Claim { by, job, heard } => {
                let claim = self.claim(job, by);
                if heard {
                    self.hold(by, job, claim);
                } else {
                    self.left.cuts -= 1;
                }
            }
            Action::Send { by, run, write } => {
                let run = &mut self.processes[by].runs[run];
                match (run.phase, write) {
                    (Phase::Working, Write::HandBack) => self.left.hand_backs -= 1,
                    (Phase::Working, Write::Retry | Write::Fail) => self.left.failures -= 1,
                    _ => {}
                }
                run.phase = Phase::Sent(write);
            }
            Action::Execute { by, run, heard } => {
                self.left.cuts -= u8::from(!heard);
                self.execute(protocol, by, run, heard);
            }
            Action::Cut { by, run } => {
                self.left.cuts -= 1;
                self.cut(by, run);
            }
            Action::Stop { by, run } => {
                let Run { job, claim, .. } = self.processes[by].runs[run];
                self.left.cuts -= u8::from(protocol.lets_write(&self.rows[usize::from(job)], claim));
                self.stop(by, run);
            }
            Action::ExecuteLate { late } => {
                let Late { job, claim, write } = self.late.remove(late);
                self.write(protocol, usize::from(job), claim, write);
            }
            Action::TakeOver { job } => self.take_over(protocol, job),
            Action::GiveBack { job, .. } => self.give_back(job),
            Action::Cancel { job } => {
                self.left.cancels -= 1;
                self.cancel(protocol, job);
            }
            Action::Redrive { job } => {
                self.left.redrives -= 1;
                self.redrive(job);
            }
            Action::Kill { by } => {
                self.left.kills -= 1;
                self.kill(by);
            }
        }
    }

    fn push_actions_of_run(&self, protocol: &Protocol, by: usize, at: usize, actions: &mut Vec<Action>) {
        let run = self.processes[by].runs[at];
        match run.phase {
            Phase::Working => {
                actions.push(Action::Send { by, run: at, write: next_write(run.status) });
                if self.left.failures > 0 {
                    actions.push(Action::Send { by, run: at, write: Write::Retry });
                    actions.push(Action::Send { by, run: at, write: Write::Fail });
                }
                if self.left.hand_backs > 0 {
                    actions.push(Action::Send { by, run: at, write: Write::HandBack });
                }
            }
            Phase::Unsure(write) => actions.push(Action::Send { by, run: at, write }),
            Phase::Sent(_) => {
                actions.push(Action::Execute { by, run: at, heard: true });
                if self.left.cuts > 0 {
                    actions.push(Action::Execute { by, run: at, heard: false });
                    actions.push(Action::Cut { by, run: at });
                }
            }
        }
        let lost = !protocol.lets_write(&self.rows[usize::from(run.job)], run.claim);
        if lost || self.left.cuts > 0 {
            actions.push(Action::Stop { by, run: at });
        }
    }

    fn push_actions_on_job(&self, protocol: &Protocol, job: usize, actions: &mut Vec<Action>) {
        let row = self.rows[job];
        match row.state {
            JobState::Waiting => {
                for by in 0..PROCESSES {
                    actions.push(Action::Claim { by, job, heard: true });
                    if self.left.cuts > 0 {
                        actions.push(Action::Claim { by, job, heard: false });
                    }
                }
            }
            JobState::Working if protocol.takes_over => actions.push(Action::TakeOver { job }),
            _ => {}
        }
        for by in 0..PROCESSES {
            let process = &self.processes[by];
            let knows = process.runs.iter().any(|run| usize::from(run.job) == job);
            if row.state == JobState::Working && row.owner == Some(process.id) && !knows {
                actions.push(Action::GiveBack { by, job });
            }
        }
        if !row.is_terminal() && self.left.cancels > 0 {
            actions.push(Action::Cancel { job });
        }
        if row.state != JobState::Working && self.left.redrives > 0 {
            actions.push(Action::Redrive { job });
        }
    }
}

/// The write of a successful step.
pub(crate) fn next_write(status: u8) -> Write {
    if status + 1 < CHECKPOINTS { Write::Advance(status + 1) } else { Write::Complete }
}

/// The protocol with this many jobs, as the checker's model.
pub(crate) struct Queue<const JOBS: usize>(pub(crate) Protocol);

impl<const JOBS: usize> Model for Queue<JOBS> {
    type State = World<JOBS>;
    type Action = Action;

    fn init_states(&self) -> Vec<World<JOBS>> {
        vec![World::new(&self.0)]
    }

    fn actions(&self, world: &World<JOBS>, actions: &mut Vec<Action>) {
        for job in 0..JOBS {
            world.push_actions_on_job(&self.0, job, actions);
        }
        for by in 0..PROCESSES {
            for run in 0..world.processes[by].runs.len() {
                world.push_actions_of_run(&self.0, by, run, actions);
            }
            // Killing a process without runs changes nothing, so it is left out.
            if world.left.kills > 0 && !world.processes[by].runs.is_empty() {
                actions.push(Action::Kill { by });
            }
        }
        actions.extend((0..world.late.len()).map(|late| Action::ExecuteLate { late }));
    }

    fn next_state(&self, world: &World<JOBS>, action: Action) -> Option<World<JOBS>> {
        let mut next = world.clone();
        next.apply(&self.0, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::properties()
    }
}
