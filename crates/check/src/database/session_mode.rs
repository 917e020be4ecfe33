//! `db.mode`: which session mode a probe of each URL finds, and whether the URL's use needs another. `db.listen`: whether
//! notifications arrive.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    super::check::{Context, Modes, Outcome, Problem, declare},
    server::VERSION,
};
use pg::{
    probe::{SessionMode, probe_session_mode},
    url::DatabaseUrl,
};
use store::Listener;

/// Longer than the 2 s after which the listener itself gives up.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(4);

declare! {
    MODE = once("db.mode", "a probe of each URL finds the session mode that its use needs.", mode).needs(&[&VERSION]);
    SWAPPED = error("swapped",
        "The two URLs are swapped: DATABASE_URL keeps a session for each client, and DIRECT_URL leads to a pooler in transaction mode.",
        "Exchange the values of DATABASE_URL and DIRECT_URL.");
    DIRECT_IS_POOLED = error("direct_is_pooled",
        "DIRECT_URL leads to a pooler in transaction mode: `app migrate` refuses it, and workers cannot listen.");
    NO_SESSION = warning("no_session",
        "DATABASE_URL leads to a pooler in transaction mode and there is no DIRECT_URL: `app migrate` cannot run, and workers poll.");
    PORT_CONTRADICTS = warning("port_contradicts",
        "The port stands for another pooler mode than the probe finds.",
        "Copy the URL again from Connect in the dashboard: 5432 is for sessions, 6543 for transactions.");
    SESSION_POOLER = warning("session_pooler",
        "DATABASE_URL leads to a pooler's session port: each connection of each pool holds one of the server's, and they run out soon.",
        "Use the pooler's port 6543 (transactions) for DATABASE_URL, and keep 5432 for DIRECT_URL.");
}

declare! {
    LISTEN = once("db.listen", "a notification arrives, so that new jobs start at once.", listen).needs(&[&MODE]);
    NOT_DELIVERED = warning("not_delivered",
        "A notification that the check sends to itself does not arrive: workers poll, and a new job waits for the next poll.",
        "Let DIRECT_URL lead to the database itself or to a pooler's session mode; until then expect up to WORKER_POLL_INTERVAL of delay.");
}

/// The two URLs; the second if it differs from the first.
fn urls<'a>(context: &Context<'a>) -> Result<(&'a DatabaseUrl, Option<&'a DatabaseUrl>), Problem> {
    let direct = context.urls.get(1).map(|path| path.url()).transpose()?;
    Ok((context.urls[0].url()?, direct))
}

async fn mode(context: &Context<'_>) -> Outcome {
    let (url, direct) = urls(context)?;
    let database = probe(context, url).await?;
    let direct_mode = match direct {
        Some(direct) => Some(probe(context, direct).await?),
        None => None,
    };
    _ = context.modes.set(Modes { database, direct: direct_mode });
    let observed = match direct_mode {
        Some(mode) => format!("DATABASE_URL: {}; DIRECT_URL: {}", name(database), name(mode)),
        None => format!("DATABASE_URL: {}; no DIRECT_URL", name(database)),
    };
    match (database, direct_mode) {
        (SessionMode::Session, Some(SessionMode::Transaction)) => return Err(SWAPPED.seen(observed)),
        (SessionMode::Transaction, Some(SessionMode::Transaction)) => {
            let fix = session_advice(direct.unwrap_or(url));
            return Err(DIRECT_IS_POOLED.seen(observed).fix(fix).expecting("DIRECT_URL: a session"));
        }
        (SessionMode::Transaction, None) => {
            let problem = NO_SESSION.seen(observed).fix(session_advice(url));
            return Err(problem.expecting("a DIRECT_URL that keeps its session"));
        }
        (_, None | Some(SessionMode::Session)) => {}
    }
    compare_port("DATABASE_URL", url, database)?;
    if url.supabase_pooler_mode() == Some(SessionMode::Session) {
        return Err(SESSION_POOLER.seen(observed).expecting("port 6543"));
    }
    if let (Some(direct), Some(mode)) = (direct, direct_mode) {
        compare_port("DIRECT_URL", direct, mode)?;
    }
    Ok(observed)
}

async fn probe(context: &Context<'_>, url: &DatabaseUrl) -> Result<SessionMode, Problem> {
    // The checks of the network path report why a connection fails.
    let failed = |why: String| Problem::Skipped(format!("the probe's connection failed: {why}"));
    let target = context.target(url).map_err(failed)?;
    probe_session_mode(&target, &context.setup.runtime).await.map_err(|error| failed(error.to_string()))
}

/// Compares the mode that Supabase's port stands for with the probed one.
fn compare_port(variable: &str, url: &DatabaseUrl, probed: SessionMode) -> Result<(), Problem> {
    match (url.supabase_pooler_mode(), probed) {
        (Some(SessionMode::Session), SessionMode::Transaction)
        | (Some(SessionMode::Transaction), SessionMode::Session) => {
            let observed = format!("{variable}: port {}, and the probe finds {}", url.port(), name(probed));
            Err(PORT_CONTRADICTS.seen(observed).expecting("port 5432 for sessions, 6543 for transactions"))
        }
        _ => Ok(()),
    }
}

fn name(mode: SessionMode) -> &'static str {
    match mode {
        SessionMode::Session => "a session",
        SessionMode::Transaction => "a pooler in transaction mode",
    }
}

fn session_advice(url: &DatabaseUrl) -> &'static str {
    if url.is_supabase_pooler() {
        "Set DIRECT_URL to the same host and user with port 5432 (the session pooler)."
    } else {
        "Set DIRECT_URL to the database itself, or to the pooler's session mode (on Supabase: port 5432, not 6543)."
    }
}

/// Listens as a worker does until the listener has received its own notification.
async fn listen(context: &Context<'_>) -> Outcome {
    let (url, direct) = urls(context)?;
    let Some(modes) = context.modes.get() else {
        return Problem::skipped("the probe's connections failed: see db.mode");
    };
    if modes.direct.unwrap_or(modes.database) != SessionMode::Session {
        return Problem::skipped("no URL keeps a session; workers poll");
    }
    let target = context.target(direct.unwrap_or(url)).map_err(Problem::Skipped)?;
    let (listener, wakeup) = Listener::new(target, context.setup.runtime.clone());
    let stop = CancellationToken::new();
    let running = context.setup.runtime.spawn(listener.run(stop.clone()));
    let is_proven = tokio::time::timeout(NOTIFY_TIMEOUT, wakeup.proven()).await.is_ok();
    stop.cancel();
    // It ends at once, and `is_proven` is its outcome.
    _ = running.await;
    match is_proven {
        true => Ok("a notification arrived".to_owned()),
        false => Err(NOT_DELIVERED.seen(format!("no notification within {} s", NOTIFY_TIMEOUT.as_secs()))),
    }
}
