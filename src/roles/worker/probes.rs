//! The port of a worker: its probes and its metrics.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    guard,
    web::{self, ServiceConfig},
};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use domain::build_info::BuildInfo;
use pg::Db;
use telemetry::{
    metrics::{CONTENT_TYPE, Page, Process, render_process},
    readiness::Readiness,
};

/// Longest wait for a probe that is being answered when the process ends.
const LAST_ANSWER: Duration = Duration::from_secs(1);
const TEXT: &str = "text/plain; charset=utf-8";

/// What the handlers share.
#[derive(Clone)]
pub struct ProbeState {
    /// For the figures of its pool; no connection is taken from it.
    pub db: Db,
    /// This build.
    pub build: BuildInfo,
    /// Whether the worker claims jobs.
    pub readiness: Arc<Readiness>,
}

/// Serves until `stop`, which is cancelled after the last job has ended, so that a stopping worker still answers.
///
/// # Errors
///
/// The address is taken, or is not one of this machine.
pub async fn serve_probes(state: ProbeState, addr: SocketAddr, stop: CancellationToken) -> anyhow::Result<()> {
    let server = bind(state, addr).with_context(|| {
        format!("couldn't listen on {addr} for probes; choose another with WORKER_HTTP_HOST and WORKER_HTTP_PORT")
    })?;
    tracing::info!(address = %addr, "probes and metrics on http://{addr}");
    let handle = server.handle();
    let stopper = tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    let ended = server.await.context("the server of the probes failed");
    stopper.abort();
    ended
}

/// Apart from [`serve_probes`] because the builder, unlike the server, cannot be sent to another thread.
fn bind(state: ProbeState, addr: SocketAddr) -> io::Result<Server> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || App::new().app_data(state.clone()).configure(configure))
        .workers(1)
        .shutdown_timeout(LAST_ANSWER.as_secs())
        .disable_signals()
        .bind(addr)?;
    Ok(server.run())
}

fn configure(cfg: &mut ServiceConfig) {
    // Other methods are refused with 405.
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    cfg.service(web::resource("/livez").route(read().to(livez)))
        .service(web::resource("/readyz").route(read().to(readyz)))
        .service(web::resource("/metrics").route(read().to(metrics)));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("ok\n")
}

/// 503 with the reason while the worker claims no jobs.
async fn readyz(state: web::Data<ProbeState>) -> HttpResponse {
    match state.readiness.obstacle() {
        None => HttpResponse::Ok().content_type(TEXT).body("ok\n"),
        Some(reason) => HttpResponse::ServiceUnavailable().content_type(TEXT).body(format!("{reason}\n")),
    }
}

/// The figures of this process; those of the queue are on the API's page.
async fn metrics(state: web::Data<ProbeState>) -> HttpResponse {
    let mut page = Page::default();
    let process =
        Process { build: &state.build, database_up: state.readiness.database_up(), pool: state.db.pool_status() };
    render_process(&mut page, &process);
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(page.into_text())
}
