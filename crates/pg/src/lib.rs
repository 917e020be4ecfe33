//! PostgreSQL without our tables: URLs, TLS, the pool, sessions, transactions, and why a connection failed.
//!
//! Everything here works through a pooler in transaction mode: statements are unnamed ([`Session`]), result columns have
//! built-in types, and nothing relies on session state. Code that needs a session opens its own connection from the
//! direct URL.
//!
//! *Must not know:* our tables. It may ask the server's own catalogs.

// `FromRow` names this crate.
extern crate self as pg;

pub mod connect_error;
pub mod databases;
mod error;
mod params;
mod pool;
pub mod probe;
pub mod replica;
mod rows;
pub mod server;
pub mod session;
pub mod tls;
mod tx;
pub mod url;

pub use error::{DbError, message_of};
pub use params::{Param, Params, SqlType};
pub use pg_derive::FromRow;
pub use pool::{ConnectTarget, Db, PoolOptions};
pub use rows::{Column, FromRow, column};
pub use session::{Conn, Session};
pub use tokio_postgres::error::SqlState;
pub use tx::Tx;
