//! The last stage of the way to the database: the encrypted connection and the login, as the roles make them.

use super::{
    super::check::{Cause, Check, Context, Outcome, UrlPath, causes},
    network::PROTOCOL,
};
use domain::Code;
use pg::{
    connect_error::classify,
    url::{DatabaseUrl, TlsMode},
};

pub(crate) static ENCRYPTION: Check =
    Check::each_url("net.tls", "the connection is protected as the URL asks.", |context, path| {
        Box::pin(encryption(context, path))
    })
    .needs(&[&PROTOCOL])
    .finds(ENCRYPTION_CAUSES);
pub(crate) static LOGIN: Check =
    Check::each_url("db.login", "the login works.", |_context, path| Box::pin(login(path)))
        .needs(&[&ENCRYPTION])
        .finds(LOGIN_CAUSES);

// What to do is the connection error's to say.
causes! { ENCRYPTION_CAUSES:
    TLS_REQUIRED = error("required", "The server takes encrypted connections only, and TLS is switched off here.");
    TLS_UNSUPPORTED = error("unsupported", "The server offers no TLS.");
    TLS_UNTRUSTED = error("untrusted",
        "The server's certificate was signed by an authority that is not trusted here, or the file of authorities cannot be used.",
        "Name a readable file with the authority's certificate in DATABASE_CA_FILE or sslrootcert.");
    TLS_NAME = error("name_mismatch", "The server's certificate is for other names than the host in the URL.");
    TLS_EXPIRED = error("expired", "The server's certificate is past its time, or this machine's clock is wrong.");
    TLS_FAILED = error("failed", "The encrypted connection could not be set up.");
}

causes! { LOGIN_CAUSES:
    WRONG_PASSWORD = error("wrong_password", "User or password is wrong. Postgres does not tell which.");
    ROLE_MISSING = error("role_missing", "The server has no such role, or one that may not log in.");
    DATABASE_MISSING = error("database_missing", "The server has no database of that name.");
    ACCESS_REFUSED = error("access_refused", "The server's rules do not admit this user, database or address.");
    TENANT_UNKNOWN = error("tenant_unknown",
        "The pooler does not know this project: the user lacks its reference, the region is another, or the project is paused.");
    TOO_MANY = error("too_many_connections", "The server, or its pooler, gives out no more connections.").may_pass();
    NOT_READY = error("not_ready", "The server is starting, stopping or recovering.").may_pass();
    NO_LOGIN = error("failed", "The login did not come to its end.").may_pass();
}

/// Connects as the roles do. A failure that is not of TLS is left to `db.login`.
async fn encryption(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = path.url()?;
    let target = context.target(url).map_err(|problem| TLS_UNTRUSTED.seen(problem))?;
    let problem = target.connect(&context.setup.runtime).await.err().map(|error| classify(&error, url));
    if let Some(problem) = &problem
        && let Some(cause) = tls_cause(problem.code)
    {
        return Err(cause.seen(&problem.what).fix(&problem.fix));
    }
    _ = path.login.set(problem);
    Ok(protection(url).to_owned())
}

async fn login(path: &UrlPath<'_>) -> Outcome {
    let url = path.url()?;
    match path.login.get() {
        Some(Some(problem)) => Err(login_cause(problem.code).seen(&problem.what).fix(&problem.fix)),
        _ => Ok(format!("logged in to {} as {}", url.database().unwrap_or("?"), url.user().unwrap_or("?"))),
    }
}

fn protection(url: &DatabaseUrl) -> &'static str {
    match url.tls_mode() {
        TlsMode::Disable if url.is_local() => "no TLS, and none needed: the packets stay on this machine",
        TlsMode::Disable => "no TLS (sslmode=disable)",
        TlsMode::Require => "encrypted; the server's certificate is not checked (sslmode=require)",
        TlsMode::VerifyCa => "encrypted; the certificate's authority is trusted, its name not checked",
        TlsMode::VerifyFull => "encrypted; the certificate's authority and name are checked",
    }
}

fn tls_cause(code: Code) -> Option<&'static Cause> {
    match code {
        Code::TlsRequired => Some(&TLS_REQUIRED),
        Code::TlsUnsupported => Some(&TLS_UNSUPPORTED),
        Code::TlsUntrusted => Some(&TLS_UNTRUSTED),
        Code::TlsNameMismatch => Some(&TLS_NAME),
        Code::TlsExpired => Some(&TLS_EXPIRED),
        Code::TlsFailed => Some(&TLS_FAILED),
        _ => None,
    }
}

fn login_cause(code: Code) -> &'static Cause {
    match code {
        Code::AuthFailed => &WRONG_PASSWORD,
        Code::RoleMissing => &ROLE_MISSING,
        Code::AccessRefused => &ACCESS_REFUSED,
        Code::DatabaseMissing => &DATABASE_MISSING,
        Code::TooManyConnections => &TOO_MANY,
        Code::PoolerTenantUnknown => &TENANT_UNKNOWN,
        Code::NotReady => &NOT_READY,
        _ => &NO_LOGIN,
    }
}
