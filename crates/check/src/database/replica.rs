//! `db.replica`: whether the server of READ_DATABASE_URL is a replica of this database, and keeps up with it.

use std::time::{Duration, Instant};

use super::{
    super::check::{Context, Outcome, Problem, declare},
    server::VERSION,
};
use pg::{
    Db, PoolOptions,
    replica::{LogPosition, get_log_end, get_replayed, mismatch},
};

/// Between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(50);

declare! {
    REPLICA = once("db.replica", "the replica that takes searches and lists is one of this database and keeps up.", replica)
        .needs(&[&VERSION]);
    UNREACHABLE = warning("unreachable",
        "The replica does not answer: searches and lists go to DATABASE_URL.",
        "Check READ_DATABASE_URL and the replica's log; or unset it.").may_pass();
    NOT_OURS = error("not_ours",
        "The server of READ_DATABASE_URL is no replica of DATABASE_URL's database, and is never read.",
        "Name a streaming replica of the same server, and the same database; or unset READ_DATABASE_URL.");
    BEHIND = warning("behind",
        "The replica is further behind than READ_MAX_LAG: searches and lists go to DATABASE_URL.",
        "Look for long transactions on the replica (max_standby_streaming_delay) and for its disk and network; or raise READ_MAX_LAG.")
        .may_pass();
}

async fn replica(context: &Context<'_>) -> Outcome {
    let database = &context.config.database;
    let Some(url) = &database.read_url else {
        return Problem::skipped("READ_DATABASE_URL is not set: searches and lists go to DATABASE_URL");
    };
    let target = context.target(url).map_err(|why| UNREACHABLE.seen(why))?;
    let wait = database.connect_timeout + database.pool_timeout;
    let db = Db::open(target, PoolOptions { size: 1, wait, ..PoolOptions::default() })?;
    let end = get_log_end(&context.conn().await?).await?;
    let caught_up = catch_up(&db, &end, database.read_max_lag).await;
    db.close();
    caught_up
}

/// Waits until it has replayed up to `end`, for at most `within`.
async fn catch_up(db: &Db, end: &LogPosition, within: Duration) -> Outcome {
    let began = Instant::now();
    loop {
        let replayed = get_replayed(db).await.map_err(|error| UNREACHABLE.seen(error.to_string()))?;
        if let Some(why) = mismatch(end, &replayed) {
            return Err(NOT_OURS.seen(why));
        }
        if replayed.at >= end.at {
            return Ok(format!("behind by {} ms at most", began.elapsed().as_millis()));
        }
        if began.elapsed() > within {
            let bytes = end.at.unwrap_or(0) - replayed.at.unwrap_or(0);
            let observed = format!("behind by {bytes} bytes of the log after {} s", within.as_secs_f64());
            return Err(BEHIND.seen(observed).expecting(format!("{} s at most", within.as_secs_f64())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
