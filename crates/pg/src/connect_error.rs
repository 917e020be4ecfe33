//! Explains why a connection to Postgres failed and what to do: one line for a log, three for `app check`.

use std::{error::Error, io};

use tokio_postgres::error::{DbError, SqlState};

use super::{
    probe::SessionMode,
    url::{DatabaseUrl, is_loopback},
};
use domain::Code;

#[cfg(test)]
mod tests;

/// What a failed connection with this code means and what to do, whichever URL was used.
pub const fn advice(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Unreachable => (
            "No Postgres server answers there: the server is down, the port is wrong, or a firewall blocks the connection.",
            "Check the host and port in the URL, that the server runs, and that it admits this machine's address.",
        ),
        Code::Dns => (
            "The host name has no address: it is misspelt, the project is paused or deleted, or DNS is down.",
            "Copy the URL again from the database's dashboard.",
        ),
        Code::Ipv6Only => (
            "The host has only an IPv6 address, and this machine has no IPv6 route.",
            "Use a host that has an IPv4 address, such as the database's connection pooler.",
        ),
        Code::TlsRequired => (
            "The server accepts only encrypted connections, and the URL or the default switches TLS off.",
            "Put sslmode=verify-full into the URL (or remove sslmode=disable).",
        ),
        Code::TlsUnsupported => (
            "The server does not support TLS.",
            "Switch TLS on in the server. On a private network only, you can put sslmode=disable into the URL.",
        ),
        Code::TlsUntrusted => (
            "The server's certificate was signed by an authority that is not trusted here.",
            "Download the database's CA certificate and name the file in DATABASE_CA_FILE \
             (Supabase: Project Settings → Database → SSL Configuration).",
        ),
        Code::TlsNameMismatch => (
            "The server's certificate is for other names than the host in the URL.",
            "Use a host name from the certificate. If the host cannot be changed, use sslmode=verify-ca.",
        ),
        Code::TlsExpired => (
            "The server's certificate is not valid at the time on this machine's clock.",
            "Renew the certificate, or correct this machine's clock.",
        ),
        Code::TlsFailed => (
            "The encrypted connection could not be set up.",
            "Check that the port belongs to Postgres, and that the server supports TLS 1.2 or 1.3.",
        ),
        Code::AuthFailed => (
            "The user or the password is wrong.",
            "Correct the user and the password in the URL. Special characters in the password must be percent-encoded \
             (@ is %40, / is %2F).",
        ),
        Code::RoleMissing => (
            "The role does not exist on this server, or may not log in.",
            "Correct the user in the URL, or create the role with LOGIN.",
        ),
        Code::AccessRefused => (
            "The server's rules do not admit this user, database or address.",
            "Add this machine's address to the allow-list (pg_hba.conf), or use a user and database that it admits.",
        ),
        Code::DatabaseMissing => (
            "The server has no database of this name.",
            "Correct the name after the last / in the URL, or create the database.",
        ),
        Code::TooManyConnections => (
            "Every connection that the server or its pooler allows is in use.",
            "Lower DATABASE_POOL_SIZE or the number of instances, or connect through a pooler in transaction mode.",
        ),
        Code::PoolerTenantUnknown => (
            "The pooler does not know this project: the user lacks its reference, the region is wrong, or the project is \
             paused.",
            "The user must be postgres.<project reference> and the host that of the project's region; copy the URL \
             again from Connect → Transaction pooler.",
        ),
        Code::NotReady => ("The server is starting, stopping or recovering.", "Wait; the connection is tried again."),
        _ => ("The cause is not one of the known ones.", "See the server's log."),
    }
}

/// A failed connection, explained in one line. Contains no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({code}): {why} {fix}")]
pub struct ConnectProblem {
    /// The cause; [`Code::DatabaseError`] where it is not one of the known ones.
    pub code: Code,
    /// What happened, with host and port.
    pub what: String,
    /// What it means.
    pub why: String,
    /// What to do, naming the setting.
    pub fix: String,
}

/// Explains `error`, which occurred while connecting to `url`: a [`tokio_postgres::Error`], or an error that has one, an
/// [`io::Error`] or a [`rustls::Error`] among its sources.
pub fn classify(error: &(dyn Error + 'static), url: &DatabaseUrl) -> ConnectProblem {
    let code = cause_of(error, url);
    let message = url.without_password(&innermost_message(error));
    let place = if url.is_socket() {
        format!("the socket in {} (port {})", url.host(), url.port())
    } else {
        format!("{}:{}", url.host(), url.port())
    };
    let (why, fix) = advice_for(code, url);
    ConnectProblem { code, what: format!("Connecting to {place} failed: {message}"), why, fix }
}

/// `error` and its sources, outermost first. `source` of an [`io::Error`] skips the error that it wraps, so that is added.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| next_source(error))
}

