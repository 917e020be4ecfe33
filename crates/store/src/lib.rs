//! Our tables in PostgreSQL: every SQL statement that names one of them, one function a statement, one file a table.
//!
//! The first line of a statement is a comment with the name of its function, so that logs and `pg_stat_statements` name
//! it too; a test keeps the names unique. The migrations are embedded here, and [`migrations`] applies them.
//!
//! *Must not know:* HTTP, files, models, or when a function is called. It decides nothing: what becomes of a job is decided
//! in `domain` and by the callers, and written here under the fence of the lease.

pub mod active_model;
pub mod api_keys;
pub mod audit;
pub mod beside;
pub mod canary;
pub mod chunks;
mod cursor;
pub mod deletions;
pub mod documents;
pub mod embed_calls;
pub mod events;
mod filter;
pub mod gauges;
pub mod housekeeping;
pub mod idempotency;
pub mod jobs;
pub mod judgements;
mod listener;
pub mod migrations;
pub mod model_switch;
mod notifier;
pub mod objects;
pub mod ocr_pages;
pub mod packed;
pub mod provider_calls;
pub mod provider_rates;
pub mod questions;
pub mod retention;
pub mod search;
pub mod shape;
pub mod spending;
pub mod trial;
pub mod uploads;
pub mod usage;
pub mod versions;
pub mod webhooks;
pub mod words;
pub mod work;
pub mod workers;

/// The schema of all our tables.
pub const SCHEMA: &str = "upload_pipeline";

pub use cursor::Cursor;
pub use listener::{Listener, Wakeup, notify_workers};
pub use notifier::Notifier;
