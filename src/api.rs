//! The HTTP API: routes, handlers, extractors, problem responses.
//!
//! `routes` is the one table of routes; whatever is registered under its private scope is authenticated before the
//! handler sees it. Handlers are thin: they parse, call [`db`](crate::db) and the ports, and shape the answer.

mod address;
mod auth;
mod body;
mod body_rules;
mod bounds;
mod conditional;
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
pub mod messages;
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

pub use auth::{ApiKeySecret, Caller, KeyPolicy, TokenError, issue_token};
pub use bounds::Bounds;
pub use contract::{document, document_json};
pub use probes::{ProbeState, serve_probes};
pub use problem::ApiError;
pub use routes::{BASE_PATH, configure};
pub use server::{ServeError, build_app, serve};
pub use state::{ApiSettings, ApiState, AuthSettings, SecretBytes, UploadLimits};
pub use streams::StreamLimits;
