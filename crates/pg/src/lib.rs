//! PostgreSQL without our tables: URLs, TLS, the pool, sessions, transactions, and why a connection failed.
//!
//! What is offered here survives a transaction-mode pooler: statements are unnamed ([`Session`]), results are built-in
//! types only, and nothing relies on session state. What needs a session opens a connection of its own from the direct
//! URL.
//!
//! *Must not know:* a table of ours. It may ask the server's own catalogs.

pub mod connect_error;
pub mod databases;
mod error;
mod notifications;
mod pool;
pub mod probe;
pub mod server;
pub mod session;
pub mod tls;
mod tx;
pub mod url;

pub use error::{DbError, message_of};
pub use pool::{ConnectTarget, Db, PoolOptions};
pub use session::{Conn, Params, Session};
pub use tx::Tx;
