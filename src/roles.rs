//! One composition root a subcommand, and the bring-up that they share: configuration, log, runtime, stop token.

pub mod api;
pub mod check;
pub mod dev;
pub mod keys;
pub mod migrate;
pub mod parse;
mod usable;
mod wiring;
pub mod worker;

use std::{future::Future, process::ExitCode};

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::shutdown;
use config::{Config, Role, Sources};
use domain::build_info::BuildInfo;
use telemetry;

/// Threads for what blocks: files, names of hosts, chunking. Each keeps half a megabyte for the allocator (measured).
///
/// Source: ours; disks and cores were busy with fewer.
const BLOCKING_THREADS: usize = 8;

/// What every role is given.
pub struct Context {
    /// All settings.
    pub config: Config,
    /// This build.
    pub build: BuildInfo,
    /// Cancelled by the first SIGTERM or SIGINT.
    pub stop: CancellationToken,
    /// The main runtime: database connections live on it.
    pub runtime: Handle,
}

/// Loads what `role` needs, sets up the log, and runs it on a runtime of its own.
///
/// # Errors
///
/// A faulty configuration, before anything is touched; else what the role says.
pub fn run<F>(
    role: Role,
    sources: &Sources,
    build: &BuildInfo,
    work: impl FnOnce(Context) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let config = Config::load(role, sources)?;
    telemetry::init(&config.telemetry.log_level, config.telemetry.log_format, role.as_str())?;
    for warning in &config.warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("couldn't start the runtime")?;
    let outcome = runtime.block_on(async {
        let stop = shutdown::listen().context("couldn't listen for signals")?;
        tracing::info!(app.version = %build, app.environment = %config.environment, config = ?config, "app {role} starts");
        work(Context { config, build: build.clone(), stop, runtime: Handle::current() }).await
    });
    // A blocking read that never ends (DNS, a terminal) must not keep the process.
    runtime.shutdown_background();
    outcome
}
