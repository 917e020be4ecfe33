//! How to reach Postgres.

use std::{path::PathBuf, time::Duration};

use super::{
    fault::ConfigError,
    reader::{Reader, missing},
};
use pg::url::DatabaseUrl;

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    /// See [`url`](Self::url).
    pub url: Option<DatabaseUrl>,
    /// See [`session_url`](Self::session_url).
    pub direct_url: Option<DatabaseUrl>,
    /// Connections that one process may hold.
    pub pool_size: usize,
    /// Longest wait for a new connection.
    pub connect_timeout: Duration,
    /// Longest wait for a free connection of the pool.
    pub pool_timeout: Duration,
    /// Age at which a connection is replaced; zero: never.
    pub max_age: Duration,
    /// Connections that a pooler behind [`url`](Self::url) grants; 0: not known.
    pub connection_limit: u32,
}

impl Database {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let ca_file = r.path("DATABASE_CA_FILE");
        Self {
            url: url(r, "DATABASE_URL", ca_file.as_ref()),
            direct_url: url(r, "DIRECT_URL", ca_file.as_ref()),
            pool_size: r.whole("DATABASE_POOL_SIZE", 1..=1000),
            connect_timeout: r.seconds("DATABASE_CONNECT_TIMEOUT", 0.1..=300.0),
            pool_timeout: r.seconds("DATABASE_POOL_TIMEOUT", 0.1..=300.0),
            max_age: r.seconds("DATABASE_MAX_AGE", 0.0..=86_400.0),
            connection_limit: r.whole("DATABASE_CONNECTION_LIMIT", 0..=1_000_000),
        }
    }

    /// The database, perhaps through a pooler in transaction mode: for everything that needs no session.
    ///
    /// # Errors
    ///
    /// Without `DATABASE_URL`; [`Config::load`](super::Config::load) sees to it for the roles that need it.
    pub fn url(&self) -> Result<&DatabaseUrl, ConfigError> {
        self.url.as_ref().ok_or_else(|| ConfigError(vec![missing("DATABASE_URL")]))
    }

    /// The best chance of a connection that keeps its session, for LISTEN and migrations: `DIRECT_URL`, else
    /// `DATABASE_URL`, which a probe has to look at first.
    ///
    /// # Errors
    ///
    /// Without either.
    pub fn session_url(&self) -> Result<&DatabaseUrl, ConfigError> {
        self.direct_url.as_ref().map_or_else(|| self.url(), Ok)
    }
}

fn url(r: &mut Reader<'_>, name: &str, ca_file: Option<&PathBuf>) -> Option<DatabaseUrl> {
    let url = r.optional(name, |text| DatabaseUrl::parse(text).map_err(|error| error.to_string()))?;
    Some(match ca_file {
        Some(file) => url.with_ca_file(file.clone()),
        None => url,
    })
}
