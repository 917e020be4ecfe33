//! Errors of Postgres URLs.

/// A Postgres URL that cannot be used. No message repeats any part of the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("does not begin with postgres:// or postgresql://")]
    Scheme,
    /// The project's web address, which the dashboard shows beside the database's URL.
    #[error("is a web address; the database's URL begins with postgres:// (Supabase: Connect → Connection string)")]
    WebAddress,
    /// Quotes around the URL.
    #[error("has quotes around it; leave them out")]
    Quoted,
    /// A `@`, `/` or `?` in the user or the password that is not percent-encoded.
    #[error(
        "cannot be split into user, password and host; special characters in the password must be percent-encoded \
         (@ is %40, / is %2F, ? is %3F, # is %23, : is %3A, % is %25)"
    )]
    Unencoded,
    /// A `%` that is not followed by two hex digits, or encoded bytes that are not UTF-8.
    #[error("has a % that is not followed by two hex digits of UTF-8 text; write a % itself as %25")]
    Percent,
    /// The dashboard's placeholder for the password.
    #[error("has a placeholder instead of the password")]
    Placeholder,
    /// No host.
    #[error("names no host")]
    HostMissing,
    /// A host with characters that are not allowed in host names, or an unclosed `[`.
    #[error("has a host that is neither a name, nor an address ([::1] for IPv6), nor the folder of a socket")]
    Host,
    /// Not 1 to 65535.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// No user, which TCP connections need.
    #[error("names no user")]
    UserMissing,
    /// A parameter without `=`.
    #[error("has a parameter that is not written name=value")]
    Parameter,
    /// A parameter with a value that it does not accept.
    #[error("has an invalid value for {0}")]
    ParameterValue(&'static str),
    /// An `sslmode` that does not exist.
    #[error("has an unknown sslmode; use disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// Client certificates and revocation lists. Ignoring them would make the connection less secure than the URL asks.
    #[error("asks for {0}, which this program does not support; log in with a password")]
    Unsupported(&'static str),
}
