//! Helpers that the tests share.

pub mod certificates;
pub mod cluster;
pub mod db;
pub mod fakes;
pub mod fleet;
pub mod pgbouncer;
pub mod scratch;
pub mod served;
