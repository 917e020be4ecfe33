//! `self.alive`: whether the process of this container is alive. It is the image's HEALTHCHECK.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    super::check::{Context, Outcome, Problem, declare},
    http,
};
use config::Http;
use store::workers::{host_name, list_live_workers};

declare! {
    ALIVE = once("self.alive", "an API or a worker is alive on this machine; checked only with `--only`.", alive);
    NOTHING_ALIVE = error("nobody_alive",
        "On this machine no API answers at its port, and no worker has reported for a minute.",
        "Read the log of this machine's process; restart it.").may_pass();
}

async fn alive(context: &Context<'_>) -> Outcome {
    let url = format!("http://{}/livez", local_address(&context.config.http));
    let api = match http::send(http::local_client().get(&url)).await {
        Ok(answer) if answer.is_success() => return Ok(format!("{url} answers")),
        Ok(answer) => format!("{url} answered with {}", answer.status),
        Err(error) => format!("{url}: {error}"),
    };
    // The database is asked only if no API answers, since this needs a login.
    let host = host_name();
    let worker = match worker_hosts(context).await {
        Ok(hosts) if hosts.contains(&host) => return Ok(format!("the worker on {host} is alive")),
        Ok(_) => format!("no worker on {host} has reported within the last minute"),
        Err(problem) => format!("the workers are unknown: {}", problem.observed()),
    };
    Err(NOTHING_ALIVE.seen(format!("{api}; {worker}")))
}

async fn worker_hosts(context: &Context<'_>) -> Result<Vec<String>, Problem> {
    Ok(list_live_workers(&context.conn().await?).await?.into_iter().map(|worker| worker.host).collect())
}

/// The address at which this machine reaches its own API.
fn local_address(http: &Http) -> SocketAddr {
    let ip = http.host.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), http.port)
}
