//! `db.settings`: whether settings of the role or the database break what we run. `db.slots`: whether a replication slot
//! without a consumer holds back cleanup.

use super::{
    super::check::{Context, Outcome, declare},
    server::{EXTENSION, VERSION},
};
use pg::server::{get_session_settings, list_idle_slots};

/// No statement of api and worker takes this long on a database that can serve; `app migrate` sets its own limit.
const MIN_STATEMENT_TIMEOUT_MS: i64 = 30_000;

declare! {
    SETTINGS = once("db.settings", "no setting of the role or the database breaks migrations or statements.", settings)
        .needs(&[&EXTENSION]);
    VECTOR_HIDDEN = error("vector_hidden",
        "pgvector's schema is not in the search_path: migrations and searches do not find its types and operators.");
    SHORT_TIMEOUT = warning("statement_timeout",
        "Statements of this role are cancelled so early that a busy server would fail them.");
}

declare! {
    SLOTS = once("db.slots", "no replication slot without a consumer holds back cleanup.", slots).needs(&[&VERSION]);
    IDLE_SLOT = warning("idle_slot",
        "A replication slot has no consumer: the server keeps its write-ahead log, and dead rows, until the disk is full.");
}

async fn settings(context: &Context<'_>) -> Outcome {
    let found = get_session_settings(&context.conn().await?).await?;
    if !found.finds_vector {
        let observed = format!("search_path is {}, and pgvector is in {}", found.search_path, found.vector_schema);
        let fix = format!(
            "Add {} to the search_path, or reset it: ALTER ROLE … RESET search_path; ALTER DATABASE … RESET search_path.",
            found.vector_schema
        );
        return Err(VECTOR_HIDDEN.seen(observed).fix(fix));
    }
    let timeout = found.statement_timeout_ms;
    if timeout > 0 && timeout < MIN_STATEMENT_TIMEOUT_MS {
        let fix = "Raise it for this role: ALTER ROLE … SET statement_timeout = '2min'.";
        return Err(SHORT_TIMEOUT
            .seen(format!("statement_timeout is {timeout} ms"))
            .fix(fix)
            .expecting("0, or 30 s at least"));
    }
    Ok(format!("search_path {}, statement_timeout {timeout} ms", found.search_path))
}

async fn slots(context: &Context<'_>) -> Outcome {
    let idle = list_idle_slots(&context.conn().await?).await?;
    let Some(first) = idle.first() else { return Ok("no slot is idle".to_owned()) };
    let named: Vec<String> =
        idle.iter().map(|slot| format!("{} ({} MiB of log)", slot.name, slot.kept_bytes >> 20)).collect();
    let fix = format!("Start its consumer again, or drop the slot: pg_drop_replication_slot('{}').", first.name);
    Err(IDLE_SLOT.seen(named.join(", ")).fix(fix))
}