fn next_source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The innermost message, which says the most.
fn innermost_message(error: &(dyn Error + 'static)) -> String {
    match chain(error).find_map(|e| e.downcast_ref::<DbError>()) {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => chain(error).last().map(ToString::to_string).unwrap_or_default(),
    }
}

fn cause_of(error: &(dyn Error + 'static), url: &DatabaseUrl) -> Code {
    for source in chain(error) {
        if let Some(db) = source.downcast_ref::<DbError>() {
            return cause_of_answer(db);
        }
        if let Some(tls) = source.downcast_ref::<rustls::Error>() {
            return cause_of_handshake(tls);
        }
        if source.is::<tokio::time::error::Elapsed>() {
            return Code::Unreachable;
        }
        if let Some(io) = source.downcast_ref::<io::Error>()
            && io.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
        {
            return cause_of_io(io, url);
        }
    }
    // tokio-postgres has no types for these, only texts.
    let text = chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if text.contains("does not support TLS") {
        Code::TlsUnsupported
    } else if text.contains("password missing") || text.contains("authentication error") {
        Code::AuthFailed
    } else if text.contains("TLS handshake") {
        Code::TlsFailed
    } else if text.contains("timeout") || text.contains("connection closed") {
        Code::Unreachable
    } else {
        Code::DatabaseError
    }
}

/// The cause behind an error response of the server or a pooler.
fn cause_of_answer(db: &DbError) -> Code {
    let message = db.message().to_ascii_lowercase();
    let code = db.code();
    // Poolers send their own texts under general codes (XX000, 08P01), so the texts are checked first.
    if message.contains("tenant") && message.contains("not found") {
        Code::PoolerTenantUnknown
    } else if *code == SqlState::TOO_MANY_CONNECTIONS
        || message.contains("max clients")
        || message.contains("max_client_conn")
        || message.contains("no more connections allowed")
    {
        Code::TooManyConnections
    } else if requires_tls(&message) {
        Code::TlsRequired
    } else if message.contains("no pg_hba.conf entry") || message.contains("pg_hba.conf rejects") {
        Code::AccessRefused
    } else if message.contains("role")
        && (message.ends_with("does not exist") || message.ends_with("not permitted to log in"))
    {
        Code::RoleMissing
    } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        Code::AuthFailed
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        Code::DatabaseMissing
    } else if *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::ADMIN_SHUTDOWN {
        Code::NotReady
    } else {
        Code::DatabaseError
    }
}

/// Whether the message says that TLS is required: Postgres from version 12, earlier versions, and hosting services.
fn requires_tls(message: &str) -> bool {
    (message.contains("pg_hba.conf") && (message.ends_with("no encryption") || message.ends_with("ssl off")))
        || message.contains("connection is insecure")
        || message.contains("ssl connection is required")
        || message.contains("ssl required")
        || message.contains("sslmode=require")
}

fn cause_of_handshake(tls: &rustls::Error) -> Code {
    use rustls::CertificateError as Certificate;
    match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Code::TlsNameMismatch,
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => Code::TlsExpired,
            _ => Code::TlsUntrusted,
        },
        _ => Code::TlsFailed,
    }
}

fn cause_of_io(io: &io::Error, url: &DatabaseUrl) -> Code {
    /// "Address family not supported" in Linux's `errno.h`: the machine has no IPv6.
    const EAFNOSUPPORT: i32 = 97;
    let by_name = !url.is_socket() && url.host().parse::<std::net::Ipv4Addr>().is_err() && !is_loopback(&url.host());
    let no_route = matches!(io.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
        || io.raw_os_error() == Some(EAFNOSUPPORT);
    if no_route && by_name {
        Code::Ipv6Only
    } else if io.to_string().contains("failed to lookup address") {
        Code::Dns
    } else {
        Code::Unreachable
    }
}

/// `why` and `fix` of a [`ConnectProblem`].
fn advice_for(code: Code, url: &DatabaseUrl) -> (String, String) {
    let (why, fix) = advice(code);
    match (code, url.project_ref()) {
        (Code::Unreachable, _) if url.is_socket() => (
            "No server listens on this socket.".to_owned(),
            "Start the server, or correct the socket's folder and port in the URL.".to_owned(),
        ),
        (Code::Ipv6Only, _) => (why.to_owned(), ipv4_advice(url)),
        (Code::AuthFailed, Some(project)) if url.is_supabase_pooler() => {
            (why.to_owned(), format!("{fix} Through this pooler the user is postgres.{project}."))
        }
        _ => (why.to_owned(), fix.to_owned()),
    }
}

/// What to do about a host with only an IPv6 address: use the pooler's URLs, which contain the project's reference.
pub fn ipv4_advice(url: &DatabaseUrl) -> String {
    let pooler = |mode| url.suggested_pooler_url(mode);
    match (pooler(SessionMode::Transaction), pooler(SessionMode::Session)) {
        (Some(transaction), Some(session)) => format!(
            "Use the pooler, which has an IPv4 address (copy its host, which contains the region, from Connect): \
             DATABASE_URL={transaction} and DIRECT_URL={session}."
        ),
        _ => advice(Code::Ipv6Only).1.to_owned(),
    }
}
