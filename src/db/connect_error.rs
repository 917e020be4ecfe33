//! Why a connection to Postgres failed, and what to do: one line for a log, three for `app check`.

use std::{error::Error, fmt, io};

use tokio_postgres::error::{DbError, SqlState};

use super::url::{DatabaseUrl, PoolerMode, is_loopback};
use crate::domain::Code;

#[cfg(test)]
mod tests;

/// What stands between us and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectCause {
    /// Refused, timed out, or cut before the server spoke.
    Unreachable,
    /// The host's name has no address.
    Dns,
    /// The host has only an IPv6 address, and this machine no way out by IPv6.
    Ipv6Only,
    /// The server wants TLS, and it was switched off.
    TlsRequired,
    /// TLS was asked for, and the server has none.
    TlsUnsupported,
    /// The certificate was signed by nobody whom we trust.
    TlsUntrusted,
    /// The certificate is another host's.
    TlsNameMismatch,
    /// The certificate is past its time, or this machine's clock is wrong.
    TlsExpired,
    /// Any other failure of the handshake.
    TlsFailed,
    /// Wrong user or password, or none.
    AuthFailed,
    /// The server knows no such role, or one that may not log in.
    RoleMissing,
    /// The server's rules (`pg_hba.conf`, allow-list) let this user, database or address not in.
    AccessRefused,
    /// No such database.
    DatabaseMissing,
    /// Every connection that the server or the pooler grants is taken.
    TooManyConnections,
    /// The pooler does not know the project: reference or region is wrong, or the project is paused.
    PoolerTenantUnknown,
    /// The server is starting, stopping or recovering.
    NotReady,
    /// None of these; the server's own words say more.
    Other,
}

impl ConnectCause {
    /// Stable name, for checks, logs and `last_error`.
    pub fn code(self) -> Code {
        match self {
            Self::Unreachable => Code::Unreachable,
            Self::Dns => Code::Dns,
            Self::Ipv6Only => Code::Ipv6Only,
            Self::TlsRequired => Code::TlsRequired,
            Self::TlsUnsupported => Code::TlsUnsupported,
            Self::TlsUntrusted => Code::TlsUntrusted,
            Self::TlsNameMismatch => Code::TlsNameMismatch,
            Self::TlsExpired => Code::TlsExpired,
            Self::TlsFailed => Code::TlsFailed,
            Self::AuthFailed => Code::AuthFailed,
            Self::RoleMissing => Code::RoleMissing,
            Self::AccessRefused => Code::AccessRefused,
            Self::DatabaseMissing => Code::DatabaseMissing,
            Self::TooManyConnections => Code::TooManyConnections,
            Self::PoolerTenantUnknown => Code::PoolerTenantUnknown,
            Self::NotReady => Code::NotReady,
            Self::Other => Code::DatabaseError,
        }
    }
}

/// A failed connection, explained. Holds no password; `Display` is one line: what, why, fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectProblem {
    /// Which of the known causes.
    pub cause: ConnectCause,
    /// What was observed, with host and port.
    pub what: String,
    /// What it means.
    pub why: String,
    /// What to do, naming the setting.
    pub fix: String,
}

impl ConnectProblem {
    /// Stable name of the cause.
    pub fn code(&self) -> Code {
        self.cause.code()
    }
}

impl fmt::Display for ConnectProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {} {}", self.what, self.code(), self.why, self.fix)
    }
}

impl Error for ConnectProblem {}

/// Explains `error`, which arose while connecting to `url`: a [`tokio_postgres::Error`], or anything that has one, an
/// [`io::Error`] or a [`rustls::Error`] among its sources (deadpool's errors, an `anyhow::Error` as `&*error`).
pub fn classify(error: &(dyn Error + 'static), url: &DatabaseUrl) -> ConnectProblem {
    let cause = cause_of(error, url);
    let said = url.without_password(&last_words(error));
    let place = if url.is_socket() {
        format!("the socket in {} (port {})", url.host(), url.port())
    } else {
        format!("{}:{}", url.host(), url.port())
    };
    let (why, fix) = advice(cause, url);
    ConnectProblem { cause, what: format!("Connecting to {place} failed: {said}"), why, fix }
}

/// The causes of `error`, outermost first. An [`io::Error`] hides the error that it wraps from `source`.
fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| next_link(error))
}

