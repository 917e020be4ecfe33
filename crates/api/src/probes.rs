//! The port of a worker: whether it lives and claims, and what it has counted. Nothing of the API is on it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    web::{self, ServiceConfig},
};
use tokio_util::sync::CancellationToken;

use super::{
    health::livez,
    routes::{get, not_found, on},
    server::ServeError,
};
use domain::build_info::BuildInfo;
use pg::Db;
use telemetry::{
    metrics::{CONTENT_TYPE, Page, Process, render_process},
    readiness::Readiness,
};

/// Longest wait for a probe that is being answered when the process ends.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// What the handlers look at.
#[derive(Debug, Clone)]
pub struct ProbeState {
    /// Whose pool is told of; no connection is taken from it.
    pub db: Db,
    /// Which build this is.
    pub build: BuildInfo,
    /// Whether the worker claims.
    pub readiness: Arc<Readiness>,
}

/// Serves until `stop`, which comes after the last job has ended: a worker that drains still says that it does.
///
/// # Errors
///
/// The address is taken, or is not ours.
pub async fn serve_probes(state: ProbeState, addr: SocketAddr, stop: CancellationToken) -> Result<(), ServeError> {
    let server = bind(state, addr)?;
    tracing::info!(address = %addr, "probes and metrics on http://{addr}");
    let handle = server.handle();
    let stopper = tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    let ended = server.await.map_err(ServeError::Run);
    stopper.abort();
    ended
}

/// Apart from [`serve_probes`], whose future can then be sent to another thread: the builder cannot.
fn bind(state: ProbeState, addr: SocketAddr) -> Result<Server, ServeError> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || App::new().app_data(state.clone()).configure(configure))
        .workers(1)
        .shutdown_timeout(LAST_ANSWER.as_secs())
        .disable_signals()
        .bind(addr)
        .map_err(|source| ServeError::BindProbes { addr, source })?;
    Ok(server.run())
}

fn configure(cfg: &mut ServiceConfig) {
    cfg.service(on("/livez", "GET, HEAD", get(livez)))
        .service(on("/readyz", "GET, HEAD", get(readyz)))
        .service(on("/metrics", "GET, HEAD", get(metrics)))
        .default_service(web::to(not_found));
}

/// 503 with the reason while the worker claims nothing.
async fn readyz(state: web::Data<ProbeState>) -> HttpResponse {
    match state.readiness.obstacle() {
        None => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n"),
        Some(reason) => {
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(format!("{reason}\n"))
        }
    }
}

/// This process's own figures; those of the queue are on the API's page.
async fn metrics(state: web::Data<ProbeState>) -> HttpResponse {
    let mut page = Page::default();
    let process =
        Process { build: &state.build, database_up: state.readiness.database_up(), pool: state.db.pool_status() };
    render_process(&mut page, &process);
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(page.into_text())
}
