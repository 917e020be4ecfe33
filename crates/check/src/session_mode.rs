//! What kind of connection each URL gives, by trial, and whether that is what it is used for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    Scene,
    finding::{Cause, Finding, Look, skip_behind},
};
use pg::{
    DbError,
    probe::{SessionMode, probe_session_mode},
    url::{DatabaseUrl, PoolerMode},
};
use store::Listener;

/// How long a notification of our own may take. Source: the listener itself gives up after 2 s.
const NOTIFY_WITHIN: Duration = Duration::from_secs(4);

pub(super) static SWAPPED: Cause = Cause::error(
    "db.mode",
    "swapped",
    "The two URLs are swapped: DATABASE_URL keeps a session for each client, and DIRECT_URL leads to a pooler in transaction mode.",
);
pub(super) static DIRECT_IS_POOLED: Cause = Cause::error(
    "db.mode",
    "direct_is_pooled",
    "DIRECT_URL leads to a pooler in transaction mode: `app migrate` refuses it, and workers cannot listen.",
);
pub(super) static NO_SESSION: Cause = Cause::warning(
    "db.mode",
    "no_session",
    "DATABASE_URL leads to a pooler in transaction mode and there is no DIRECT_URL: `app migrate` cannot run, and workers poll.",
);
pub(super) static PORT_CONTRADICTS: Cause =
    Cause::warning("db.mode", "port_contradicts", "The port stands for another pooler mode than a trial finds.");
pub(super) static SESSION_POOLER: Cause = Cause::warning(
    "db.mode",
    "session_pooler",
    "DATABASE_URL leads to a pooler's session port: each connection of each pool holds one of the server's, and they run out soon.",
);
pub(super) static NOT_DELIVERED: Cause = Cause::warning(
    "db.listen",
    "not_delivered",
    "A notification sent to ourselves does not come back: workers poll, and a new job waits for the next look.",
);

/// What the trials found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modes {
    pub(super) database: Option<SessionMode>,
    pub(super) direct: Option<SessionMode>,
}

pub(super) async fn check(scene: &Scene<'_>) -> (Modes, Vec<Finding>) {
    let look = Look::at("db.mode");
    let settings = &scene.config.database;
    let Some(url) = &settings.url else {
        return (Modes::default(), skip_behind(&["db.mode", "db.listen"], "cfg.parse"));
    };
    let direct = settings.direct_url.as_ref().filter(|direct| *direct != url);
    let tried = async {
        let database = trial(scene, url).await?;
        let direct = match direct {
            Some(direct) => Some(trial(scene, direct).await?),
            None => None,
        };
        Ok::<_, DbError>(Modes { database: Some(database), direct })
    };
    let modes = match tried.await {
        Ok(modes) => modes,
        // The way to either URL has its own findings.
        Err(error) => {
            let because = format!("a trial connection failed: {error}");
            return (Modes::default(), vec![look.skipped(&because), Look::at("db.listen").skipped(&because)]);
        }
    };
    let mode = judge(look, url, direct, modes);
    let listen = listen(scene, direct.unwrap_or(url), modes).await;
    (modes, vec![mode, listen])
}

async fn trial(scene: &Scene<'_>, url: &DatabaseUrl) -> Result<SessionMode, DbError> {
    let target = scene.target(url).map_err(DbError::Pool)?;
    probe_session_mode(&target, &scene.runtime).await
}

fn judge(look: Look, url: &DatabaseUrl, direct: Option<&DatabaseUrl>, modes: Modes) -> Finding {
    let observed = match modes.direct {
        Some(direct) => format!("DATABASE_URL: {}; DIRECT_URL: {}", name(modes.database), name(Some(direct))),
        None => format!("DATABASE_URL: {}; no DIRECT_URL", name(modes.database)),
    };
    match (modes.database, modes.direct) {
        (Some(SessionMode::Session), Some(SessionMode::Transaction)) => {
            return look.found(&SWAPPED, observed, "Exchange the values of DATABASE_URL and DIRECT_URL.");
        }
        (_, Some(SessionMode::Transaction)) => {
            let fix = session_advice(direct.unwrap_or(url));
            return look.found(&DIRECT_IS_POOLED, observed, fix).expecting("DIRECT_URL: a session");
        }
        (Some(SessionMode::Transaction), None) => {
            return look
                .found(&NO_SESSION, observed, session_advice(url))
                .expecting("a DIRECT_URL that keeps its session");
        }
        _ => {}
    }
    let urls = [("DATABASE_URL", Some(url), modes.database), ("DIRECT_URL", direct, modes.direct)];
    for (variable, url, tried) in urls {
        let (Some(url), Some(tried)) = (url, tried) else { continue };
        let Some(stated) = url.supabase_pooler_mode() else { continue };
        if matches!(
            (stated, tried),
            (PoolerMode::Session, SessionMode::Transaction) | (PoolerMode::Transaction, SessionMode::Session)
        ) {
            return look
                .found(
                    &PORT_CONTRADICTS,
                    format!("{variable}: port {}, and a trial finds: {}", url.port(), name(Some(tried))),
                    "Copy the URL again from Connect in the dashboard: 5432 is for sessions, 6543 for transactions.",
                )
                .expecting("port 5432 for sessions, 6543 for transactions");
        }
        if variable == "DATABASE_URL" && stated == PoolerMode::Session {
            return look
                .found(
                    &SESSION_POOLER,
                    observed,
                    "Use the pooler's port 6543 (transactions) for DATABASE_URL, and keep 5432 for DIRECT_URL.",
                )
                .expecting("port 6543");
        }
    }
    look.passed(observed)
}

fn name(mode: Option<SessionMode>) -> &'static str {
    match mode {
        Some(SessionMode::Session) => "a session",
        Some(SessionMode::Transaction) => "a pooler in transaction mode",
        None => "not tried",
    }
}

fn session_advice(url: &DatabaseUrl) -> String {
    if url.is_supabase_pooler() {
        "Set DIRECT_URL to the same host and user with port 5432 (the session pooler).".to_owned()
    } else {
        "Set DIRECT_URL to the database itself, or to the pooler's session mode (on Supabase: port 5432, not 6543)."
            .to_owned()
    }
}

/// Listens as a worker does, for as long as a worker's listener takes to prove that it works.
async fn listen(scene: &Scene<'_>, url: &DatabaseUrl, modes: Modes) -> Finding {
    let look = Look::at("db.listen");
    if modes.direct.or(modes.database) != Some(SessionMode::Session) {
        return look.skipped("no URL keeps a session; workers poll");
    }
    let target = match scene.target(url) {
        Ok(target) => target,
        Err(problem) => return look.skipped(&problem),
    };
    let (listener, wakeup) = Listener::new(target, scene.runtime.clone());
    let stop = CancellationToken::new();
    let running = scene.runtime.spawn(listener.run(stop.clone()));
    let proven = tokio::time::timeout(NOTIFY_WITHIN, wakeup.proven()).await.is_ok();
    stop.cancel();
    // It ends at once, and its outcome is known already.
    let _ended = running.await;
    if proven {
        look.passed("a notification of our own came back")
    } else {
        look.found(
            &NOT_DELIVERED,
            format!("no notification within {} s", NOTIFY_WITHIN.as_secs()),
            "Let DIRECT_URL lead to the database itself or to a pooler's session mode; until then expect up to WORKER_POLL_INTERVAL of delay.",
        )
    }
}
