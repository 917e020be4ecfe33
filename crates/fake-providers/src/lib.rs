//! Fakes of the providers that charge: an embedding service with OpenAI's API, and LlamaParse. Each is a server on 127.0.0.1 with the
//! part of the real protocol that `app` uses, and fails as it is told to.
//!
//! Tests hold one as a value and order its faults by its methods. `app dev --fake-providers` and `app fake-providers` run both for a
//! person, who orders faults over HTTP: `PUT /faults`, and reads what was charged: `GET /billed`.
//!
//! *Must not know:* anything of ours. They speak the providers' protocols only, so that nothing of `app` is tested by itself.

pub mod embeddings;
pub mod http;
pub mod llamaparse;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Locks, also what a thread that panicked has held: tests see that panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The milliseconds or seconds behind the colon of an order such as `slow:500`.
fn number_behind<'a>(order: &'a str, name: &str) -> Option<&'a str> {
    order.strip_prefix(name)?.strip_prefix(':')
}

/// The delay of `slow:MILLISECONDS`; `slow` alone is a second.
fn slowness(order: &str) -> Option<Duration> {
    if order == "slow" {
        return Some(Duration::from_secs(1));
    }
    number_behind(order, "slow")?.parse().ok().map(Duration::from_millis)
}
