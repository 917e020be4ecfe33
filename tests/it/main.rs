//! Tests of the whole program against a real PostgreSQL and a real pooler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod active_model;
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
mod embed_service;
mod embedded_postgres;
mod estimate;
mod gauges;
mod journey;
mod judgements;
mod metadata;
mod migrations;
mod ocr;
mod pages;
mod parser;
mod places;
mod queue;
mod read_again;
mod redrive_many;
mod reembed;
mod remote_parse;
mod replace;
mod replica;
mod requests;
mod retention;
mod search;
mod sql;
mod support;
mod tls;
mod torture;
mod verify;
mod watching;
mod webhook;
mod worker;
