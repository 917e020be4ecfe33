//! The HTTP API, in rooms. Each may use only those before it: `settings`, `messages`, `http`, `guard`, `resources`, then
//! `ops`, `openapi` and `page`, then `server`, which holds the one table of routes.
//!
//! What the table registers as private is authenticated before the handler sees it. Handlers are thin: they parse, call
//! [`db`](crate::db) and the ports, and shape the answer.

mod guard;
mod http;
pub mod messages;
mod openapi;
mod ops;
mod page;
mod resources;
mod server;
mod settings;

pub use guard::auth::{ApiKeySecret, TokenError, issue_token};
pub use http::{ApiError, ApiState, Caller};
pub use messages::BASE_PATH;
pub use server::{ServeError, document_json, serve};
pub use settings::{ApiSettings, AuthSettings, Bounds, KeyPolicy, SecretBytes, StreamLimits, UploadLimits};
