//! The HTTP server: binds before the database is known to be up, ends when told.

use std::{io, net::SocketAddr, time::Duration};

use actix_cors::Cors;
use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
};

use super::{ApiState, configure, pace::pace, request_id::identify, shield::shield};

/// Connections that may wait to be accepted. Source: actix-web's documentation, which names 64 to 2048.
const BACKLOG: u32 = 2048;
/// How long a client that still sends a body may take to read why it was refused.
const LINGER: Duration = Duration::from_secs(2);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or is not ours.
    #[error("couldn't listen on {addr}: {source}; choose another with API_HOST and PORT")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address for a worker's probes is taken, or is not ours.
    #[error(
        "couldn't listen on {addr} for probes: {source}; choose another with WORKER_HTTP_HOST and WORKER_HTTP_PORT"
    )]
    BindProbes {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended by itself.
    #[error("the HTTP server failed: {0}")]
    Run(#[source] io::Error),
}

/// The application: routes, CORS, request ids and what guards them all. Used by [`serve`] and by tests.
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
    // The last is the outermost: it sees every answer.
    App::new()
        .configure(|cfg| configure(cfg, state))
        .wrap(from_fn(pace))
        .wrap(from_fn(identify))
        .wrap(cors)
        .wrap(from_fn(shield))
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
        .expose_headers([
            "x-request-id",
            "x-correlation-id",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "etag",
            "location",
            "idempotency-replayed",
        ])
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

/// Binds the address. Not a part of [`serve`], because the builder cannot be sent to another thread and the server can.
fn bind(state: ApiState, addr: SocketAddr) -> Result<(Server, SocketAddr), ServeError> {
    let refuse = |source| ServeError::Bind { addr, source };
    let threads = match state.settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let bounds = state.settings.bounds;
    let connections = match bounds.max_connections {
        0 => usize::MAX,
        total => total.div_ceil(threads),
    };
    let grace = state.settings.shutdown_grace;
    let server = HttpServer::new(move || build_app(state.clone()))
        .workers(threads)
        .max_connections(connections)
        // Events of a live timeline go out as they come.
        .tcp_nodelay(true)
        .keep_alive(bounds.keep_alive)
        .client_request_timeout(bounds.head_timeout)
        .client_disconnect_timeout(LINGER)
        .shutdown_timeout(grace.as_secs())
        .disable_signals()
        .backlog(BACKLOG)
        .bind(addr)
        .map_err(refuse)?;
    let bound = server.addrs().first().copied().unwrap_or(addr);
    Ok((server.run(), bound))
}
