//! Postgres URLs as people and platforms write them, and what they say about the place they lead to.
//!
//! tokio-postgres refuses parameters that other programs put into the same variable, and its errors can repeat the
//! URL; so the URL is read here, and tokio-postgres gets a finished [`tokio_postgres::Config`].

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use tokio_postgres::config::SslMode;

mod error;
mod parse;
mod supabase;

pub use error::UrlError;
pub use supabase::PoolerMode;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS. The default for loopback addresses and sockets; nothing else gets it without asking.
    Disable,
    /// Encrypted, but anyone may be at the other end.
    Require,
    /// The certificate comes from a trusted authority; the name in it may be any.
    VerifyCa,
    /// The certificate comes from a trusted authority and names the host. The default.
    VerifyFull,
}

/// The `sslmode` that a URL states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatedMode {
    Disable,
    /// `allow` and `prefer`: encrypt if you can, check nothing.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// One place where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    Tcp { host: String, port: u16 },
    Socket { folder: PathBuf, port: u16 },
}

/// A checked Postgres URL. `Display` and `Debug` never show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    config: tokio_postgres::Config,
    /// At least one.
    endpoints: Vec<Endpoint>,
    stated: Option<StatedMode>,
    ca_file: Option<PathBuf>,
    ignored: Vec<String>,
}

impl DatabaseUrl {
    /// Reads a URL such as `postgres://app:secret@db.example.com:5432/app?sslmode=verify-full`, several hosts, or a
    /// socket's folder: `postgresql://app:secret@%2Frun%2Fpostgresql:5432/app`, `postgres:///app?host=/run/postgresql`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong without repeating any part of the URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        parse::parse(text)
    }

    /// What tokio-postgres connects with. TLS is required whenever [`tls_mode`](Self::tls_mode) is not `Disable`;
    /// the connector of [`make_tls`](crate::tls::make_tls) does the checking.
    pub fn to_config(&self) -> tokio_postgres::Config {
        let mut config = self.config.clone();
        config.ssl_mode(match self.tls_mode() {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        config
    }

    /// How connections are protected.
    ///
    /// Without `sslmode`: `verify-full`, but off where the packets stay on this machine. `prefer` and `allow` ask for
    /// TLS without checks wherever it is offered; here that is `require` for a remote host, because falling back to
    /// plain text is what somebody on the path would arrange, and off on this machine. `require` with an authority's
    /// file checks the chain, as libpq does. Sockets have no TLS.
    pub fn tls_mode(&self) -> TlsMode {
        if self.endpoints.iter().all(|e| matches!(e, Endpoint::Socket { .. })) {
            return TlsMode::Disable;
        }
        match self.stated {
            Some(StatedMode::Disable) => TlsMode::Disable,
            None | Some(StatedMode::Prefer) if self.is_local() => TlsMode::Disable,
            Some(StatedMode::Require) if self.ca_file.is_some() => TlsMode::VerifyCa,
            Some(StatedMode::Prefer | StatedMode::Require) => TlsMode::Require,
            Some(StatedMode::VerifyCa) => TlsMode::VerifyCa,
            None | Some(StatedMode::VerifyFull) => TlsMode::VerifyFull,
        }
    }

    /// The file of trusted authorities: the URL's `sslrootcert`, else the one of [`with_ca_file`](Self::with_ca_file).
    /// `None`: the operating system's.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Trusts the authorities in `file`, unless the URL names a file itself.
    #[must_use]
    pub fn with_ca_file(mut self, file: PathBuf) -> Self {
        self.ca_file.get_or_insert(file);
        self
    }

    /// Parameters of the URL that mean something to other programs and nothing here, by name.
    pub fn ignored_parameters(&self) -> &[String] {
        &self.ignored
    }

    /// The first host's name or address, or the folder of its socket.
    pub fn host(&self) -> String {
        match self.first() {
            Endpoint::Tcp { host, .. } => host.clone(),
            Endpoint::Socket { folder, .. } => folder.display().to_string(),
        }
    }

    /// The first host's port.
    pub fn port(&self) -> u16 {
        match self.first() {
            Endpoint::Tcp { port, .. } | Endpoint::Socket { port, .. } => *port,
        }
    }

    /// The address to connect to in place of the first host's (`hostaddr`), if the URL has one.
    pub fn address(&self) -> Option<IpAddr> {
        self.config.get_hostaddrs().first().copied()
    }

    /// The user to log in as; `None`: the operating system's, by socket only.
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// The database; Postgres takes the user's name where the URL has none.
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname().or_else(|| self.user())
    }

    /// Whether the first host is reached through a Unix socket.
    pub fn is_socket(&self) -> bool {
        matches!(self.first(), Endpoint::Socket { .. })
    }

    /// Whether every host is this machine: a loopback address or a socket. A `hostaddr` counts too, since it, and not
    /// the name beside it, is where the packets go.
    pub fn is_local(&self) -> bool {
        let here = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp { host, .. } => is_loopback(host),
            Endpoint::Socket { .. } => true,
        };
        self.endpoints.iter().all(here) && self.config.get_hostaddrs().iter().all(IpAddr::is_loopback)
    }

    /// `text` with the password, should it stand in there, replaced by `***`.
    pub(super) fn without_password(&self, text: &str) -> String {
        match self.config.get_password().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            // A password of a letter or two would blank out half a sentence and still be no secret.
            Some(password) if password.len() > 3 => text.replace(password, "***"),
            _ => text.to_owned(),
        }
    }

    fn first(&self) -> &Endpoint {
        // Unwrap safety: `parse` refuses a URL without a host.
        &self.endpoints[0]
    }
}

/// Whether `host` is this machine, by name or address.
pub fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.user() {
            encode(f, user)?;
            f.write_str(if self.config.get_password().is_some() { ":***@" } else { "@" })?;
        }
        for (n, endpoint) in self.endpoints.iter().enumerate() {
            if n > 0 {
                f.write_char(',')?;
            }
            match endpoint {
                Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}")?,
                Endpoint::Tcp { host, port } => write!(f, "{host}:{port}")?,
                Endpoint::Socket { folder, port } => {
                    encode(f, &folder.display().to_string())?;
                    write!(f, ":{port}")?;
                }
            }
        }
        if let Some(database) = self.config.get_dbname() {
            f.write_char('/')?;
            encode(f, database)?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self}, tls {:?}, ca_file {:?})", self.tls_mode(), self.ca_file)
    }
}

/// Percent-encodes what would mean something else within a URL.
fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => f.write_char(byte.into())?,
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
