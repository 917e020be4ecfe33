//! `self.alive`: whether the process of this container lives. It is the image's HEALTHCHECK: quick, and quiet.

use std::net::IpAddr;

use super::{
    Scene,
    catalogue::Group,
    finding::{Cause, Finding, Look},
    http,
};
use config::Http;
use pg::{Db, DbError};
use store::workers::{host_name, list_live_workers};

const ALIVE: &str = "self.alive";

static NOBODY_ALIVE: Cause = Cause::error(
    ALIVE,
    "nobody_alive",
    "On this machine no API answers at its port, and no worker has shown itself for a minute.",
)
.waitable();

pub(super) const GROUP: Group = Group {
    name: "self",
    checks: &[(ALIVE, "an API or a worker is alive on this machine; looked at only when asked for.")],
    causes: &[&NOBODY_ALIVE],
};

pub(super) async fn check(scene: &Scene<'_>) -> Vec<Finding> {
    if !scene.options.selection.wants(ALIVE) {
        return Vec::new();
    }
    let look = Look::at(ALIVE);
    let url = format!("http://{}/livez", local_address(&scene.config.http));
    let answer = http::send(http::local_client().get(&url)).await;
    let api = match &answer {
        Ok(answer) if answer.is_success() => return vec![look.passed(format!("{url} answers"))],
        Ok(answer) => format!("{url} answered with {}", answer.status),
        Err(trouble) => format!("{url}: {trouble}"),
    };
    let host = host_name();
    let worker = match is_worker_alive(scene, &host).await {
        Ok(true) => return vec![look.passed(format!("the worker on {host} is alive"))],
        Ok(false) => format!("no worker on {host} was seen within the last minute"),
        Err(why) => why,
    };
    let fix = "Look at the log of this machine's process; restart it.";
    vec![look.found(&NOBODY_ALIVE, format!("{api}; {worker}"), fix)]
}

/// Asked only where no API answers: it costs a login.
async fn is_worker_alive(scene: &Scene<'_>, host: &str) -> Result<bool, String> {
    let url = scene.config.database.url.as_ref().ok_or("there is no database to ask for a worker")?;
    let db = scene.open(scene.target(url)?).ok_or("there is no database to ask for a worker")?;
    let live = live_hosts(&db).await;
    db.close();
    let live = live.map_err(|error| format!("the database cannot be asked for a worker: {error}"))?;
    Ok(live.iter().any(|known| known == host))
}

async fn live_hosts(db: &Db) -> Result<Vec<String>, DbError> {
    Ok(list_live_workers(&db.get().await?).await?.into_iter().map(|worker| worker.host).collect())
}

/// Where the API of this machine listens, as seen from here.
fn local_address(http: &Http) -> String {
    let port = http.port;
    match http.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if !ip.is_unspecified() => format!("{ip}:{port}"),
        Ok(IpAddr::V6(ip)) if !ip.is_unspecified() => format!("[{ip}]:{port}"),
        _ => format!("127.0.0.1:{port}"),
    }
}
