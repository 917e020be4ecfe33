//! The HTTP server: binds before the database is known to be up, ends when told.

use std::{net::SocketAddr, time::Duration};

use actix_cors::Cors;
use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
};

use super::{ApiState, configure, request_id::identify};

/// How long an idle connection is kept.
///
/// Source: longer than the proxies before us keep theirs (nginx and AWS: 60 s), so that they never send a request into
/// a connection that we are closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or is not ours.
    #[error("couldn't listen on {addr}: {source}; choose another with API_HOST and PORT")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address for a worker's probes is taken, or is not ours.
    #[error(
        "couldn't listen on {addr} for probes: {source}; choose another with WORKER_HTTP_HOST and WORKER_HTTP_PORT"
    )]
    BindProbes {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("the HTTP server failed: {0}")]
    Run(#[source] std::io::Error),
}

/// The application: routes, CORS and request ids. Used by [`serve`] and by tests.
pub fn build_app(
    state: ApiState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = cors(&state.settings.cors_origins);
    App::new().configure(|cfg| configure(cfg, state)).wrap(from_fn(identify)).wrap(cors)
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "accept",
            "x-user-id",
            "last-event-id",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "x-request-id",
            "x-correlation-id",
        ])
        .expose_headers(["x-request-id", "x-correlation-id", "retry-after", "location", "etag", "idempotency-replayed"])
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Serves until the state's token is cancelled, then lets open requests end within the grace period. `on_bound` is told
/// the address, port included, as soon as it listens.
pub async fn serve(
    state: ApiState,
    addr: SocketAddr,
    on_bound: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    let stop = state.stop.clone();
    let notifier = tokio::spawn(state.notifier.clone().run(state.db.clone(), stop.clone()));
    let (server, bound) = bind(state, addr)?;
    let handle = server.handle();
    tracing::info!(address = %bound, "listening on http://{bound}");
    on_bound(bound);
    let stopper = tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    let ended = server.await.map_err(ServeError::Run);
    stopper.abort();
    notifier.abort();
    ended
}

/// Apart from [`serve`], whose future can then be sent to another thread: the builder cannot.
fn bind(state: ApiState, addr: SocketAddr) -> Result<(Server, SocketAddr), ServeError> {
    let grace = state.settings.shutdown_grace.as_secs();
    let threads = match state.settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let server = HttpServer::new(move || build_app(state.clone()))
        .workers(threads)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(grace)
        .disable_signals()
        .bind(addr)
        .map_err(|source| ServeError::Bind { addr, source })?;
    let bound = server.addrs().first().copied().unwrap_or(addr);
    Ok((server.run(), bound))
}
