//! What the tests stand on.

pub mod cluster;
pub mod db;
pub mod fleet;
pub mod pgbouncer;
pub mod scratch;
