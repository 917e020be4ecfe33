//! The HTTP server: binds before the database is known to be up, ends when told.

use std::{
    future::ready,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    rc::Rc,
};

use actix_cors::Cors;
use actix_http::{HttpService, error::DispatchError};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App,
    body::MessageBody,
    dev::{AppConfig, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    rt::net::TcpStream,
};
use tokio::net::TcpSocket;

use super::{
    ApiState, configure,
    connections::{LINGER, Wire, occupy},
    pace::pace,
    request_id::identify,
    shield::shield,
};

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
        .wrap(from_fn(occupy))
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

/// Apart from [`serve`], whose future can then be sent to another thread: the builder cannot.
fn bind(state: ApiState, addr: SocketAddr) -> Result<(Server, SocketAddr), ServeError> {
    let refuse = |source| ServeError::Bind { addr, source };
    let listener = listen(addr).map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    let threads = match state.settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let bounds = state.settings.bounds;
    let connections = match bounds.max_connections {
        0 => usize::MAX,
        total => total.div_ceil(threads),
    };
    let builder = Server::build()
        .workers(threads)
        .max_concurrent_connections(connections)
        .shutdown_timeout(state.settings.shutdown_grace.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder
        .listen("api", listener, move || {
            let app = build_app(state.clone()).into_factory().map_err(|error| error.error_response());
            let (stopping, stop) = (stopping.clone(), state.stop.clone());
            let http = HttpService::build()
                .keep_alive(bounds.keep_alive)
                .client_request_timeout(bounds.head_timeout)
                // Without it, whoever still sends what was refused is cut off before it reads why.
                .client_disconnect_timeout(LINGER)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .on_connect_ext(|wire: &Wire, data| {
                    data.insert(Rc::clone(wire.connection()));
                })
                // Its host is only for requests that name none.
                .h1(map_config(app, |()| AppConfig::default()));
            fn_service(move |socket: TcpStream| {
                let peer = socket.peer_addr().ok();
                ready(Wire::new(socket, &bounds, stop.clone()).map(|wire| (wire, peer)).map_err(DispatchError::Io))
            })
            .and_then(http)
        })
        .map_err(refuse)?
        .run();
    Ok((server, bound))
}

/// Source of the backlog: actix-web's.
fn listen(addr: SocketAddr) -> io::Result<StdListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart does not wait for the connections of the last run.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(2048)?.into_std()
}
