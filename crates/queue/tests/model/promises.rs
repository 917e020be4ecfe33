//! What must hold in every state, and situations that must occur in some state, so that the model is not trivial.

use stateright::Property;

use crate::{
    protocol::{Action, Protocol, Queue, next_write},
    state::{CHECKPOINTS, Claim, JobState, PROCESSES, Phase, World, Write},
};

/// Promises that are checked while a statement runs. The history records the broken ones.
#[derive(Clone, Copy)]
pub(crate) enum Promise {
    Fenced,
    CheckpointsStay,
    TerminalStays,
    CancelledStays,
    HandBackCostsNoTry,
}

impl Promise {
    pub(crate) fn bit(self) -> u16 {
        1 << self as u16
    }
}

pub(crate) const FENCED: &str = "a write without the live lease changes nothing";
pub(crate) const ONE_RUN: &str = "at most one run of a job can write";
pub(crate) const CHECKPOINTS_STAY: &str = "a checkpoint is never taken back";
pub(crate) const TERMINAL_STAYS: &str = "only a redrive leaves a terminal state";
pub(crate) const CANCELLED_STAYS: &str = "a cancelled job is not completed";
pub(crate) const HAND_BACK_COSTS_NO_TRY: &str = "a hand-back costs no try";
pub(crate) const COMPLETED_ONCE: &str = "a job is completed once";
pub(crate) const NOTHING_IS_LOST: &str = "each process alone can end every job";

/// All promises, in the order of docs/queue-model.md.
pub(crate) const PROMISES: [&str; 8] = [
    FENCED,
    ONE_RUN,
    CHECKPOINTS_STAY,
    TERMINAL_STAYS,
    CANCELLED_STAYS,
    HAND_BACK_COSTS_NO_TRY,
    COMPLETED_ONCE,
    NOTHING_IS_LOST,
];

fn holds<const JOBS: usize>(world: &World<JOBS>, promise: Promise) -> bool {
    world.history.broken & promise.bit() == 0
}

pub(crate) fn properties<const JOBS: usize>() -> Vec<Property<Queue<JOBS>>> {
    vec![
        Property::always(FENCED, |_, w: &World<JOBS>| holds(w, Promise::Fenced)),
        Property::always(ONE_RUN, |q: &Queue<JOBS>, w| at_most_one_run_can_write(&q.0, w)),
        Property::always(CHECKPOINTS_STAY, |_, w: &World<JOBS>| holds(w, Promise::CheckpointsStay)),
        Property::always(TERMINAL_STAYS, |_, w: &World<JOBS>| holds(w, Promise::TerminalStays)),
        Property::always(CANCELLED_STAYS, |_, w: &World<JOBS>| holds(w, Promise::CancelledStays)),
        Property::always(HAND_BACK_COSTS_NO_TRY, |_, w: &World<JOBS>| holds(w, Promise::HandBackCostsNoTry)),
        Property::always(COMPLETED_ONCE, |_, w: &World<JOBS>| w.history.completions.iter().all(|times| *times <= 1)),
        Property::always(NOTHING_IS_LOST, |q: &Queue<JOBS>, w| {
            (0..PROCESSES).all(|by| [false, true].into_iter().all(|turns| ends_every_job(&q.0, w, by, turns)))
        }),
        Property::sometimes("a job is completed after a takeover", |_, w: &World<JOBS>| {
            w.rows.iter().any(|row| row.state == JobState::Done && row.crashes > 0)
        }),
        Property::sometimes("a job is given up at its third takeover", |_, w: &World<JOBS>| {
            w.rows.iter().any(|row| row.state == JobState::Deadletter && row.crashes == 3)
        }),
        Property::sometimes("two processes run the same job", |_, w: &World<JOBS>| {
            w.processes.iter().all(|process| process.runs.iter().any(|run| run.job == 0))
        }),
        Property::sometimes("the answer to a completion is lost", |_, w: &World<JOBS>| {
            let unsure =
                |claim: Claim| w.rows.iter().any(|row| row.state == JobState::Done && row.epoch == claim.epoch);
            w.processes.iter().flat_map(|process| &process.runs).any(|run| {
                run.phase == Phase::Unsure(Write::Retry) && run.status + 1 == CHECKPOINTS && unsure(run.claim)
            })
        }),
        Property::sometimes("a job is cancelled while it runs", |_, w: &World<JOBS>| {
            w.rows
                .iter()
                .enumerate()
                .any(|(job, row)| row.state == JobState::Cancelled && runs(w).any(|(run_job, _)| run_job == job))
        }),
        Property::sometimes("a job is done after a hand-back", |q: &Queue<JOBS>, w: &World<JOBS>| {
            w.left.hand_backs < q.0.budget.hand_backs && w.rows.iter().all(|row| row.state == JobState::Done)
        }),
        Property::sometimes("a job is done after a redrive", |q: &Queue<JOBS>, w: &World<JOBS>| {
            w.left.redrives < q.0.budget.redrives && w.rows.iter().all(|row| row.state == JobState::Done)
        }),
    ]
}

