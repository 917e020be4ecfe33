//! The HTTP server: the one table of routes, and what stands around every request. It listens before the database is
//! known to be up, and ends when told.

mod body_head;
mod endpoint;
mod request_id;
mod routes;
mod security_headers;
mod slow_bodies;

use std::{io, net::SocketAddr, time::Duration};

use actix_cors::Cors;
use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use crate::{
    guard::Guard,
    http::ApiState,
    openapi::docs_page::ServedDocument,
    ops::{metrics::MetricsCache, storage_health::StorageHealth},
    server::{
        request_id::identify, routes::configure, security_headers::add_security_headers, slow_bodies::end_slow_body,
    },
};

/// Connections that may wait to be accepted. Source: actix-web's documentation, which names 64 to 2048.
const BACKLOG: u32 = 2048;
/// How long a client that still sends a body may take to read why it was refused.
const LINGER: Duration = Duration::from_secs(2);

pub use routes::document_json;

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
    /// The server ended by itself.
    #[error("the HTTP server failed: {0}")]
    Run(#[source] io::Error),
}

/// What all threads of one server share.
#[derive(Clone)]
struct Shared {
    state: web::Data<ApiState>,
    guard: web::Data<Guard>,
    metrics: web::Data<MetricsCache>,
    storage: web::Data<StorageHealth>,
    document: web::Data<ServedDocument>,
}

impl Shared {
    fn new(state: ApiState) -> Self {
        let document = document_json(&state.settings.uploads, state.build.version);
        Self {
            guard: web::Data::new(Guard::new(&state)),
            metrics: web::Data::default(),
            storage: web::Data::default(),
            document: web::Data::new(ServedDocument::new(document)),
            state: web::Data::new(state),
        }
    }

    fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(self.state.clone())
            .app_data(self.guard.clone())
            .app_data(self.metrics.clone())
            .app_data(self.storage.clone())
            .app_data(self.document.clone())
            .app_data(web::PayloadConfig::new(self.state.settings.json_body_bytes));
        configure(cfg);
    }
}

/// The application: routes, CORS, request ids and what guards them all.
fn build_app(
    shared: Shared,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = cors(&shared.state.settings.cors_origins);
    // The last is the outermost: it sees every answer.
    App::new()
        .configure(|cfg| shared.configure(cfg))
        .wrap(from_fn(end_slow_body))
        .wrap(from_fn(identify))
        .wrap(cors)
        .wrap(from_fn(add_security_headers))
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
    let shared = Shared::new(state);
    let server = HttpServer::new(move || build_app(shared.clone()))
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
