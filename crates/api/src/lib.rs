//! The HTTP API, in rooms. Each may use only those before it: `settings`, `messages`, `http`, `guard`, `resources`, then
//! `ops`, `openapi` and `page`, then `server`, which holds the one table of routes.
//!
//! `server::routes` is the one table of routes. Every private route is authenticated before its handler runs. Handlers are
//! thin: they parse, call [`store`] and the ports, and shape the answer.
//!
//! *Must not know:* the queue, the pipeline, concrete clients. It shares with workers nothing but the database and the
//! object store.

mod guard;
mod http;
mod openapi;
mod ops;
mod page;
mod resources;
mod server;
mod settings;

pub use guard::auth::{TokenError, issue_token};
pub use http::{ApiError, ApiState, Caller};
pub use openapi::document_json;
pub use resources::usage::usage_of_day;
pub use server::{ServeError, serve};
pub use settings::{ApiSettings, KeyPolicy};
