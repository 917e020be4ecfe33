//! Postgres: the pool, transactions, migrations, and every SQL statement of the project.
//!
//! What is offered here survives a transaction-mode pooler: statements are unnamed ([`Session`]), results are
//! built-in types only, nothing relies on session state. What needs a session (`listener`, [`migrations`]) opens a
//! connection of its own from the direct URL.
//!
//! One file a table, one function a statement; a statement's first line is a comment that names its function.

pub mod api_keys;
pub mod canary;
pub mod chunks;
pub mod connect_error;
mod cursor;
pub mod databases;
pub mod deletions;
pub mod documents;
mod error;
pub mod events;
pub mod gauges;
pub mod housekeeping;
pub mod idempotency;
pub mod jobs;
mod listener;
pub mod migrations;
mod notifier;
mod pool;
pub mod probe;
pub mod provider_calls;
pub mod retention;
pub mod search;
pub mod server;
mod session;
pub mod shape;
pub mod tls;
pub mod trial;
mod tx;
pub mod uploads;
pub mod url;
pub mod webhooks;
pub mod work;
pub mod workers;

pub use cursor::Cursor;
pub use error::DbError;
pub use listener::{Listener, Wakeup, notify_workers};
pub use notifier::Notifier;
pub use pool::{ConnectTarget, Db, PoolOptions, PoolStatus, Tls};
pub use session::{Conn, Params, Session};
pub use tx::Tx;
