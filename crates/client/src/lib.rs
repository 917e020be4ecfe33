//! The commands that talk to a running API: `app upload`, `app jobs`, `app search`. Their arguments, their requests, and what
//! a person sees.
//!
//! *Must not know:* the database, storage, or any other part of the server. What it can do, any client can do.

pub mod args;
mod connect;
pub mod dev_dir;
pub mod http;
pub mod jobs;
pub mod render;
pub mod search;
pub mod upload;

pub use http::ApiClient;

use std::process::ExitCode;

use anyhow::Context;

/// Runs a client command on a runtime of its own: one thread is plenty for a few sockets.
///
/// # Errors
///
/// Those of `command`.
pub fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("couldn't start the runtime")?;
    let outcome = runtime.block_on(command);
    // A read of a terminal or a file that never ends must not keep the process.
    runtime.shutdown_background();
    outcome
}
