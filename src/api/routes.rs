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
    documents, events, health, jobs, jobs_many, metrics,
    problem::{from_json_error, from_path_error, from_query_error},
    search, uploads, webhook,
};

/// Where the API begins.
pub const BASE_PATH: &str = "/api/upload-pipeline";

/// Registers every route. Anything else is a 404 problem.
pub fn configure(cfg: &mut ServiceConfig, state: ApiState) {
    let json = web::JsonConfig::default().limit(state.settings.json_body_bytes).error_handler(from_json_error);
    cfg.app_data(json)
        .app_data(web::PayloadConfig::new(state.settings.json_body_bytes))
        .app_data(web::PathConfig::default().error_handler(from_path_error))
        .app_data(web::QueryConfig::default().error_handler(from_query_error))
        .app_data(web::Data::new(state));
    // Platforms probe the root; clients know the base path.
    cfg.service(on("/", "GET, HEAD", get(index)));
    open_routes(cfg);
    cfg.service(
        web::scope(BASE_PATH)
            .configure(open_routes)
            .service(on("/uploads/{upload_id}", "PUT", [web::put().to(uploads::put_upload)]))
            .service(on("/webhook/llamaparse/{job_id}", "POST", [web::post().to(webhook::post_llamaparse)]))
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
        .service(on("/upload", "POST", [web::post().to(uploads::post_upload)]))
        .service(on(
            "/documents",
            "GET, POST",
            [web::get().to(documents::list_documents), web::post().to(documents::post_documents)],
        ))
        .service(on(
            "/documents/{id}",
            "GET, DELETE",
            [web::get().to(documents::get_document), web::delete().to(documents::delete_document)],
        ))
        .service(on("/documents/{id}/chunks", "GET", [web::get().to(documents::list_chunks)]))
        .service(on("/deletions/{id}", "GET", [web::get().to(documents::get_deletion_receipt)]))
        .service(on("/jobs", "GET", [web::get().to(jobs::list_jobs)]))
        // Before the ids, or `retry` would be taken for one.
        .service(on("/jobs/retry", "POST", [web::post().to(jobs_many::retry_jobs)]))
        .service(on("/jobs/{id}", "GET", [web::get().to(jobs::get_job)]))
        .service(on("/jobs/{id}/events", "GET", [web::get().to(events::get_events)]))
        .service(on("/jobs/{id}/retry", "POST", [web::post().to(jobs::retry_job)]))
        .service(on("/jobs/{id}/cancel", "POST", [web::post().to(jobs::cancel_job)]))
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

async fn index() -> HttpResponse {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>app</title>\
         <p>This is the API of app. Its base path is <code>{BASE_PATH}</code>; \
         <a href=\"/health\">/health</a> says whether it is ready.</p></html>\n"
    );
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
}

pub(super) async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::route_not_found())
}
