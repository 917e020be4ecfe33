//! `db.budget`: whether all instances together fit into the connections that are granted.

use super::{
    Scene,
    finding::{Cause, Finding, Look},
    session_mode::Modes,
};
use pg::{probe::SessionMode, server::ServerFacts};

pub(super) static OVER_LIMIT: Cause = Cause::error(
    "db.budget",
    "over_limit",
    "The pools of all instances together ask for more connections than are granted: under load some requests fail.",
);
pub(super) static TIGHT: Cause = Cause::warning(
    "db.budget",
    "tight",
    "The pools of all instances together may take over four fifths of the connections: a deploy, when old and new run side by side, goes beyond.",
);

pub(super) fn check(scene: &Scene<'_>, facts: &ServerFacts, modes: Modes) -> Finding {
    let look = Look::at("db.budget");
    let (database, platform) = (&scene.config.database, &scene.config.platform);
    let pool = u64::try_from(database.pool_size).unwrap_or(u64::MAX);
    let (apis, workers) = (u64::from(platform.api_instances), u64::from(platform.worker_instances));
    // Each worker listens on a session of its own, which counts here only where it is the same server.
    let sessions = if database.direct_url.is_none() { workers } else { 0 };
    let needed = pool.saturating_mul(apis + workers) + sessions;
    let sum = format!("{apis} api + {workers} worker instances × DATABASE_POOL_SIZE {pool} = {needed}");
    let pooled = modes.database == Some(SessionMode::Transaction);
    let limit = match database.connection_limit {
        0 if pooled => {
            return look.passed(format!("{sum}; the pooler's limit is not known (DATABASE_CONNECTION_LIMIT)"));
        }
        0 => u64::try_from(facts.usable_connections).unwrap_or(0),
        stated => u64::from(stated),
    };
    let observed = format!("{sum}, of {limit} granted");
    let fix = "Lower DATABASE_POOL_SIZE or the number of instances, raise the limit, or connect through a pooler in transaction mode.";
    if needed > limit {
        look.found(&OVER_LIMIT, observed, fix).expecting(format!("at most {limit}"))
    } else if needed * 5 > limit * 4 {
        look.found(&TIGHT, observed, fix).expecting(format!("at most {}", limit * 4 / 5))
    } else {
        look.passed(observed)
    }
}
