//! The last stage of the path to the database: the encrypted connection and the login, as the roles make them.

use super::{
    super::{
        certificate::{ENOUGH_DAYS, days_left},
        check::{Cause, Context, Outcome, UrlPath, declare},
    },
    network::PROTOCOL,
};
use domain::Code;
use pg::{
    connect_error::classify,
    url::{DatabaseUrl, TlsMode},
};

declare! {
    ENCRYPTION = each_url("net.tls", "the connection is encrypted as the URL requires.", encryption).needs(&[&PROTOCOL]);
    TLS_REQUIRED = connection("required", Code::TlsRequired);
    TLS_UNSUPPORTED = connection("unsupported", Code::TlsUnsupported);
    TLS_UNTRUSTED = error("untrusted",
        "The server's certificate was signed by an authority that is not trusted here, or the file of authorities cannot be used.",
        "Name a readable file with the authority's certificate in DATABASE_CA_FILE or sslrootcert.");
    TLS_NAME = connection("name_mismatch", Code::TlsNameMismatch);
    TLS_EXPIRED = connection("expired", Code::TlsExpired);
    TLS_FAILED = connection("failed", Code::TlsFailed);
    TLS_ENDS_SOON = warning("ends_soon",
        "The server's certificate ends within 30 days; then every process that checks it loses the database.",
        "Renew the certificate on the server; a managed host does that by itself, or announces how.");
}

declare! {
    LOGIN = each_url("db.login", "the login works.", login).needs(&[&ENCRYPTION]);
    WRONG_PASSWORD = connection("wrong_password", Code::AuthFailed);
    ROLE_MISSING = connection("role_missing", Code::RoleMissing);
    DATABASE_MISSING = connection("database_missing", Code::DatabaseMissing);
    ACCESS_REFUSED = connection("access_refused", Code::AccessRefused);
    TENANT_UNKNOWN = connection("tenant_unknown", Code::PoolerTenantUnknown);
    TOO_MANY = connection("too_many_connections", Code::TooManyConnections).may_pass();
    NOT_READY = connection("not_ready", Code::NotReady).may_pass();
    NO_LOGIN = error("failed", "The login did not succeed, for another reason.").may_pass();
}

/// Connects as the roles do. Leaves a failure that has nothing to do with TLS to `db.login`.
async fn encryption(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = path.url()?;
    let target = context.target(url).map_err(|problem| TLS_UNTRUSTED.seen(problem))?;
    let problem = target.connect(&context.setup.runtime).await.err().map(|error| classify(&error, url));
    if let Some(problem) = &problem {
        let cause = cause_of(problem.code);
        if ENCRYPTION.causes.iter().any(|of_tls| std::ptr::eq(*of_tls, cause)) {
            return Err(cause.seen(&problem.what).fix(&problem.fix));
        }
    }
    _ = path.login.set(problem);
    match days_left(target.certificate_ends_at()) {
        Some(days) if days < ENOUGH_DAYS => Err(TLS_ENDS_SOON.seen(format!("its certificate ends in {days} days"))),
        _ => Ok(protection(url).to_owned()),
    }
}

async fn login(_context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = path.url()?;
    match path.login.get() {
        Some(Some(problem)) => Err(cause_of(problem.code).seen(&problem.what).fix(&problem.fix)),
        _ => Ok(format!("logged in to {} as {}", url.database().unwrap_or("?"), url.user().unwrap_or("?"))),
    }
}

fn cause_of(code: Code) -> &'static Cause {
    match code {
        Code::TlsRequired => &TLS_REQUIRED,
        Code::TlsUnsupported => &TLS_UNSUPPORTED,
        Code::TlsUntrusted => &TLS_UNTRUSTED,
        Code::TlsNameMismatch => &TLS_NAME,
        Code::TlsExpired => &TLS_EXPIRED,
        Code::TlsFailed => &TLS_FAILED,
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

fn protection(url: &DatabaseUrl) -> &'static str {
    match url.tls_mode() {
        TlsMode::Disable if url.is_local() => "no TLS, and none is needed: the packets stay on this machine",
        TlsMode::Disable => "no TLS (sslmode=disable)",
        TlsMode::Require => "encrypted; the server's certificate is not checked (sslmode=require)",
        TlsMode::VerifyCa => "encrypted; the certificate's authority is trusted, its name is not checked",
        TlsMode::VerifyFull => "encrypted; the certificate's authority and name are checked",
    }
}
