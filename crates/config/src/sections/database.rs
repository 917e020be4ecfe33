use super::*;
use ::pg::url::DatabaseUrl;

settings! {
    /// How to reach Postgres.
    Database in "database", titled "Database";

    /// Postgres, directly or through a pooler in either mode. `sslmode` and `sslrootcert` are honoured; TLS is
    /// `verify-full` unless the host is this machine.
    DATABASE_URL[DATABASE] url: DatabaseUrl = parsed, secret "postgres://app:PASSWORD@db.example.com:5432/app";
    /// The same database by a connection that keeps its session, for migrations and LISTEN. Needed where
    /// `DATABASE_URL` goes through a pooler in transaction mode; without it workers poll.
    DIRECT_URL[DATABASE] direct_url: DatabaseUrl = parsed, secret "postgres://app:PASSWORD@db.example.com:5432/app";
    /// A streaming replica of the same database. Searches and lists of the API go there while it is no further behind than
    /// `READ_MAX_LAG`, and to `DATABASE_URL` otherwise. One server, not several behind a balancer.
    READ_DATABASE_URL[REPLICA] read_url: DatabaseUrl = parsed, secret "postgres://app:PASSWORD@replica.example.com:5432/app";
    /// Seconds after which what was written is seen by searches and lists, with `READ_DATABASE_URL`; without it, at once.
    READ_MAX_LAG[REPLICA] read_max_lag: Duration = seconds(0.2..=60.0), default "2";
    /// PEM file of the authorities that may sign the server's certificate, instead of the system's. Supabase needs it.
    DATABASE_CA_FILE[DATABASE] ca_file: PathBuf = path, optional "/etc/app/prod-ca.crt";
    /// Connections that one process may hold.
    DATABASE_POOL_SIZE[BOTH] pool_size: usize = whole(1..=1000), default "10";
    /// Seconds to wait for a new connection.
    DATABASE_CONNECT_TIMEOUT[SERVERS] connect_timeout: Duration = seconds(0.1..=300.0), default "5";
    /// Seconds to wait for a free connection of the pool.
    DATABASE_POOL_TIMEOUT[BOTH] pool_timeout: Duration = seconds(0.1..=300.0), default "5";
    /// Seconds after which a connection is replaced; `0`: never.
    DATABASE_MAX_AGE[BOTH] max_age: Duration = seconds(0.0..=86_400.0), default "1800";
    /// Connections that the pooler behind `DATABASE_URL` grants to clients, for the budget of `app check`; `0`: the
    /// server's own limit, which does not count behind a pooler.
    DATABASE_CONNECTION_LIMIT[CHECK] connection_limit: u32 = whole(0..=1_000_000), default "0", example "200";
}

impl Database {
    /// Adds `DATABASE_CA_FILE` to the URLs that name no file themselves.
    pub(crate) fn complete(mut self) -> Self {
        if let Some(file) = &self.ca_file {
            for url in [&mut self.url, &mut self.direct_url, &mut self.read_url] {
                *url = url.take().map(|url| url.with_ca_file(file.clone()));
            }
        }
        self
    }

    /// The URL for everything that needs no session: it may lead through a pooler in transaction mode.
    ///
    /// # Errors
    ///
    /// `DATABASE_URL` is not set. [`Config::load`](crate::Config::load) rules this out for the roles that need it.
    pub fn url(&self) -> Result<&DatabaseUrl, ConfigError> {
        self.url.as_ref().ok_or_else(|| ConfigError(vec![Fault::missing(&Self::DATABASE_URL)]))
    }

    /// The URL for LISTEN and migrations, which need a session: `DIRECT_URL`, else `DATABASE_URL`, whose session mode the
    /// caller has to probe first.
    ///
    /// # Errors
    ///
    /// Neither is set.
    pub fn session_url(&self) -> Result<&DatabaseUrl, ConfigError> {
        self.direct_url.as_ref().map_or_else(|| self.url(), Ok)
    }
}
