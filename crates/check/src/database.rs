//! What the database server is, and whether this login can do the system's work on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    Scene, budget,
    catalogue::Group,
    finding::{Cause, Finding, Look},
    login, session_mode,
};
use pg::{
    Db, DbError,
    server::{ServerFacts, get_server_facts, get_server_time, list_tables_of_others},
};
use store::gauges::get_oldest_transaction;

/// The oldest server that the schema works on. Source: `NULLS NOT DISTINCT`-free SQL and pgvector's own minimum; tested on 15 and 18.
const MIN_VERSION: i32 = 150_000;
/// Clocks may differ by this much. Source: pg-boss's bound on skew is of this order; tokens and leases are in seconds.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// A transaction open for longer holds back every vacuum. Source: ours; no statement of this system takes minutes.
const OLD_TRANSACTION_SECONDS: i64 = 3600;

pub(super) static NO_ANSWER: Cause =
    Cause::error("db.version", "no_answer", "The login worked, but a plain question got no answer.").waitable();
static TOO_OLD: Cause = Cause::error("db.version", "too_old", "The server is older than PostgreSQL 15.");
static READ_ONLY: Cause = Cause::error(
    "db.writable",
    "read_only",
    "The database takes no writes: a replica, or a host that switched to read-only, as some do when the disk is full.",
)
.waitable();
static EXTENSION_MISSING: Cause =
    Cause::error("db.extension", "missing", "The server does not offer pgvector, without which there are no vectors.");
static EXTENSION_NOT_CREATED: Cause =
    Cause::error("db.extension", "not_created", "pgvector is offered by the server, but not created in this database.")
        .waitable();
static NOT_OWNER: Cause = Cause::error(
    "db.role",
    "row_security_applies",
    "This role neither owns the tables nor bypasses row-level security: it would see no rows, and no error.",
);
static SKEW: Cause = Cause::warning(
    "db.clock",
    "skew",
    "This machine's clock and the database's differ: tokens and signed URLs expire early or late.",
);
static OLD_TRANSACTION: Cause = Cause::warning(
    "db.horizon",
    "old_transaction",
    "A transaction has been open for over an hour: no vacuum removes what has died since, and the queue slows down.",
);

pub(super) const GROUP: Group = Group {
    name: "database",
    checks: &[
        ("db.login", "the login works."),
        ("db.version", "the server answers and is PostgreSQL 15 or newer."),
        ("db.writable", "the database takes writes."),
        ("db.mode", "each URL gives the kind of connection that it is used for, by trial."),
        ("db.listen", "a notification comes back, so that new jobs start at once."),
        ("db.budget", "all instances together stay below the number of connections that are granted."),
        ("db.extension", "pgvector is there."),
        ("db.role", "the login sees every row."),
        ("db.clock", "this machine's clock agrees with the database's."),
        ("db.horizon", "no transaction has been open for long."),
    ],
    causes: &[
        &login::WRONG_PASSWORD,
        &login::ROLE_MISSING,
        &login::DATABASE_MISSING,
        &login::ACCESS_REFUSED,
        &login::TENANT_UNKNOWN,
        &login::TOO_MANY,
        &login::NOT_READY,
        &login::NO_LOGIN,
        &NO_ANSWER,
        &TOO_OLD,
        &READ_ONLY,
        &session_mode::SWAPPED,
        &session_mode::DIRECT_IS_POOLED,
        &session_mode::NO_SESSION,
        &session_mode::PORT_CONTRADICTS,
        &session_mode::SESSION_POOLER,
        &session_mode::NOT_DELIVERED,
        &budget::OVER_LIMIT,
        &budget::TIGHT,
        &EXTENSION_MISSING,
        &EXTENSION_NOT_CREATED,
        &NOT_OWNER,
        &SKEW,
        &OLD_TRANSACTION,
    ],
};

