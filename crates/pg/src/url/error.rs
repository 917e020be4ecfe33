//! What can be wrong with a Postgres URL.

/// A Postgres URL that cannot be used. No message repeats any part of the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a Postgres URL at all.
    #[error("does not begin with postgres:// or postgresql://")]
    Scheme,
    /// Somebody took the wrong field of a dashboard.
    #[error("is a web address; the database's URL begins with postgres:// (Supabase: Connect → Connection string)")]
    WebAddress,
    /// Copied with its quotes.
    #[error("has quotes around it; leave them out")]
    Quoted,
    /// A raw `@`, `/` or `?` in the user or the password.
    #[error(
        "cannot be split into user, password and host; a special character of the password must be percent-encoded \
         (@ is %40, / is %2F, ? is %3F, # is %23, : is %3A, % is %25)"
    )]
    Unencoded,
    /// A `%` that begins no code, or a code that is no UTF-8.
    #[error("has a % that is not followed by two hex digits of UTF-8 text; a % itself is written %25")]
    Percent,
    /// The dashboard's template.
    #[error("still has a placeholder where the password belongs")]
    Placeholder,
    /// No host.
    #[error("names no host")]
    HostMissing,
    /// A host with characters that no host name has, or an unclosed `[`.
    #[error("has a host that is neither a name, an address ([::1] for IPv6) nor a socket's folder")]
    Host,
    /// Not 1 to 65535.
    #[error("has a port that is no number from 1 to 65535")]
    Port,
    /// Needed over TCP.
    #[error("names no user")]
    UserMissing,
    /// A parameter without `=`.
    #[error("has a parameter that is not written name=value")]
    Parameter,
    /// A parameter whose value is not one of its own.
    #[error("has a value for {0} that cannot be used")]
    ParameterValue(&'static str),
    /// An `sslmode` that does not exist.
    #[error("has an unknown sslmode; there are disable, prefer, require, verify-ca and verify-full")]
    SslMode,
    /// Client certificates and revocation lists; leaving them out quietly would weaken what was asked for.
    #[error("asks for {0}, which this program does not support; log in with a password")]
    Unsupported(&'static str),
}
