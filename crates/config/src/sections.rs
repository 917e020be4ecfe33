//! The sections of the configuration, one in each file. A setting is declared only here.

mod auth;
mod client;
mod database;
mod embedder;
mod http;
mod money;
mod parser;
mod platform;
mod rerank;
mod retention;
mod storage;
mod telemetry;
mod uploads;
mod worker;

pub use self::{
    auth::Auth,
    client::Client,
    database::Database,
    embedder::{EmbedProvider, Embedder, Precision},
    http::Http,
    money::Money,
    parser::{OcrChoice, Parser, ParserChoice},
    platform::Platform,
    rerank::Rerank,
    retention::Retention,
    storage::Storage,
    telemetry::Telemetry,
    uploads::Uploads,
    worker::Worker,
};

// For the sections, which import all of this module.
use std::{path::PathBuf, time::Duration};

use ::domain::named;
use url::Url;

use super::{
    environment::{Environment, roles},
    fault::{ConfigError, Fault},
    location::StorageLocation,
    reader::Reader,
    secret::Secret,
    setting::{Group, Secrecy, Variable, settings},
    values::*,
};

/// Every section's settings, in the order of the documentation.
pub(crate) static GROUPS: [Group; 14] = [
    Telemetry::GROUP,
    Database::GROUP,
    Http::GROUP,
    Uploads::GROUP,
    Auth::GROUP,
    Storage::GROUP,
    Worker::GROUP,
    Retention::GROUP,
    Parser::GROUP,
    Embedder::GROUP,
    Money::GROUP,
    Rerank::GROUP,
    Client::GROUP,
    Platform::GROUP,
];

/// All settings.
pub(crate) fn variables() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|group| group.variables)
}

/// The variable of that name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    variables().find(|variable| variable.name == name)
}
