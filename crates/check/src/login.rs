//! The last stage of the way to the database: the encrypted connection and the login, as the roles make them.

use super::{
    Scene,
    finding::{Cause, Finding, Look},
};
use pg::{
    ConnectTarget,
    connect_error::{ConnectCause, ConnectProblem, classify},
    url::{DatabaseUrl, TlsMode},
};

pub(super) static TLS_REQUIRED: Cause =
    Cause::error("net.tls", "required", "The server takes encrypted connections only, and TLS is switched off here.");
pub(super) static TLS_UNSUPPORTED: Cause = Cause::error("net.tls", "unsupported", "The server offers no TLS.");
pub(super) static TLS_UNTRUSTED: Cause = Cause::error(
    "net.tls",
    "untrusted",
    "The server's certificate was signed by an authority that is not trusted here, or the file of authorities cannot be used.",
);
pub(super) static TLS_NAME: Cause =
    Cause::error("net.tls", "name_mismatch", "The server's certificate is for other names than the host in the URL.");
pub(super) static TLS_EXPIRED: Cause =
    Cause::error("net.tls", "expired", "The server's certificate is past its time, or this machine's clock is wrong.");
pub(super) static TLS_FAILED: Cause =
    Cause::error("net.tls", "failed", "The encrypted connection could not be set up.");
pub(super) static WRONG_PASSWORD: Cause =
    Cause::error("db.login", "wrong_password", "User or password is wrong. Postgres does not tell which.");
pub(super) static ROLE_MISSING: Cause =
    Cause::error("db.login", "role_missing", "The server has no such role, or one that may not log in.");
pub(super) static DATABASE_MISSING: Cause =
    Cause::error("db.login", "database_missing", "The server has no database of that name.");
pub(super) static ACCESS_REFUSED: Cause =
    Cause::error("db.login", "access_refused", "The server's rules do not admit this user, database or address.");
pub(super) static TENANT_UNKNOWN: Cause = Cause::error(
    "db.login",
    "tenant_unknown",
    "The pooler does not know this project: the user lacks its reference, the region is another, or the project is paused.",
);
pub(super) static TOO_MANY: Cause =
    Cause::error("db.login", "too_many_connections", "The server, or its pooler, gives out no more connections.")
        .waitable();
pub(super) static NOT_READY: Cause =
    Cause::error("db.login", "not_ready", "The server is starting, stopping or recovering.").waitable();
pub(super) static NO_LOGIN: Cause = Cause::error("db.login", "failed", "The login did not come to its end.").waitable();

/// Connects as the roles do; where the URL leads, if that worked.
pub(super) async fn check(scene: &Scene<'_>, url: &DatabaseUrl, findings: &mut Vec<Finding>) -> Option<ConnectTarget> {
    let look = Look::at("net.tls");
    let target = match scene.target(url) {
        Ok(target) => target,
        Err(problem) => {
            let fix = "Name a readable file with the authority's certificate in DATABASE_CA_FILE or sslrootcert.";
            findings.push(look.found(&TLS_UNTRUSTED, problem, fix));
            return None;
        }
    };
    let login = Look::at("db.login");
    let problem = match target.connect(&scene.runtime).await {
        Ok(_client) => None,
        Err(error) => Some(classify(&error, url)),
    };
    let tls = problem.as_ref().and_then(|problem| Some((tls_cause(problem.cause)?, problem)));
    if let Some((cause, problem)) = tls {
        findings.push(look.found(cause, &problem.what, fix(problem)));
        return None;
    }
    findings.push(look.passed(protection(url)));
    match problem {
        None => {
            let (user, database) = (url.user().unwrap_or("?"), url.database().unwrap_or("?"));
            findings.push(login.passed(format!("logged in to {database} as {user}")));
            Some(target)
        }
        Some(problem) => {
            findings.push(login.found(login_cause(problem.cause), &problem.what, fix(&problem)));
            None
        }
    }
}

fn fix(problem: &ConnectProblem) -> String {
    problem.fix.clone()
}

fn protection(url: &DatabaseUrl) -> String {
    match url.tls_mode() {
        TlsMode::Disable if url.is_local() => "no TLS, and none needed: the packets stay on this machine".to_owned(),
        TlsMode::Disable => "no TLS (sslmode=disable)".to_owned(),
        TlsMode::Require => "encrypted; the server's certificate is not checked (sslmode=require)".to_owned(),
        TlsMode::VerifyCa => "encrypted; the certificate's authority is trusted, its name not checked".to_owned(),
        TlsMode::VerifyFull => "encrypted; the certificate's authority and name are checked".to_owned(),
    }
}

fn tls_cause(cause: ConnectCause) -> Option<&'static Cause> {
    match cause {
        ConnectCause::TlsRequired => Some(&TLS_REQUIRED),
        ConnectCause::TlsUnsupported => Some(&TLS_UNSUPPORTED),
        ConnectCause::TlsUntrusted => Some(&TLS_UNTRUSTED),
        ConnectCause::TlsNameMismatch => Some(&TLS_NAME),
        ConnectCause::TlsExpired => Some(&TLS_EXPIRED),
        ConnectCause::TlsFailed => Some(&TLS_FAILED),
        ConnectCause::Unreachable
        | ConnectCause::Dns
        | ConnectCause::Ipv6Only
        | ConnectCause::AuthFailed
        | ConnectCause::RoleMissing
        | ConnectCause::AccessRefused
        | ConnectCause::DatabaseMissing
        | ConnectCause::TooManyConnections
        | ConnectCause::PoolerTenantUnknown
        | ConnectCause::NotReady
        | ConnectCause::Other => None,
    }
}

fn login_cause(cause: ConnectCause) -> &'static Cause {
    match cause {
        ConnectCause::AuthFailed => &WRONG_PASSWORD,
        ConnectCause::RoleMissing => &ROLE_MISSING,
        ConnectCause::AccessRefused => &ACCESS_REFUSED,
        ConnectCause::DatabaseMissing => &DATABASE_MISSING,
        ConnectCause::TooManyConnections => &TOO_MANY,
        ConnectCause::PoolerTenantUnknown => &TENANT_UNKNOWN,
        ConnectCause::NotReady => &NOT_READY,
        _ => &NO_LOGIN,
    }
}
