//! Settings from files and the environment, parsed into types, with all faults in one list.
//!
//! [`Config::load`] reads, weakest first: the declared defaults, `default.toml` and `{environment}.toml` (on disk, else
//! the built-in copies), `.env` in development, the environment's variables. Each setting is declared once, in its
//! section. Its reader, docs/configuration.md, `.env.example` and config/default.toml are derived from the declaration.
//!
//! *Must not know:* what the settings are for. It opens no connection and no file except its own. The environment is an
//! argument, so tests set no variables of the process.

mod env_file;
mod environment;
mod fault;
mod files;
mod fingerprint;
mod layers;
mod location;
mod near;
mod reader;
mod secret;
mod sections;
mod setting;
mod sources;
#[cfg(test)]
mod tests;
mod validate;
mod values;

pub use self::{
    environment::{Environment, Role},
    fault::{ConfigError, Fault},
    fingerprint::{Fingerprint, list_fingerprints},
    location::{S3Location, StorageLocation},
    secret::Secret,
    sections::{
        Auth, Client, Database, EmbedProvider, Embedder, Http, Money, OcrChoice, Parser, ParserChoice, Platform,
        Precision, Rerank, Retention, Storage, Telemetry, Uploads, Worker, variable,
    },
    setting::{Secrecy, Variable},
    sources::Sources,
};

use layers::Layers;
use reader::Reader;

/// All settings. Every role has every section: a setting that the role does not read from the environment has the files'
/// value.
///
/// `Debug` prints everything but secrets, for the start-up line.
#[derive(Debug, Clone)]
pub struct Config {
    /// The role of this process.
    pub role: Role,
    /// The deployment to which it belongs.
    pub environment: Environment,
    /// Whether `ENVIRONMENT` is missing or unusable, so that production's rules were applied. Can be true only from
    /// [`load_lenient`](Self::load_lenient), and for clients, which belong to no environment.
    pub environment_is_assumed: bool,
    /// The log.
    pub telemetry: Telemetry,
    /// Postgres.
    pub database: Database,
    /// The API's listener and limits.
    pub http: Http,
    /// Limits of uploads.
    pub uploads: Uploads,
    /// Which tokens are accepted.
    pub auth: Auth,
    /// Where documents are kept.
    pub storage: Storage,
    /// The queue's timing.
    pub worker: Worker,
    /// How long ended jobs and their events are kept.
    pub retention: Retention,
    /// Parsing.
    pub parser: Parser,
    /// Embedding.
    pub embedder: Embedder,
    /// Prices and caps.
    pub money: Money,
    /// The reranker.
    pub rerank: Rerank,
    /// The API that the command line uses.
    pub client: Client,
    /// What the platform states.
    pub platform: Platform,
    /// Probable mistakes that stop nothing: misspelt variables, unchecked certificates.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// Loads the settings that `role` needs.
    ///
    /// # Errors
    ///
    /// All faults in one list; the process must exit with code 2 before it does anything else.
    pub fn load(role: Role, sources: &Sources) -> Result<Self, ConfigError> {
        let (config, faults) = Self::load_lenient(role, sources);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
    }

    /// Like [`load`](Self::load), for `app check`, which reports faults as findings: a setting that cannot be used has its
    /// default, or is `None`.
    pub fn load_lenient(role: Role, sources: &Sources) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let layers = Layers::resolve(sources, role, &mut faults);
        let mut reader = Reader::new(&layers);
        let mut config = Self::read(role, &layers, &mut reader);
        faults.append(&mut reader.faults);
        validate::validate(&mut config, &mut faults);
        (config, faults)
    }

    fn read(role: Role, layers: &Layers, r: &mut Reader<'_>) -> Self {
        let mut config = Self {
            role,
            environment: layers.environment(),
            environment_is_assumed: layers.stated_environment.is_none(),
            telemetry: Telemetry::read(r),
            database: Database::read(r).complete(),
            http: Http::read(r),
            uploads: Uploads::read(r),
            auth: Auth::read(r),
            storage: Storage::read(r).complete(r),
            worker: Worker::read(r),
            retention: Retention::read(r),
            parser: Parser::read(r).complete(r),
            embedder: Embedder::read(r),
            money: Money::read(r),
            rerank: Rerank::read(r),
            client: Client::read(r),
            platform: Platform::read(r),
            warnings: near::misspelt(&layers.names),
        };
        config.http = config.http.complete(r, config.platform.external_url.clone());
        config
    }
}
