//! The queue's protocol as a model, every state of which is looked at: docs/queue-model.md says what is modelled.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on says so by panicking; the model's numbers are small"
)]

mod canonical;
mod check;
mod promises;
mod protocol;
mod server;
mod state;
mod worker;

use check::{Found, counterexample, look_at_all};
use promises::{
    CANCELLED_STAYS, CHECKPOINTS_STAY, COMPLETED_ONCE, FENCED, HAND_BACK_IS_FREE, NOTHING_IS_LOST, ONE_RUN,
    ONLY_CLAIMS_ARE_LOST, PROMISES, TERMINAL_STAYS,
};
use protocol::{Protocol, Reclaim};
use state::{Budget, GIVEN_UP_AFTER_CRASHES};

const DOCS: &str = include_str!("../../docs/queue-model.md");

const NOTHING: Budget = Budget { crashes: 0, kills: 0, cuts: 0, failures: 0, hand_backs: 0, cancels: 0, redrives: 0 };
/// What machines do.
const FAULTS: Budget = Budget { crashes: 2, kills: 1, cuts: 1, ..NOTHING };
/// What people and deployments do, with a crash.
const REQUESTS: Budget = Budget { crashes: 1, cuts: 1, hand_backs: 1, cancels: 1, redrives: 1, ..NOTHING };
/// Enough for what a removal breaks.
const SMALL: Budget = Budget { crashes: 1, hand_backs: 1, cancels: 1, ..NOTHING };

const PROTOCOL: Protocol = Protocol {
    checks_owner: true,
    checks_epoch: true,
    checks_state: true,
    cancel_shuts_out: true,
    waits_for_commit: true,
    checks_checkpoint: true,
    given_up_after: GIVEN_UP_AFTER_CRASHES,
    takes_over: true,
    reclaim: Reclaim::UnderANewEpoch,
    statements_outlive_runs: true,
    budget: SMALL,
};

