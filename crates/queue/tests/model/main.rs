//! A model of the queue's protocol, of which every reachable state is checked. docs/queue-model.md says what is modelled.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; the model's numbers are small"
)]

mod canonical;
mod check;
mod promises;
mod protocol;
mod server;
mod state;
mod worker;

use check::{Found, check_every_state, counterexample};
use promises::{
    CANCELLED_STAYS, CHECKPOINTS_STAY, COMPLETED_ONCE, FENCED, NOTHING_IS_LOST, ONE_RUN, PROMISES, TERMINAL_STAYS,
};
use protocol::Protocol;
use state::{Budget, GIVEN_UP_AFTER_CRASHES};

const DOCS: &str = include_str!("../../../../docs/queue-model.md");

const NOTHING: Budget = Budget { kills: 0, cuts: 0, failures: 0, hand_backs: 0, cancels: 0, redrives: 0 };
/// Faults of machines.
const FAULTS: Budget = Budget { kills: 2, cuts: 3, ..NOTHING };
/// Requests of people and deployments, together with faults.
const REQUESTS: Budget = Budget { kills: 1, cuts: 2, hand_backs: 1, cancels: 1, redrives: 1, ..NOTHING };
/// Turns: a job goes back again and again.
const TURNS: Budget = Budget { kills: 1, cuts: 1, hand_backs: 3, ..NOTHING };
/// Enough to break the promises when a part of the protocol is removed.
const SMALL: Budget = Budget { cuts: 1, hand_backs: 1, cancels: 1, ..NOTHING };

const PROTOCOL: Protocol = Protocol {
    checks_owner: true,
    checks_epoch: true,
    checks_state: true,
    cancel_clears_owner: true,
    checks_checkpoint: true,
    given_up_after: GIVEN_UP_AFTER_CRASHES,
    takes_over: true,
    budget: SMALL,
};

#[track_caller]
fn assert_breaks(protocol: Protocol, expected: &[&'static str]) {
    let found = check_every_state::<1>(protocol);
    for promise in &found.broken {
        counterexample(protocol, promise);
    }
    let broken: Vec<_> = PROMISES.into_iter().filter(|promise| found.broken.contains(promise)).collect();
    assert_eq!(broken, expected);
}

/// Asserts that every promise holds and that docs/queue-model.md has the number of states.
#[track_caller]
fn assert_holds(found: &Found) {
    assert!(found.broken.is_empty());
    let states = format!("{},{:03}", found.states / 1000, found.states % 1000);
    assert!(DOCS.contains(&states), "docs/queue-model.md must say {states} states");
}

#[test]
fn every_promise_holds_through_kills_and_cuts() {
    assert_holds(&check_every_state::<1>(Protocol { budget: FAULTS, ..PROTOCOL }));
}

#[test]
fn every_promise_holds_through_hand_backs_cancels_and_redrives() {
    let found = check_every_state::<1>(Protocol { budget: REQUESTS, ..PROTOCOL });
    assert_holds(&found);
    assert_eq!(found.unseen, [""; 0]);
}

#[test]
fn every_promise_holds_through_turns() {
    assert_holds(&check_every_state::<1>(Protocol { budget: TURNS, ..PROTOCOL }));
}

#[test]
fn every_promise_holds_through_failed_steps() {
    let budget = Budget { kills: 1, cuts: 2, failures: 2, ..NOTHING };
    assert_holds(&check_every_state::<1>(Protocol { budget, ..PROTOCOL }));
}

#[test]
fn every_promise_holds_for_two_jobs() {
    let budget = Budget { cuts: 1, ..NOTHING };
    assert_holds(&check_every_state::<2>(Protocol { budget, given_up_after: 1, ..PROTOCOL }));
}

#[test]
fn without_the_fence_a_worker_that_lost_its_lease_can_write() {
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
fn without_the_epoch_an_older_claim_of_the_same_worker_can_write() {
    let budget = Budget { hand_backs: 1, ..NOTHING };
    assert_breaks(Protocol { checks_epoch: false, budget, ..PROTOCOL }, &[FENCED, ONE_RUN]);
}

#[test]
fn without_the_owner_the_epoch_keeps_every_promise() {
    assert_breaks(Protocol { checks_owner: false, ..PROTOCOL }, &[]);
}

#[test]
fn without_the_checkpoint_in_an_advance_the_fence_keeps_every_promise() {
    assert_breaks(Protocol { checks_checkpoint: false, ..PROTOCOL }, &[]);
}

#[test]
fn a_cancel_that_keeps_epoch_and_owner_is_protected_by_the_state() {
    let budget = Budget { cancels: 1, redrives: 1, ..NOTHING };
    assert_breaks(Protocol { cancel_clears_owner: false, budget, ..PROTOCOL }, &[]);
}

#[test]
fn without_the_state_in_the_fence_epoch_and_owner_keep_every_promise() {
    assert_breaks(Protocol { checks_state: false, ..PROTOCOL }, &[]);
}

#[test]
fn an_unprotected_cancel_is_overwritten() {
    let broken = Protocol { cancel_clears_owner: false, checks_state: false, ..PROTOCOL };
    assert_breaks(broken, &[FENCED, TERMINAL_STAYS, CANCELLED_STAYS]);
}

#[test]
fn without_takeover_a_job_of_a_dead_worker_waits_for_ever() {
    assert_breaks(Protocol { takes_over: false, ..PROTOCOL }, &[NOTHING_IS_LOST]);
}
