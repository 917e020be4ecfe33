//! The settings of `app check` and `app verify` if nothing but a running `app dev` is set up.

use std::path::Path;

use client::dev_dir::{
    API_URL_FILE, DATABASE_URL_FILE, SECRET_FILE, STORAGE_FOLDER, TOKEN_FILE, dev_dir, read_dev_file,
};
use config::{Config, Environment, Fault, Role, Sources};

/// The settings, with those of a running `app dev` if neither a database nor an API is set. Takes all of them or none, so
/// that `app dev` is never mixed with another environment.
pub(super) fn load(sources: &Sources) -> (Config, Vec<Fault>) {
    Config::load_lenient(Role::Check, &self::sources(sources))
}

/// `sources`, or those of a running `app dev`.
pub fn sources(sources: &Sources) -> Sources {
    let (config, _faults) = Config::load_lenient(Role::Check, sources);
    let in_development = config.environment.is_development() || config.environment_is_assumed;
    if config.database.url.is_some() || config.client.url.is_some() || !in_development {
        return sources.clone();
    }
    running(&dev_dir(config.client.dev_dir.as_deref()), sources).unwrap_or_else(|| sources.clone())
}

/// The settings that a running `app dev` has written to its folder.
fn running(folder: &Path, sources: &Sources) -> Option<Sources> {
    let read = |name: &str| read_dev_file(folder, name).ok().flatten();
    let (database, api, token) = (read(DATABASE_URL_FILE)?, read(API_URL_FILE)?, read(TOKEN_FILE)?);
    let sources = sources
        .clone()
        .with_default_environment(Environment::Development)
        .with_value("DATABASE_URL", &database)
        .with_value("DIRECT_URL", &database)
        .with_value("STORAGE_URL", folder.join(STORAGE_FOLDER).display().to_string())
        .with_value("APP_URL", &api)
        .with_value("API_PUBLIC_URL", api)
        .with_value("APP_TOKEN", token);
    Some(match read(SECRET_FILE) {
        Some(secret) => sources.with_value("SUPABASE_JWT_SECRET", secret),
        None => sources,
    })
}