fn next_link<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The innermost message, which is the one that tells something.
fn last_words(error: &(dyn Error + 'static)) -> String {
    let words = links(error).last().map(ToString::to_string).unwrap_or_default();
    match links(error).find_map(|e| e.downcast_ref::<DbError>()) {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => words,
    }
}

fn cause_of(error: &(dyn Error + 'static), url: &DatabaseUrl) -> ConnectCause {
    for link in links(error) {
        if let Some(db) = link.downcast_ref::<DbError>() {
            return cause_of_answer(db);
        }
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            return cause_of_handshake(tls);
        }
        if link.is::<tokio::time::error::Elapsed>() {
            return ConnectCause::Unreachable;
        }
        if let Some(io) = link.downcast_ref::<io::Error>()
            && io.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
        {
            return cause_of_io(io, url);
        }
    }
    // tokio-postgres keeps these as bare texts.
    let words = links(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if words.contains("does not support TLS") {
        ConnectCause::TlsUnsupported
    } else if words.contains("password missing") || words.contains("authentication error") {
        ConnectCause::AuthFailed
    } else if words.contains("TLS handshake") {
        ConnectCause::TlsFailed
    } else if words.contains("timeout") || words.contains("connection closed") {
        ConnectCause::Unreachable
    } else {
        ConnectCause::Other
    }
}

/// What the server, or a pooler in its place, answered.
fn cause_of_answer(db: &DbError) -> ConnectCause {
    let says = db.message().to_ascii_lowercase();
    let code = db.code();
    // Poolers send their own texts under codes of little meaning (XX000, 08P01), so the texts go first.
    if says.contains("tenant") && says.contains("not found") {
        ConnectCause::PoolerTenantUnknown
    } else if *code == SqlState::TOO_MANY_CONNECTIONS
        || says.contains("max clients")
        || says.contains("max_client_conn")
        || says.contains("no more connections allowed")
    {
        ConnectCause::TooManyConnections
    } else if wants_tls(&says) {
        ConnectCause::TlsRequired
    } else if says.contains("no pg_hba.conf entry") || says.contains("pg_hba.conf rejects") {
        ConnectCause::AccessRefused
    } else if says.contains("role") && (says.ends_with("does not exist") || says.ends_with("not permitted to log in")) {
        ConnectCause::RoleMissing
    } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        ConnectCause::AuthFailed
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        ConnectCause::DatabaseMissing
    } else if *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::ADMIN_SHUTDOWN {
        ConnectCause::NotReady
    } else {
        ConnectCause::Other
    }
}

/// Whether a refusal is about plain text: Postgres 12 and later, before, and hosts that say it in their own way.
fn wants_tls(says: &str) -> bool {
    (says.contains("pg_hba.conf") && (says.ends_with("no encryption") || says.ends_with("ssl off")))
        || says.contains("connection is insecure")
        || says.contains("ssl connection is required")
        || says.contains("ssl required")
        || says.contains("sslmode=require")
}

fn cause_of_handshake(tls: &rustls::Error) -> ConnectCause {
    use rustls::CertificateError as Certificate;
    match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => ConnectCause::TlsNameMismatch,
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => ConnectCause::TlsExpired,
            _ => ConnectCause::TlsUntrusted,
        },
        _ => ConnectCause::TlsFailed,
    }
}

