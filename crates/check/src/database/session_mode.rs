//! `db.mode`: what kind of connection each URL gives, by trial, and whether that is what it is used for; `db.listen`:
//! whether notifications arrive.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    super::check::{Cause, Check, Context, Modes, Outcome, Problem, causes},
    server::VERSION,
};
use pg::{
    probe::{SessionMode, probe_session_mode},
    url::DatabaseUrl,
};
use store::Listener;

pub(crate) static MODE: Check =
    Check::once("db.mode", "each URL gives the kind of connection that it is used for, by trial.", |context| {
        Box::pin(mode(context))
    })
    .needs(&[&VERSION])
    .finds(MODE_CAUSES);
pub(crate) static LISTEN: Check =
    Check::once("db.listen", "a notification comes back, so that new jobs start at once.", |context| {
        Box::pin(listen(context))
    })
    .needs(&[&MODE])
    .finds(LISTEN_CAUSES);

/// How long a notification to ourselves may take: the listener itself gives up after 2 s.
const NOTIFY_WITHIN: Duration = Duration::from_secs(4);

causes! { MODE_CAUSES:
    SWAPPED = error("swapped",
        "The two URLs are swapped: DATABASE_URL keeps a session for each client, and DIRECT_URL leads to a pooler in transaction mode.",
        "Exchange the values of DATABASE_URL and DIRECT_URL.");
    DIRECT_IS_POOLED = error("direct_is_pooled",
        "DIRECT_URL leads to a pooler in transaction mode: `app migrate` refuses it, and workers cannot listen.");
    NO_SESSION = warning("no_session",
        "DATABASE_URL leads to a pooler in transaction mode and there is no DIRECT_URL: `app migrate` cannot run, and workers poll.");
    PORT_CONTRADICTS = warning("port_contradicts",
        "The port stands for another pooler mode than a trial finds.",
        "Copy the URL again from Connect in the dashboard: 5432 is for sessions, 6543 for transactions.");
    SESSION_POOLER = warning("session_pooler",
        "DATABASE_URL leads to a pooler's session port: each connection of each pool holds one of the server's, and they run out soon.",
        "Use the pooler's port 6543 (transactions) for DATABASE_URL, and keep 5432 for DIRECT_URL.");
}

causes! { LISTEN_CAUSES:
    NOT_DELIVERED = warning("not_delivered",
        "A notification sent to ourselves does not come back: workers poll, and a new job waits for the next poll.",
        "Let DIRECT_URL lead to the database itself or to a pooler's session mode; until then expect up to WORKER_POLL_INTERVAL of delay.");
}

/// The two URLs; the second where it is another than the first.
fn urls<'a>(context: &Context<'a>) -> Result<(&'a DatabaseUrl, Option<&'a DatabaseUrl>), Problem> {
    let direct = context.urls.get(1).map(|path| path.url()).transpose()?;
    Ok((context.urls[0].url()?, direct))
}

async fn mode(context: &Context<'_>) -> Outcome {
    let (url, direct) = urls(context)?;
    let database = trial(context, url).await?;
    let direct_mode = match direct {
        Some(direct) => Some(trial(context, direct).await?),
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
    contradicts("DATABASE_URL", url, database)?;
    if url.supabase_pooler_mode() == Some(SessionMode::Session) {
        return Err(SESSION_POOLER.seen(observed).expecting("port 6543"));
    }
    if let (Some(direct), Some(mode)) = (direct, direct_mode) {
        contradicts("DIRECT_URL", direct, mode)?;
    }
    Ok(observed)
}

async fn trial(context: &Context<'_>, url: &DatabaseUrl) -> Result<SessionMode, Problem> {
    // The way to either URL has its own findings.
    let failed = |why: String| Problem::Skipped(format!("a trial connection failed: {why}"));
    let target = context.target(url).map_err(failed)?;
    probe_session_mode(&target, &context.setup.runtime).await.map_err(|error| failed(error.to_string()))
}

/// Supabase's ports stand for a mode.
fn contradicts(variable: &str, url: &DatabaseUrl, tried: SessionMode) -> Result<(), Problem> {
    match (url.supabase_pooler_mode(), tried) {
        (Some(SessionMode::Session), SessionMode::Transaction)
        | (Some(SessionMode::Transaction), SessionMode::Session) => {
            let observed = format!("{variable}: port {}, and a trial finds: {}", url.port(), name(tried));
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

/// Listens as a worker does, for as long as a worker's listener takes to prove that it works.
async fn listen(context: &Context<'_>) -> Outcome {
    let (url, direct) = urls(context)?;
    let Some(modes) = context.modes.get() else { return Problem::skipped("the trial connections failed: see db.mode") };
    if modes.direct.unwrap_or(modes.database) != SessionMode::Session {
        return Problem::skipped("no URL keeps a session; workers poll");
    }
    let target = context.target(direct.unwrap_or(url)).map_err(Problem::Skipped)?;
    let (listener, wakeup) = Listener::new(target, context.setup.runtime.clone());
    let stop = CancellationToken::new();
    let running = context.setup.runtime.spawn(listener.run(stop.clone()));
    let is_proven = tokio::time::timeout(NOTIFY_WITHIN, wakeup.proven()).await.is_ok();
    stop.cancel();
    // It ends at once, and its outcome is known already.
    _ = running.await;
    match is_proven {
        true => Ok("a notification to ourselves came back".to_owned()),
        false => Err(NOT_DELIVERED.seen(format!("no notification within {} s", NOTIFY_WITHIN.as_secs()))),
    }
}
