//! The commands that talk to a running API: `app upload`, `app jobs`, `app documents`, `app search`, `app usage`, `app eval`. Their arguments, their requests and
//! their output.
//!
//! *Must not know:* the database, storage or any other part of the server. Any other HTTP client could do the same.

pub mod args;
mod connect;
pub mod dev_dir;
pub mod documents;
pub mod estimate;
pub mod eval;
pub mod http;
pub mod jobs;
pub mod render;
pub mod search;
pub mod upload;
pub mod usage;

pub use http::ApiClient;

use std::process::ExitCode;

use anyhow::Context;

/// Runs a client command on a runtime of its own. One thread is enough for a few sockets.
///
/// # Errors
///
/// The error of `command`.
pub fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("couldn't start the runtime")?;
    let outcome = runtime.block_on(command);
    // Do not wait for a blocking read (a terminal, a pipe) that may never end.
    runtime.shutdown_background();
    outcome
}