#[track_caller]
fn assert_breaks(protocol: Protocol, expected: &[&'static str]) {
    let found = look_at_all::<1>(protocol);
    for promise in &found.broken {
        counterexample(protocol, promise);
    }
    let broken: Vec<_> = PROMISES.into_iter().filter(|promise| found.broken.contains(promise)).collect();
    assert_eq!(broken, expected);
}

/// Nothing breaks, and docs/queue-model.md has the number of states.
#[track_caller]
fn assert_holds(found: &Found) {
    assert!(found.broken.is_empty());
    let states = format!("{},{:03}", found.states / 1000, found.states % 1000);
    assert!(DOCS.contains(&states), "docs/queue-model.md must say {states} states");
}

#[test]
fn every_promise_holds_through_crashes_kills_and_cuts() {
    assert_holds(&look_at_all::<1>(Protocol { budget: FAULTS, ..PROTOCOL }));
}

#[test]
fn every_promise_holds_through_hand_backs_cancels_and_redrives() {
    let found = look_at_all::<1>(Protocol { budget: REQUESTS, ..PROTOCOL });
    assert_holds(&found);
    assert_eq!(found.unseen, [""; 0]);
}

#[test]
fn every_promise_holds_through_failures_of_steps() {
    let budget = Budget { crashes: 1, cuts: 1, failures: 1, ..NOTHING };
    assert_holds(&look_at_all::<1>(Protocol { budget, ..PROTOCOL }));
}

#[test]
fn every_promise_holds_for_two_jobs_that_share_the_log() {
    let budget = Budget { crashes: 1, ..NOTHING };
    assert_holds(&look_at_all::<2>(Protocol { budget, given_up_after: 1, ..PROTOCOL }));
}

#[test]
fn without_the_fence_a_worker_that_lost_its_lease_writes() {
    let budget = Budget { cancels: 1, ..NOTHING };
    let broken = Protocol { checks_owner: false, checks_epoch: false, budget, ..PROTOCOL };
    assert_breaks(broken, &[FENCED, ONE_RUN]);
    let broken = Protocol { checks_checkpoint: false, ..broken };
    assert_breaks(broken, &[FENCED, ONE_RUN, CHECKPOINTS_STAY]);
    let trace = counterexample(broken, CHECKPOINTS_STAY);
    assert!(DOCS.contains(&trace), "docs/queue-model.md must show this trace");
}

#[test]
fn without_fence_and_state_finished_jobs_are_written_again() {
    let budget = Budget { cancels: 1, ..NOTHING };
    let broken = Protocol { checks_owner: false, checks_epoch: false, checks_state: false, budget, ..PROTOCOL };
    assert_breaks(broken, &[FENCED, ONE_RUN, TERMINAL_STAYS, CANCELLED_STAYS, COMPLETED_ONCE]);
}

#[test]
fn without_the_epoch_an_older_claim_of_the_same_worker_writes() {
    let budget = Budget { hand_backs: 1, ..NOTHING };
    assert_breaks(Protocol { checks_epoch: false, budget, ..PROTOCOL }, &[FENCED, ONE_RUN]);
}

#[test]
fn without_the_owner_a_claim_that_a_crash_took_back_writes() {
    assert_breaks(Protocol { checks_owner: false, ..PROTOCOL }, &[FENCED, ONE_RUN]);
}

#[test]
fn without_crashes_the_epoch_alone_would_be_a_fence() {
    let budget = Budget { crashes: 0, ..SMALL };
    assert_breaks(Protocol { checks_owner: false, budget, ..PROTOCOL }, &[]);
}

#[test]
fn without_waiting_for_the_older_run_two_runs_share_a_fence() {
    let budget = Budget { crashes: 1, ..NOTHING };
    assert_breaks(Protocol { reclaim: Reclaim::Nothing, budget, ..PROTOCOL }, &[ONE_RUN]);
}

#[test]
fn without_a_new_epoch_a_statement_that_outlives_its_run_writes_for_the_next() {
    assert_breaks(Protocol { reclaim: Reclaim::AfterTheOlder, ..PROTOCOL }, &[ONE_RUN]);
}

#[test]
fn without_a_new_epoch_an_advance_that_does_not_name_its_checkpoint_takes_one_back() {
    let broken = Protocol { reclaim: Reclaim::AfterTheOlder, checks_checkpoint: false, ..PROTOCOL };
    assert_breaks(broken, &[ONE_RUN, CHECKPOINTS_STAY]);
}

#[test]
fn a_new_epoch_alone_keeps_checkpoints() {
    assert_breaks(Protocol { checks_checkpoint: false, ..PROTOCOL }, &[]);
}

#[test]
fn waiting_for_the_older_runs_answer_would_do_as_well() {
    let other = Protocol { reclaim: Reclaim::AfterTheOlder, statements_outlive_runs: false, ..PROTOCOL };
    assert_breaks(other, &[]);
}

#[test]
fn a_cancel_that_leaves_epoch_and_owner_is_saved_by_the_state() {
    let budget = Budget { crashes: 1, cancels: 1, redrives: 1, ..NOTHING };
    assert_breaks(Protocol { cancel_shuts_out: false, budget, ..PROTOCOL }, &[]);
}

#[test]
fn the_state_in_the_fence_is_saved_by_epoch_and_owner() {
    assert_breaks(Protocol { checks_state: false, ..PROTOCOL }, &[]);
}

#[test]
fn a_cancel_that_nothing_guards_is_overwritten() {
    let broken = Protocol { cancel_shuts_out: false, checks_state: false, ..PROTOCOL };
    assert_breaks(broken, &[FENCED, TERMINAL_STAYS, CANCELLED_STAYS]);
}

#[test]
fn without_waiting_for_commits_a_crash_takes_back_what_was_promised() {
    let budget = Budget { crashes: 1, hand_backs: 1, ..NOTHING };
    let broken = Protocol { waits_for_commit: false, given_up_after: 1, budget, ..PROTOCOL };
    assert_breaks(broken, &[HAND_BACK_IS_FREE, COMPLETED_ONCE, ONLY_CLAIMS_ARE_LOST]);
}

#[test]
fn without_takeover_a_job_of_a_dead_worker_waits_for_ever() {
    assert_breaks(Protocol { takes_over: false, ..PROTOCOL }, &[NOTHING_IS_LOST]);
}
