//! One composition root per subcommand, and the start-up that they share: configuration, log, runtime, signals.

mod active_model;
pub mod api;
pub mod check;
pub mod dev;
pub mod estimate;
pub mod fakes;
pub mod keys;
pub mod migrate;
pub mod parse;
pub mod reembed;
mod usable;
pub mod usage;
pub mod verify;
mod wiring;
pub mod worker;

use std::{future::Future, process::ExitCode};

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::shutdown;
use config::{Config, Role, Sources};
use domain::build_info::BuildInfo;

/// Threads for blocking work: files, host names, chunking. Each costs half a megabyte (measured), and fewer kept disks and
/// cores busy.
const BLOCKING_THREADS: usize = 8;

/// What every role gets.
pub struct Context {
    /// The settings.
    pub config: Config,
    /// This build.
    pub build: BuildInfo,
    /// Cancelled by the first SIGTERM or SIGINT.
    pub stop: CancellationToken,
    /// The main runtime, which drives the database connections.
    pub runtime: Handle,
}

/// Loads the configuration of `role`, sets up the log, and runs the role on a runtime of its own.
///
/// # Errors
///
/// The configuration is wrong, before anything was done; or the role fails.
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
    // Do not wait for a blocking call (DNS, a terminal) that may never end.
    runtime.shutdown_background();
    outcome
}
