//! The HTTP API: routes, handlers, extractors, problem responses.
//!
//! `routes` is the one table of routes. Every route under its private scope is authenticated before its handler runs.
//! Handlers are thin: they parse, call [`store`] and the ports, and shape the answer.
//!
//! *Must not know:* the queue, the pipeline, concrete clients. It shares with workers nothing but the database and the
//! object store.

mod address;
mod auth;
mod body;
mod body_rules;
mod bounds;
mod conditional;
mod connections;
mod contract;
mod dashboard;
mod docs_page;
mod documents;
mod events;
mod filters;
mod form;
mod health;
mod idempotency;
mod jobs;
mod jobs_many;
mod json;
mod metrics;
mod pace;
mod paging;
mod probes;
mod problem;
mod rates;
mod request_id;
mod routes;
mod search;
mod server;
mod shield;
mod signing;
mod state;
mod storage_watch;
mod streams;
mod uploads;
mod validate;
mod webhook;

pub use auth::{Caller, KeyPolicy, TokenError, issue_token};
pub use bounds::Bounds;
pub use contract::{document, document_json};
pub use probes::{ProbeState, serve_probes};
pub use problem::ApiError;
pub use routes::configure;
pub use server::{ServeError, build_app, serve};
pub use state::{ApiSettings, ApiState, AuthSettings, SecretBytes, UploadLimits};
pub use streams::StreamLimits;
