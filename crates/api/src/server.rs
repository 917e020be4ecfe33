//! The HTTP server: the one table of routes, and what stands around every request. It listens before the database is
//! known to be up, and ends when told.

mod body_head;
mod endpoint;
mod expect;
mod panics;
mod request_id;
mod routes;
mod security_headers;
mod slow_bodies;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_cors::Cors;
use actix_http::HttpService;
use actix_server::Server;
use actix_service::{ServiceFactoryExt, apply_fn_factory, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Response},
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use tokio_util::sync::CancellationToken;

use crate::{
    guard::Guard,
    http::ApiState,
    openapi::{docs_page::ServedDocument, document_json},
    ops::{health::Probes, metrics::MetricsCache},
    server::{
        request_id::identify, routes::configure, security_headers::add_security_headers, slow_bodies::end_slow_body,
    },
};

/// How long a client that still sends a body may take to read why it was refused.
const LINGER: Duration = Duration::from_secs(2);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is in use, or is not one of this machine.
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

/// Registers what all threads of one server share, and the routes.
fn shared(state: web::Data<ApiState>) -> impl Fn(&mut ServiceConfig) + Clone + Send {
    let guard = web::Data::new(Guard::new(&state));
    let metrics = web::Data::new(MetricsCache::default());
    let probes = web::Data::new(Probes::default());
    let document = document_json(&state.settings.uploads, state.build.version);
    let document = web::Data::new(ServedDocument::new(document));
    move |cfg| {
        cfg.app_data(state.clone())
            .app_data(guard.clone())
            .app_data(metrics.clone())
            .app_data(probes.clone())
            .app_data(document.clone());
        configure(cfg);
    }
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
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
    let notifier = tokio::spawn(state.notifier.clone().run(state.db.clone(), state.stop.clone()));
    let (questions, db, served) = (Arc::clone(&state.questions), state.db.clone(), CancellationToken::new());
    let (server, bound) = bind(state, addr)?;
    let counted = tokio::spawn({
        let served = served.clone();
        async move { questions.run(&db, &served).await }
    });
    tracing::info!(address = %bound, "listening on http://{bound}");
    on_bound(bound);
    let ended = server.await.map_err(ServeError::Run);
    notifier.abort();
    // No search comes after this.
    served.cancel();
    let _ = counted.await;
    ended
}

/// Binds the address. Not a part of [`serve`], because the builder cannot be sent to another thread and the server can.
fn bind(state: ApiState, addr: SocketAddr) -> Result<(Server, SocketAddr), ServeError> {
    let refuse = |source| ServeError::Bind { addr, source };
    let http = state.settings.http.clone();
    let threads = match http.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let connections = match http.max_connections {
        0 => usize::MAX,
        total => total.div_ceil(threads),
    };
    let (keep_alive, stop) = (state.settings.keep_alive, state.stop.clone());
    let listener = TcpListener::bind(addr).map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    let shared = shared(web::Data::new(state));
    let stopped = stop.clone();
    let service = move || {
        let app = || {
            // The last is the outermost: it sees every answer.
            let app = App::new()
                .configure(shared.clone())
                .wrap(from_fn(end_slow_body))
                .wrap(from_fn(identify))
                .wrap(cors(&http.cors_origins))
                .wrap(from_fn(add_security_headers));
            map_config(app, |()| AppConfig::default()).map_err(Response::from)
        };
        let stopped = stopped.clone();
        HttpService::build()
            .keep_alive(keep_alive)
            .client_request_timeout(http.head_timeout)
            .client_disconnect_timeout(LINGER)
            // Events of a live timeline go out as they come.
            .tcp_nodelay(true)
            .graceful_shutdown_signal(move || stopped.clone().cancelled_owned())
            .expect(apply_fn_factory(app(), expect::decide))
            .finish(apply_fn_factory(app(), expect::answer))
            .tcp()
    };
    let server = Server::build()
        .workers(threads)
        .max_concurrent_connections(connections)
        .shutdown_timeout(http.grace.as_secs())
        .shutdown_signal(stop.cancelled_owned())
        .listen("api", listener, service)
        .map_err(refuse)?;
    Ok((server.run(), bound))
}
