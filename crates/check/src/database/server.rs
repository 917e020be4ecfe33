//! What the database server is, and whether this login can do the system's work on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    super::check::{Cause, Check, Context, Outcome, causes},
    login::LOGIN,
};
use pg::server::{get_server_time, list_tables_of_others};
use store::gauges::get_oldest_transaction;

pub(crate) static VERSION: Check =
    Check::once("db.version", "the server answers and is PostgreSQL 15 or newer.", |context| {
        Box::pin(version(context))
    })
    .needs(&[&LOGIN])
    .finds(VERSION_CAUSES);
pub(crate) static WRITABLE: Check =
    Check::once("db.writable", "the database takes writes.", |context| Box::pin(writable(context)))
        .needs(&[&VERSION])
        .finds(WRITABLE_CAUSES);
pub(crate) static EXTENSION: Check =
    Check::once("db.extension", "pgvector is there.", |context| Box::pin(extension(context)))
        .needs(&[&VERSION])
        .finds(EXTENSION_CAUSES);
pub(crate) static ROLE: Check = Check::once("db.role", "the login sees every row.", |context| Box::pin(role(context)))
    .needs(&[&VERSION])
    .finds(ROLE_CAUSES);
pub(crate) static CLOCK: Check =
    Check::once("db.clock", "this machine's clock agrees with the database's.", |context| Box::pin(clock(context)))
        .needs(&[&VERSION])
        .finds(CLOCK_CAUSES);
pub(crate) static OLDEST_TRANSACTION: Check =
    Check::once("db.horizon", "no transaction has been open for long.", |context| {
        Box::pin(oldest_transaction(context))
    })
    .needs(&[&VERSION])
    .finds(OLDEST_TRANSACTION_CAUSES);

/// The oldest server that the schema works on; tested on 15 and 18.
const MIN_VERSION: i32 = 150_000;
/// Clocks may differ by this much: tokens and leases are in seconds.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// A transaction open for longer holds back every vacuum; no statement of this system takes minutes.
const OLD_TRANSACTION_SECONDS: i64 = 3600;

causes! { VERSION_CAUSES:
    NO_ANSWER = error("no_answer",
        "The login worked, but a plain question got no answer.",
        "See the message, and the server's log.").may_pass();
    TOO_OLD = error("too_old", "The server is older than PostgreSQL 15.", "Use PostgreSQL 15 or newer.");
}

causes! { WRITABLE_CAUSES:
    READ_ONLY = error("read_only",
        "The database takes no writes: a replica, or a host that switched to read-only, as some do when the disk is full.",
        "Connect to the primary server; where the host has switched to read-only, free disk space or enlarge the disk.").may_pass();
}

causes! { EXTENSION_CAUSES:
    EXTENSION_MISSING = error("missing",
        "The server does not offer pgvector, without which there are no vectors.",
        "Install the extension `vector` (pgvector) on the server, or use a host that offers it.");
    EXTENSION_NOT_CREATED = error("not_created",
        "pgvector is offered by the server, but not created in this database.",
        "Run `app migrate`, which creates it.").may_pass();
}

causes! { ROLE_CAUSES:
    NOT_OWNER = error("row_security_applies",
        "This role neither owns the tables nor bypasses row-level security: it would see no rows, and no error.",
        "Connect as the role that ran `app migrate`, or give this one BYPASSRLS.");
}

causes! { CLOCK_CAUSES:
    SKEW = warning("skew",
        "This machine's clock and the database's differ: tokens and signed URLs expire early or late.",
        "Let both machines keep their time by NTP.");
}

causes! { OLDEST_TRANSACTION_CAUSES:
    OLD_TRANSACTION = warning("old_transaction",
        "A transaction has been open for over an hour: no vacuum removes what has died since, and the queue slows down.");
}

async fn version(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await.map_err(|problem| NO_ANSWER.seen(problem.observed()))?;
    let found = format!("PostgreSQL {}", facts.version);
    if facts.version_num < MIN_VERSION { Err(TOO_OLD.seen(found).expecting("15 or newer")) } else { Ok(found) }
}

async fn writable(context: &Context<'_>) -> Outcome {
    match &context.facts().await?.read_only {
        None => Ok("transactions may write".to_owned()),
        Some(why) => Err(READ_ONLY.seen(why)),
    }
}

async fn extension(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await?;
    match &facts.vector_version {
        Some(version) => Ok(format!("pgvector {version}")),
        None if facts.vector_available => Err(EXTENSION_NOT_CREATED.seen("pgvector can be created, and is not yet")),
        None => Err(EXTENSION_MISSING.seen("this server has no pgvector")),
    }
}

async fn role(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await?;
    if facts.bypasses_row_security {
        return Ok(format!("{} is above row-level security", facts.user));
    }
    let others = list_tables_of_others(&context.conn().await?).await?;
    if others.is_empty() {
        return Ok(format!("{} owns the tables", facts.user));
    }
    Err(NOT_OWNER
        .seen(format!("{} does not own {}", facts.user, others.join(", ")))
        .expecting("the tables' owner, or a role with BYPASSRLS"))
}

async fn clock(context: &Context<'_>) -> Outcome {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let conn = context.conn().await?;
    let before = now();
    let theirs = get_server_time(&conn).await?;
    let after = now();
    // Any time between question and answer is as good as equal.
    let ahead = if theirs > after { theirs - after } else { (theirs - before).min(0.0) };
    if ahead.abs() <= MAX_SKEW.as_secs_f64() {
        return Ok(format!("within {:.1} s", ahead.abs()));
    }
    let side = if ahead > 0.0 { "ahead of" } else { "behind" };
    let observed = format!("the database's clock is {:.1} s {side} this machine's", ahead.abs());
    Err(SKEW.seen(observed).expecting("at most 2 s"))
}

async fn oldest_transaction(context: &Context<'_>) -> Outcome {
    let Some(open) = get_oldest_transaction(&context.conn().await?).await? else {
        return Ok("no other transaction is open".to_owned());
    };
    if open.open_for_seconds <= OLD_TRANSACTION_SECONDS {
        return Ok(format!("the oldest transaction has been open for {} s", open.open_for_seconds));
    }
    let observed = format!(
        "a transaction of `{}` has been open for {} minutes ({})",
        open.application_name,
        open.open_for_seconds / 60,
        open.state
    );
    Err(OLD_TRANSACTION.seen(observed).fix(format!("Find out whose it is and end it: {};", open.end_statement())))
}