pub(super) async fn check(scene: &Scene<'_>, db: &Db) -> Vec<Finding> {
    let look = Look::at("db.version");
    let facts = match ask(db).await {
        Ok(facts) => facts,
        Err(error) => {
            return vec![look.found(&NO_ANSWER, error.to_string(), "See the message, and the server's log.")];
        }
    };
    let version = if facts.version_num < MIN_VERSION {
        look.found(&TOO_OLD, format!("PostgreSQL {}", facts.version), "Use PostgreSQL 15 or newer.")
            .expecting("15 or newer")
    } else {
        look.passed(format!("PostgreSQL {}", facts.version))
    };
    let mut findings = vec![version, writable(&facts)];
    let (modes, found) = session_mode::check(scene).await;
    findings.extend(found);
    findings.push(budget::check(scene, &facts, modes));
    findings.push(extension(&facts));
    findings.push(or_no_answer("db.role", role(db, &facts).await));
    findings.push(or_no_answer("db.clock", clock(db).await));
    findings.push(or_no_answer("db.horizon", horizon(db).await));
    findings
}

async fn ask(db: &Db) -> Result<ServerFacts, DbError> {
    get_server_facts(&db.get().await?).await
}

/// A look that the database cut short is skipped with the reason: `db.version` says that it answers at all.
pub(super) fn or_no_answer(id: &'static str, found: Result<Finding, DbError>) -> Finding {
    found.unwrap_or_else(|error| Look::at(id).skipped(&format!("the database did not answer: {error}")))
}

fn writable(facts: &ServerFacts) -> Finding {
    let look = Look::at("db.writable");
    match &facts.read_only {
        None => look.passed("transactions may write"),
        Some(why) => look.found(
            &READ_ONLY,
            why,
            "Connect to the primary server; where the host has switched to read-only, free disk space or enlarge the disk.",
        ),
    }
}

fn extension(facts: &ServerFacts) -> Finding {
    let look = Look::at("db.extension");
    match &facts.vector_version {
        Some(version) => look.passed(format!("pgvector {version}")),
        None if facts.vector_available => look.found(
            &EXTENSION_NOT_CREATED,
            "pgvector can be created, and is not yet",
            "Run `app migrate`, which creates it.",
        ),
        None => look.found(
            &EXTENSION_MISSING,
            "this server has no pgvector",
            "Install the extension `vector` (pgvector) on the server, or use a host that offers it.",
        ),
    }
}

async fn role(db: &Db, facts: &ServerFacts) -> Result<Finding, DbError> {
    let look = Look::at("db.role");
    if facts.bypasses_row_security {
        return Ok(look.passed(format!("{} is above row-level security", facts.user)));
    }
    let others = list_tables_of_others(&db.get().await?).await?;
    Ok(if others.is_empty() {
        look.passed(format!("{} owns the tables", facts.user))
    } else {
        look.found(
            &NOT_OWNER,
            format!("{} does not own {}", facts.user, others.join(", ")),
            "Connect as the role that ran `app migrate`, or give this one BYPASSRLS.",
        )
        .expecting("the tables' owner, or a role with BYPASSRLS")
    })
}

async fn clock(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("db.clock");
    let conn = db.get().await?;
    let before = now();
    let theirs = get_server_time(&conn).await?;
    let after = now();
    // Anywhere between asking and hearing is as good as equal.
    let ahead = if theirs > after { theirs - after } else { (theirs - before).min(0.0) };
    Ok(if ahead.abs() > MAX_SKEW.as_secs_f64() {
        let side = if ahead > 0.0 { "ahead of" } else { "behind" };
        look.found(
            &SKEW,
            format!("the database's clock is {:.1} s {side} this machine's", ahead.abs()),
            "Let both machines keep their time by NTP.",
        )
        .expecting("at most 2 s")
    } else {
        look.passed(format!("within {:.1} s", ahead.abs()))
    })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

async fn horizon(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("db.horizon");
    let oldest = get_oldest_transaction(&db.get().await?).await?;
    Ok(match oldest {
        Some(open) if open.open_for_seconds > OLD_TRANSACTION_SECONDS => look.found(
            &OLD_TRANSACTION,
            format!(
                "a transaction of `{}` has been open for {} minutes ({})",
                open.application_name,
                open.open_for_seconds / 60,
                open.state
            ),
            format!("Find out whose it is and end it: {};", open.end_statement()),
        ),
        Some(open) => look.passed(format!("the oldest transaction has been open for {} s", open.open_for_seconds)),
        None => look.passed("no other transaction is open"),
    })
}