/// The claims of all runs and late statements, each with its job.
fn runs<const JOBS: usize>(world: &World<JOBS>) -> impl Iterator<Item = (usize, Claim)> {
    let running = world.processes.iter().flat_map(|process| &process.runs);
    let late = world.late.iter().map(|late| (usize::from(late.job), late.claim));
    running.map(|run| (usize::from(run.job), run.claim)).chain(late)
}

fn at_most_one_run_can_write<const JOBS: usize>(protocol: &Protocol, world: &World<JOBS>) -> bool {
    let mut writers = [None; JOBS];
    runs(world)
        .filter(|(job, claim)| protocol.lets_write(&world.rows[*job], *claim))
        .all(|(job, claim)| *writers[job].get_or_insert(claim) == claim)
}

/// Whether process `by` ends every job on its own: the other process is frozen for good, its statements never arrive, and
/// there are no more cancels or faults. This is what `eventually` under fairness would check. It also finds cycles, which
/// stateright's `eventually` misses. With `turns`, its turn is over at each checkpoint: a run hands its job back behind each
/// advance.
fn ends_every_job<const JOBS: usize>(protocol: &Protocol, world: &World<JOBS>, by: usize, turns: bool) -> bool {
    const STEPS_A_JOB: usize = 40;
    let mut world = world.clone();
    world.left.hand_backs = u8::MAX;
    let mut advanced = false;
    for _ in 0..STEPS_A_JOB * JOBS {
        let Some(mut action) = next_action(protocol, &world, by) else { break };
        if let (Action::Send { write, .. }, true) = (&mut action, turns && advanced) {
            *write = Write::HandBack;
        }
        let phase = |world: &World<JOBS>| world.processes[by].runs.first().map(|run| run.phase);
        let sent = phase(&world);
        world.apply(protocol, action);
        advanced = matches!(sent, Some(Phase::Sent(Write::Advance(_)))) && phase(&world) == Some(Phase::Working);
    }
    world.rows.iter().all(|row| row.is_terminal())
}

/// What the loops of process `by` do next if nothing else happens.
fn next_action<const JOBS: usize>(protocol: &Protocol, world: &World<JOBS>, by: usize) -> Option<Action> {
    if let Some(run) = world.processes[by].runs.first() {
        let holds = protocol.lets_write(&world.rows[usize::from(run.job)], run.claim);
        return Some(match run.phase {
            Phase::Sent(_) => Action::Execute { by, run: 0, heard: true },
            Phase::Unsure(write) => Action::Send { by, run: 0, write },
            Phase::Working if holds => Action::Send { by, run: 0, write: next_write(run.status) },
            Phase::Working => Action::Stop { by, run: 0 },
        });
    }
    world.rows.iter().enumerate().find_map(|(job, row)| match row.state {
        JobState::Waiting => Some(Action::Claim { by, job, heard: true }),
        JobState::Working if protocol.takes_over => Some(Action::TakeOver { job }),
        _ => None,
    })
}
