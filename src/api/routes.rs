//! The one table of routes.
//!
//! What is registered in [`private`] is behind [`authenticate`]; there is no other way to get a [`Caller`](super::Caller).
//! What everybody may call is listed in [`open_routes`], and is meant to stay a short list.

use actix_web::{
    HttpResponse, Resource, Route,
    dev::HttpServiceFactory,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::{
    ApiError, ApiState,
    auth::authenticate,
    body_rules::check_body_head,
    dashboard, documents, events, health,
    idempotency::remember,
    jobs, jobs_many, metrics,
    problem::{from_path_error, from_query_error},
    search, uploads,
};

/// Where the API begins.
pub const BASE_PATH: &str = "/api/upload-pipeline";

/// Registers every route. Anything else is a 404 problem.
pub fn configure(cfg: &mut ServiceConfig, state: ApiState) {
    cfg.app_data(web::PayloadConfig::new(state.settings.json_body_bytes))
        .app_data(web::PathConfig::default().error_handler(from_path_error))
        .app_data(web::QueryConfig::default().error_handler(from_query_error))
        .app_data(web::Data::new(state));
    // Platforms probe the root; clients know the base path.
    cfg.service(on("/", "GET, HEAD", get(dashboard::page)))
        .service(on("/dashboard.css", "GET, HEAD", get(dashboard::style)))
        .service(on("/dashboard.js", "GET, HEAD", get(dashboard::script)));
    open_routes(cfg);
    cfg.service(
        web::scope(BASE_PATH)
            .wrap(from_fn(check_body_head))
            .configure(open_routes)
            .service(on("/uploads/{upload_id}", "PUT", [web::put().to(uploads::put_upload)]))
            .service(private()),
    );
    cfg.default_service(web::to(not_found));
}

fn open_routes(cfg: &mut ServiceConfig) {
    cfg.service(on("/health", "GET, HEAD", get(health::health)))
        .service(on("/readyz", "GET, HEAD", get(health::health)))
        .service(on("/livez", "GET, HEAD", get(health::livez)))
        .service(on("/version", "GET, HEAD", get(health::version)))
        .service(on("/metrics", "GET, HEAD", get(metrics::metrics)));
}

fn private() -> impl HttpServiceFactory {
    web::scope("")
        .wrap(from_fn(authenticate))
        .service(on("/upload", "POST", [web::post().to(uploads::post_upload)]).wrap(from_fn(remember)))
        .service(
            on(
                "/documents",
                "GET, HEAD, POST",
                get(documents::list_documents).into_iter().chain([web::post().to(documents::post_documents)]),
            )
            .wrap(from_fn(remember)),
        )
        .service(on(
            "/documents/{id}",
            "GET, HEAD, DELETE",
            get(documents::get_document).into_iter().chain([web::delete().to(documents::delete_document)]),
        ))
        .service(on("/documents/{id}/chunks", "GET, HEAD", get(documents::list_chunks)))
        .service(on("/deletions/{id}", "GET, HEAD", get(documents::get_deletion_receipt)))
        .service(on("/jobs", "GET, HEAD", get(jobs::list_jobs)))
        // Before the ids, or `retry` would be taken for one.
        .service(on("/jobs/retry", "POST", [web::post().to(jobs_many::retry_jobs)]).wrap(from_fn(remember)))
        .service(on("/jobs/{id}", "GET, HEAD", get(jobs::get_job)))
        .service(on("/jobs/{id}/events", "GET, HEAD", get(events::get_events)))
        .service(on("/jobs/{id}/retry", "POST", [web::post().to(jobs::retry_job)]).wrap(from_fn(remember)))
        .service(on("/jobs/{id}/cancel", "POST", [web::post().to(jobs::cancel_job)]).wrap(from_fn(remember)))
        .service(on("/search", "POST", [web::post().to(search::post_search)]))
        .default_service(web::to(not_found))
}

/// A path and what it takes; every other method is a 405 problem that names `allow`.
pub(super) fn on(path: &str, allow: &'static str, routes: impl IntoIterator<Item = Route>) -> Resource {
    routes
        .into_iter()
        .fold(web::resource(path), Resource::route)
        .default_service(web::to(move || async move { Err::<HttpResponse, _>(ApiError::method_not_allowed(allow)) }))
}

/// GET, and HEAD, which probes use.
pub(super) fn get<F, Args>(handler: F) -> [Route; 2]
where
    F: actix_web::Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    [web::get().to(handler.clone()), web::head().to(handler)]
}

pub(super) async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::route_not_found())
}
