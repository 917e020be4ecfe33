//! `db.budget`: whether the pools of all instances together fit into the connections that are granted.

use super::{
    super::check::{Context, Outcome, declare},
    server::VERSION,
    session_mode::MODE,
};
use pg::probe::SessionMode;

const FIX: &str = "Lower DATABASE_POOL_SIZE or the number of instances, raise the limit, or connect through a pooler in transaction mode.";

declare! {
    BUDGET = once("db.budget", "all instances together need fewer connections than are granted.", budget)
        .needs(&[&VERSION])
        .after(&[&MODE]);
    OVER_LIMIT = error("over_limit",
        "The pools of all instances together need more connections than are granted: under load some requests fail.",
        FIX);
    TIGHT = warning("tight",
        "The pools of all instances together may need over four fifths of the connections: during a deploy, when old and new \
         instances run side by side, they need more than are granted.",
        FIX);
}

async fn budget(context: &Context<'_>) -> Outcome {
    let database = &context.config.database;
    let platform = &context.config.platform;
    let pool = u64::try_from(database.pool_size).unwrap_or(u64::MAX);
    let apis = u64::from(platform.api_instances);
    let workers = u64::from(platform.worker_instances);
    // Each worker listens on one more connection. Through DIRECT_URL, it counts against another limit.
    let sessions = if database.direct_url.is_none() { workers } else { 0 };
    let needed = pool.saturating_mul(apis + workers) + sessions;
    let sum = format!("{apis} api + {workers} worker instances × DATABASE_POOL_SIZE {pool} = {needed}");
    let is_pooled = context.modes.get().is_some_and(|modes| modes.database == SessionMode::Transaction);
    let limit = match database.connection_limit {
        0 if is_pooled => return Ok(format!("{sum}; the pooler's limit is unknown (DATABASE_CONNECTION_LIMIT)")),
        0 => u64::try_from(context.facts().await?.usable_connections).unwrap_or(0),
        stated => u64::from(stated),
    };
    let observed = format!("{sum}, of {limit} granted");
    if needed > limit {
        Err(OVER_LIMIT.seen(observed).expecting(format!("at most {limit}")))
    } else if needed * 5 > limit * 4 {
        Err(TIGHT.seen(observed).expecting(format!("at most {}", limit * 4 / 5)))
    } else {
        Ok(observed)
    }
}
