//! What the database server is, and whether this login can do the system's work on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    super::check::{Context, Outcome, declare},
    login::LOGIN,
};
use pg::server::{get_server_time, list_tables_of_others};
use store::{SCHEMA, gauges::get_oldest_transaction};

/// The oldest server on which the schema works; tests run on 15 and 18.
const MIN_VERSION: i32 = 150_000;
/// Larger than the resolution of tokens and leases, which is a second.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// No statement of this system takes minutes, so an older transaction was forgotten. It holds back every vacuum.
const OLD_TRANSACTION_SECONDS: i64 = 3600;

declare! {
    VERSION = once("db.version", "the server answers and is PostgreSQL 15 or newer.", version).needs(&[&LOGIN]);
    NO_ANSWER = error("no_answer",
        "The login worked, but a simple query got no answer.",
        "Read the message, and the server's log.").may_pass();
    TOO_OLD = error("too_old", "The server is older than PostgreSQL 15.", "Use PostgreSQL 15 or newer.");
}

declare! {
    WRITABLE = once("db.writable", "the database accepts writes.", writable).needs(&[&VERSION]);
    READ_ONLY = error("read_only",
        "The database accepts no writes: a replica, or a host that switched to read-only, as some do when the disk is full.",
        "Connect to the primary server; if the host has switched to read-only, free disk space or enlarge the disk.").may_pass();
}

declare! {
    EXTENSION = once("db.extension", "pgvector is installed.", extension).needs(&[&VERSION]);
    EXTENSION_MISSING = error("missing",
        "The server does not offer pgvector, which the tables of vectors need.",
        "Install the extension `vector` (pgvector) on the server, or use a host that offers it.");
    EXTENSION_NOT_CREATED = error("not_created",
        "The server offers pgvector, but it is not created in this database.",
        "Run `app migrate`, which creates it.").may_pass();
}

declare! {
    ROLE = once("db.role", "the login sees every row.", role).needs(&[&VERSION]);
    NOT_OWNER = error("row_security_applies",
        "This role neither owns the tables nor bypasses row-level security: it would see no rows, and no error.",
        "Connect as the role that ran `app migrate`, or give this one BYPASSRLS.");
}

declare! {
    CLOCK = once("db.clock", "this machine's clock agrees with the database's.", clock).needs(&[&VERSION]);
    SKEW = warning("skew",
        "This machine's clock and the database's differ: tokens and signed URLs expire early or late.",
        "Synchronise the clocks of both machines by NTP.");
}

declare! {
    OLDEST_TRANSACTION = once("db.horizon", "no transaction has been open for long.", oldest_transaction)
        .needs(&[&VERSION]);
    OLD_TRANSACTION = warning("old_transaction",
        "A transaction has been open for over an hour: no vacuum removes rows that died since, and the queue slows down.");
}

async fn version(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await.map_err(|problem| NO_ANSWER.seen(problem.observed()))?;
    let found = format!("PostgreSQL {}", facts.version);
    if facts.version_num < MIN_VERSION { Err(TOO_OLD.seen(found).expecting("15 or newer")) } else { Ok(found) }
}

async fn writable(context: &Context<'_>) -> Outcome {
    match &context.facts().await?.read_only {
        None => Ok("transactions can write".to_owned()),
        Some(why) => Err(READ_ONLY.seen(why)),
    }
}

async fn extension(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await?;
    match &facts.vector_version {
        Some(version) => Ok(format!("pgvector {version}")),
        None if facts.vector_available => Err(EXTENSION_NOT_CREATED.seen("pgvector is not created in this database")),
        None => Err(EXTENSION_MISSING.seen("this server has no pgvector")),
    }
}

async fn role(context: &Context<'_>) -> Outcome {
    let facts = context.facts().await?;
    if facts.bypasses_row_security {
        return Ok(format!("{} bypasses row-level security", facts.user));
    }
    let others = list_tables_of_others(&context.conn().await?, SCHEMA).await?;
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
    let server_time = get_server_time(&conn).await?;
    let after = now();
    // The clocks agree if the server's time is between the query and the answer.
    let ahead = if server_time > after { server_time - after } else { (server_time - before).min(0.0) };
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
    Err(OLD_TRANSACTION
        .seen(observed)
        .fix(format!("Find the program that opened it, and end it: {};", open.end_statement())))
}