fn cause_of_io(io: &io::Error, url: &DatabaseUrl) -> ConnectCause {
    /// "Address family not supported": a machine without IPv6. Source: Linux, `errno.h`.
    const EAFNOSUPPORT: i32 = 97;
    let by_name = !url.is_socket() && url.host().parse::<std::net::Ipv4Addr>().is_err() && !is_loopback(&url.host());
    let no_route = matches!(io.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
        || io.raw_os_error() == Some(EAFNOSUPPORT);
    if no_route && by_name {
        ConnectCause::Ipv6Only
    } else if io.to_string().contains("failed to lookup address") {
        ConnectCause::Dns
    } else {
        ConnectCause::Unreachable
    }
}

/// Why and fix.
fn advice(cause: ConnectCause, url: &DatabaseUrl) -> (String, String) {
    let (why, fix) = match cause {
        ConnectCause::Unreachable if url.is_socket() => (
            "No server listens on this socket.",
            "Start the server, or correct the socket's folder and port in the URL.".to_owned(),
        ),
        ConnectCause::Unreachable => (
            "Nothing answers there as Postgres does: the server is down, the port is wrong, or a firewall is between.",
            "Check host and port in the URL, that the server runs, and that it admits this machine's address."
                .to_owned(),
        ),
        ConnectCause::Dns => (
            "The host's name has no address: it is misspelt, the project is paused or deleted, or DNS is down.",
            "Copy the URL again from the database's dashboard.".to_owned(),
        ),
        ConnectCause::Ipv6Only => {
            ("The host has an IPv6 address only, and this machine has no way out by IPv6.", ipv4_advice(url))
        }
        ConnectCause::TlsRequired => (
            "The server takes encrypted connections only, and the URL or the default switched TLS off.",
            "Put sslmode=verify-full into the URL (or remove sslmode=disable).".to_owned(),
        ),
        ConnectCause::TlsUnsupported => (
            "The server offers no TLS.",
            "Switch TLS on in the server; only on a private network, put sslmode=disable into the URL.".to_owned(),
        ),
        ConnectCause::TlsUntrusted => (
            "The server's certificate was signed by an authority that is not trusted here.",
            "Download the database's CA certificate and name the file in DATABASE_CA_FILE \
             (Supabase: Project Settings → Database → SSL Configuration)."
                .to_owned(),
        ),
        ConnectCause::TlsNameMismatch => (
            "The server's certificate is for other names than the host in the URL.",
            "Connect by a name in the certificate, or, if the host cannot be changed, with sslmode=verify-ca."
                .to_owned(),
        ),
        ConnectCause::TlsExpired => (
            "The server's certificate is not valid at this machine's time.",
            "Renew the certificate, or set this machine's clock.".to_owned(),
        ),
        ConnectCause::TlsFailed => (
            "The encrypted connection could not be set up.",
            "Check that the port is Postgres's own, and that the server supports TLS 1.2 or 1.3.".to_owned(),
        ),
        ConnectCause::AuthFailed => ("User or password is wrong.", password_advice(url)),
        ConnectCause::RoleMissing => (
            "The server has no such role, or one that may not log in.",
            "Correct the user in the URL, or create the role with LOGIN.".to_owned(),
        ),
        ConnectCause::AccessRefused => (
            "The server's rules do not admit this user, database or address.",
            "Add this machine's address to the allow-list (pg_hba.conf), or use the user and database meant for it."
                .to_owned(),
        ),
        ConnectCause::DatabaseMissing => (
            "The server has no database of that name.",
            "Correct the name after the last / in the URL, or create the database.".to_owned(),
        ),
        ConnectCause::TooManyConnections => (
            "The server, or its pooler, gives out no more connections.",
            "Lower DATABASE_POOL_SIZE or the number of instances, or connect through a pooler in transaction mode."
                .to_owned(),
        ),
        ConnectCause::PoolerTenantUnknown => (
            "The pooler does not know this project: the user lacks its reference, the region is another, or the project is paused.",
            "The user must be postgres.<project reference> and the host that of the project's region; copy the URL \
             again from Connect → Transaction pooler."
                .to_owned(),
        ),
        ConnectCause::NotReady => {
            ("The server is starting, stopping or recovering.", "Wait; it is tried again.".to_owned())
        }
        ConnectCause::Other => ("The server's own words are above.", "See the server's log.".to_owned()),
    };
    (why.to_owned(), fix)
}

/// What to do about a host that only IPv6 leads to: the pooler's URLs, with the project's reference filled in.
pub fn ipv4_advice(url: &DatabaseUrl) -> String {
    let (Some(transaction), Some(session)) =
        (url.suggested_pooler_url(PoolerMode::Transaction), url.suggested_pooler_url(PoolerMode::Session))
    else {
        return "Use a host that has an IPv4 address, such as the database's connection pooler.".to_owned();
    };
    format!(
        "Use the pooler, which has IPv4 (copy its host from Connect, with the project's region): \
         DATABASE_URL={transaction} and DIRECT_URL={session}."
    )
}

fn password_advice(url: &DatabaseUrl) -> String {
    let project = match url.project_ref() {
        Some(project) if url.is_supabase_pooler() => format!(" Through this pooler the user is postgres.{project}."),
        _ => String::new(),
    };
    format!(
        "Correct user and password in the URL; special characters of the password are percent-encoded \
         (@ is %40, / is %2F).{project}"
    )
}
