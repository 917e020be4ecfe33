//! `app` takes in documents and makes them searchable in your own Postgres.
//!
//! The modules, from the top down; each may use only those below it:
//!
//! | layer | modules |
//! | --- | --- |
//! | entry | [`cli`] |
//! | roles | [`roles`]: one composition root a subcommand |
//! | services | [`api`], [`checks`], [`worker`], [`housekeeping`], [`pipeline`], [`canary`] |
//! | domain | [`domain`] (no I/O), [`ports`] (what a test cannot own), [`callback`] (how a provider calls us back) |
//! | infrastructure | [`db`] (the home of SQL), [`clients`], [`config`], [`telemetry`], [`shutdown`] |

pub mod api;
pub mod build_info;
pub mod callback;
pub mod canary;
pub mod checks;
pub mod cli;
pub mod clients;
pub mod config;
pub mod db;
pub mod domain;
pub mod housekeeping;
pub mod pipeline;
pub mod ports;
pub mod roles;
pub mod shutdown;
pub mod telemetry;
pub mod worker;
