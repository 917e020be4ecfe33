//! `app` takes in documents and makes them searchable in your own Postgres.
//!
//! The command line and one composition root per subcommand. The work is done by the crates below `crates/`.

pub mod cli;
pub mod container;
pub mod roles;
pub mod shutdown;
