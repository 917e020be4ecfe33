//! Parses Postgres URLs as people and platforms write them.
//!
//! tokio-postgres refuses parameters that other programs put into the same variable, and its errors can repeat the URL.
//! So the URL is parsed here, and tokio-postgres gets a complete [`tokio_postgres::Config`].

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use tokio_postgres::config::{Host, SslMode};

mod error;
mod parse;
mod supabase;

pub use error::UrlError;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS. The default for loopback addresses and sockets only.
    Disable,
    /// TLS without a check of the certificate.
    Require,
    /// TLS with a certificate from a trusted authority, for any name.
    VerifyCa,
    /// TLS with a certificate from a trusted authority for the host's name. The default.
    VerifyFull,
}

/// The `sslmode` that a URL states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatedMode {
    Disable,
    /// `allow` and `prefer`: TLS if the server supports it, without a check of the certificate.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Every byte but those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A valid Postgres URL. `Display` and `Debug` never show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// Has at least one host, and one port for each host.
    config: tokio_postgres::Config,
    stated: Option<StatedMode>,
    ca_file: Option<PathBuf>,
    ignored: Vec<String>,
}

impl DatabaseUrl {
    /// Parses a URL such as `postgres://app:secret@db.example.com:5432/app?sslmode=verify-full`. It may have several hosts,
    /// or the folder of a socket: `postgresql://app:secret@%2Frun%2Fpostgresql:5432/app`,
    /// `postgres:///app?host=/run/postgresql`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong without repeating any part of the URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        parse::parse(text)
    }

    /// The configuration for tokio-postgres. It requires TLS unless [`tls_mode`](Self::tls_mode) is `Disable`. The
    /// connector of [`make_tls`](crate::tls::make_tls) checks the certificate.
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
    /// Without `sslmode` the mode is `verify-full`, or no TLS where every host is this machine. `prefer` and `allow` also
    /// mean no TLS on this machine. For a remote host they mean `require`, since an attacker on the network could force
    /// the fallback to plain text. `require` with a CA file checks the chain, as in libpq. Sockets have no TLS.
    pub fn tls_mode(&self) -> TlsMode {
        if self.config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
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

    /// The file with the trusted authorities: the URL's `sslrootcert`, else the file of [`with_ca_file`](Self::with_ca_file).
    /// `None` stands for the operating system's authorities.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Trusts the authorities in `file` unless the URL names a file.
    #[must_use]
    pub fn with_ca_file(mut self, file: PathBuf) -> Self {
        self.ca_file.get_or_insert(file);
        self
    }

    /// The names of parameters that this program does not know and ignores.
    pub fn ignored_parameters(&self) -> &[String] {
        &self.ignored
    }

    /// The name, the address or the socket's folder of the first host.
    pub fn host(&self) -> String {
        match self.first() {
            Host::Tcp(host) => host.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        }
    }

    /// The first host's port.
    pub fn port(&self) -> u16 {
        // Unwrap safety: `parse` refuses a URL without a host, and sets a port for each.
        self.config.get_ports()[0]
    }

    /// The address (`hostaddr`) that is used instead of the first host's, if the URL has one.
    pub fn address(&self) -> Option<IpAddr> {
        self.config.get_hostaddrs().first().copied()
    }

    /// The user to log in as. `None`, for sockets only, stands for the operating system's user.
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// The name of the database. Without one, Postgres uses the user's name.
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname().or_else(|| self.user())
    }

    /// Whether the first host is a Unix socket.
    pub fn is_socket(&self) -> bool {
        matches!(self.first(), Host::Unix(_))
    }

    /// Whether every host is this machine: a loopback address or a socket. A `hostaddr` must be one too, since the
    /// connection goes there.
    pub fn is_local(&self) -> bool {
        let is_local = |host: &Host| match host {
            Host::Tcp(name) => is_loopback(name),
            Host::Unix(_) => true,
        };
        self.config.get_hosts().iter().all(is_local) && self.config.get_hostaddrs().iter().all(IpAddr::is_loopback)
    }

    /// `text` with every occurrence of the password replaced by `***`.
    pub(super) fn without_password(&self, text: &str) -> String {
        match self.config.get_password().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            // Replacing a very short password would make the text unreadable.
            Some(password) if password.len() > 3 => text.replace(password, "***"),
            _ => text.to_owned(),
        }
    }

    fn first(&self) -> &Host {
        // Unwrap safety: `parse` refuses a URL without a host.
        &self.config.get_hosts()[0]
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
            let password = if self.config.get_password().is_some() { ":***" } else { "" };
            write!(f, "{}{password}@", encode(user))?;
        }
        for (n, (host, port)) in self.config.get_hosts().iter().zip(self.config.get_ports()).enumerate() {
            if n > 0 {
                f.write_char(',')?;
            }
            match host {
                Host::Tcp(host) if host.contains(':') => write!(f, "[{host}]:{port}")?,
                Host::Tcp(host) => write!(f, "{host}:{port}")?,
                Host::Unix(folder) => write!(f, "{}:{port}", encode(&folder.to_string_lossy()))?,
            }
        }
        if let Some(database) = self.config.get_dbname() {
            write!(f, "/{}", encode(database))?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self}, tls {:?}, ca_file {:?})", self.tls_mode(), self.ca_file)
    }
}

/// Percent-encodes `text` for any part of a URL.
fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests;
