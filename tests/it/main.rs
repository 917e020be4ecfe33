//! Tests of the whole: the library against a real PostgreSQL, a real pooler and the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking, in its helpers too"
)]

mod alerts;
mod api_auth;
mod api_bad_input;
mod api_bounds;
mod check;
mod check_outside;
mod contract;
mod correlation;
mod dashboard;
mod deploy;
mod docs;
mod embedded_postgres;
mod gauges;
mod journey;
mod migrations;
mod parser;
mod queue;
mod redrive_many;
mod remote_parse;
mod requests;
mod retention;
mod search;
mod sql;
mod support;
mod tls;
mod torture;
mod watching;
mod webhook;
mod worker;
