//! Runs the checker and prints what it found.

use std::{collections::BTreeSet, fmt::Write as _, time::Instant};

use stateright::{Checker, Expectation, Model, Path};

use crate::{
    promises::PROMISES,
    protocol::{Action, Protocol, Queue},
    state::{Phase, World, Write},
};

/// The result of checking every state.
pub(crate) struct Found {
    pub(crate) states: usize,
    /// Promises with a counterexample.
    pub(crate) broken: BTreeSet<&'static str>,
    /// Situations that must occur, but occur in no state.
    pub(crate) unseen: Vec<&'static str>,
}

/// Checks every reachable state.
pub(crate) fn check_every_state<const JOBS: usize>(protocol: Protocol) -> Found {
    let began = Instant::now();
    let checker = Queue::<JOBS>(protocol).checker().spawn_bfs().join();
    let discoveries = checker.discoveries();
    let properties = checker.model().properties();
    let found = Found {
        states: checker.unique_state_count(),
        broken: PROMISES.into_iter().filter(|promise| discoveries.contains_key(promise)).collect(),
        unseen: properties
            .iter()
            .filter(|property| matches!(property.expectation, Expectation::Sometimes))
            .map(|property| property.name)
            .filter(|situation| !discoveries.contains_key(situation))
            .collect(),
    };
    println!(
        "{} states, at most {} steps deep, in {:.1} s",
        found.states,
        checker.max_depth() - 1,
        began.elapsed().as_secs_f64()
    );
    println!("broken: {:?}", found.broken);
    found
}

/// A shortest sequence of actions that breaks the promise, as a numbered list.
pub(crate) fn counterexample(protocol: Protocol, promise: &'static str) -> String {
    const DEEPEST: usize = 30;
    // The checker keeps the last counterexample that it finds. Bounding the depth makes that a shortest one.
    let path = (2..DEEPEST)
        .find_map(|depth| Queue::<1>(protocol).checker().target_max_depth(depth).spawn_bfs().join().discovery(promise));
    let trace = path.map(describe_path).unwrap_or_default();
    println!("{promise}:\n{trace}");
    trace
}

fn describe_path(path: Path<World<1>, Action>) -> String {
    let steps = path.into_vec();
    let mut text = String::new();
    for (place, pair) in steps.windows(2).enumerate() {
        let ((before, action), (after, _)) = (&pair[0], &pair[1]);
        let Some(action) = action else { continue };
        let _ = write!(text, "{:>2}. {}", place + 1, describe(before, *action));
        if before.rows != after.rows {
            let _ = write!(text, "\n    → {:?}", after.rows[0]);
        }
        text.push('\n');
    }
    text
}

fn describe(world: &World<1>, action: Action) -> String {
    let name = |by: usize| world.processes[by].id;
    let run_of = |by: usize, at: usize| {
        let run = world.processes[by].runs[at];
        let which = if at > 0 { "second run" } else { "run" };
        (run, format!("{:?}'s {which} under {:?}", name(by), run.claim))
    };
    let sent = |by: usize, at: usize| {
        let (run, who) = run_of(by, at);
        match run.phase {
            Phase::Sent(write) => format!("{} of {who}", words(write)),
            _ => who,
        }
    };
    match action {
        Action::Claim { by, heard: true, .. } => format!("{:?} claims the job", name(by)),
        Action::Claim { by, heard: false, .. } => format!("{:?} claims the job and never hears of it", name(by)),
        Action::Send { by, run, write } => format!("{} sends {}", run_of(by, run).1, words(write)),
        Action::Execute { by, run, heard: true } => format!("The server runs {}", sent(by, run)),
        Action::Execute { by, run, heard: false } => format!("The server runs {}; the answer is lost", sent(by, run)),
        Action::Cut { by, run } => format!("{} is cut off", sent(by, run)),
        Action::Stop { by, run } => format!("{} is told that its lease is lost", run_of(by, run).1),
        Action::ExecuteLate { late } => {
            let late = world.late[late];
            format!("The server runs {} that was sent under {:?}", words(late.write), late.claim)
        }
        Action::TakeOver { .. } => "The lease expires and the job is taken over".to_owned(),
        Action::GiveBack { by, .. } => format!("{:?} gives back the job, which it does not know of", name(by)),
        Action::Cancel { .. } => "The owner cancels the job".to_owned(),
        Action::Redrive { .. } => "The owner redrives the job".to_owned(),
        Action::Kill { by } => format!("{:?} is killed", name(by)),
    }
}

fn words(write: Write) -> String {
    match write {
        Write::Advance(to) => format!("`advance to {to}`"),
        Write::Complete => "`complete`".to_owned(),
        Write::Retry => "`retry`".to_owned(),
        Write::Fail => "`fail`".to_owned(),
        Write::HandBack => "`hand back`".to_owned(),
    }
}
