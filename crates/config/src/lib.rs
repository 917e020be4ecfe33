//! Settings: files, then the environment, parsed into types, with every fault in one list.
//!
//! [`Config::load`] reads, weakest first: `default.toml` and `{environment}.toml` (on disk, else as built in), `.env` in
//! development, the environment's variables. [`VARIABLES`] is the table of all settings, from which docs/configuration.md
//! and `.env.example` are made.
//!
//! *Must not know:* what the settings are for. It opens no connection and no file except its own; the environment is handed
//! in, so tests set no variables of the process.

mod auth;
mod client;
mod database;
mod describe;
mod embedder;
mod environment;
mod fault;
mod files;
mod http;
mod layers;
mod near;
mod parser;
mod platform;
mod reader;
mod retention;
mod secret;
mod sources;
mod storage;
mod telemetry;
#[cfg(test)]
mod tests;
mod uploads;
mod validate;
mod values;
mod variables;
mod worker;

pub use self::{
    auth::Auth,
    client::Client,
    database::Database,
    describe::{render_env_example, render_markdown_table},
    embedder::Embedder,
    environment::{Environment, Role},
    fault::{ConfigError, Fault},
    http::Http,
    parser::{Parser, ParserChoice},
    platform::Platform,
    retention::Retention,
    secret::Secret,
    sources::Sources,
    storage::{S3Location, Storage, StorageLocation},
    telemetry::Telemetry,
    uploads::Uploads,
    variables::{SECTIONS, Secrecy, VARIABLES, Variable, variable},
    worker::Worker,
};

use layers::Layers;
use reader::Reader;

/// All settings. Every role has every section: what it does not read from the environment holds the files' values.
///
/// `Debug` shows everything but secrets and is fit for the start-up line.
#[derive(Debug, Clone)]
pub struct Config {
    /// What this process does.
    pub role: Role,
    /// Which deployment it belongs to.
    pub environment: Environment,
    /// Whether `ENVIRONMENT` is missing or unusable, and production's rules were applied. Only ever true from
    /// [`load_lenient`](Self::load_lenient), and for clients, which belong to no environment.
    pub environment_is_assumed: bool,
    /// The log.
    pub telemetry: Telemetry,
    /// Postgres.
    pub database: Database,
    /// The API's listener and bounds.
    pub http: Http,
    /// Bounds of uploads.
    pub uploads: Uploads,
    /// Whose tokens are taken.
    pub auth: Auth,
    /// Where documents are kept.
    pub storage: Storage,
    /// The queue's timing.
    pub worker: Worker,
    /// How long what is kept.
    pub retention: Retention,
    /// Parsing.
    pub parser: Parser,
    /// Embedding.
    pub embedder: Embedder,
    /// The command line's API.
    pub client: Client,
    /// What the platform says.
    pub platform: Platform,
    /// What is doubtful and stops nothing: misspelt variables, unchecked certificates.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// Loads what `role` needs.
    ///
    /// # Errors
    ///
    /// Every fault in one list; the process must end (exit code 2) before anything else.
    pub fn load(role: Role, sources: &Sources) -> Result<Self, ConfigError> {
        let (config, faults) = Self::load_lenient(role, sources);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
    }

    /// As [`load`](Self::load), for `app check`, to which faults are findings: what cannot be used has its default,
    /// or is `None`.
    pub fn load_lenient(role: Role, sources: &Sources) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let layers = Layers::resolve(sources, role, &mut faults);
        let mut reader = Reader::new(role, &layers);
        let mut config = Self::read(&mut reader);
        faults.append(&mut reader.faults);
        config.warnings = near::misspelt(&layers.names);
        validate::validate(&mut config, &mut faults);
        (config, faults)
    }

    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            role: r.role,
            environment: r.layers.environment,
            environment_is_assumed: r.layers.environment_is_assumed,
            telemetry: Telemetry::read(r),
            database: Database::read(r),
            http: Http::read(r),
            uploads: Uploads::read(r),
            auth: Auth::read(r),
            storage: Storage::read(r),
            worker: Worker::read(r),
            retention: Retention::read(r),
            parser: Parser::read(r),
            embedder: Embedder::read(r),
            client: Client::read(r),
            platform: Platform::read(r),
            warnings: Vec::new(),
        }
    }
}
