//! The one table of routes. From it come what the server answers and what the contract (`/openapi.json`) says, so that
//! neither has what the other lacks.
//!
//! What is `private` is behind [`authenticate`]; there is no other way to get a [`Caller`](crate::api::http::Caller). What everybody
//! may call is `open`, and is meant to stay a short list.

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use crate::api::{
    contract,
    guard::auth::authenticate,
    http::{
        ApiError,
        problem::{from_path_error, from_query_error},
    },
    messages::BASE_PATH,
    openapi::docs_page,
    ops::{health, metrics},
    resources::{documents, events, jobs, retry_jobs, search, uploads, webhook},
    server::body_head::check_body_head,
};

use super::endpoint::{Access, Endpoint, open, page, private, signed};

/// Every route: who may call, what answers, and where its documentation is.
pub fn endpoints() -> Vec<Endpoint> {
    use contract::{documents as documents_doc, jobs as jobs_doc, service, uploads as uploads_doc};
    vec![
        page("/").get(crate::api::page::page, service::dashboard),
        page("/dashboard.css").get(crate::api::page::style, service::dashboard_style),
        page("/dashboard.js").get(crate::api::page::script, service::dashboard_script),
        open("/health").get(health::health, service::health),
        open("/readyz").get(health::health, service::readyz),
        open("/livez").get(health::livez, service::livez),
        open("/version").get(health::version, service::version),
        open("/metrics").get(metrics::metrics, service::metrics),
        open("/openapi.json").get(docs_page::openapi, service::openapi),
        open("/docs").get(docs_page::page, service::docs),
        open("/docs/{file}").get(docs_page::asset, service::docs_file),
        signed("/uploads/{upload_id}").put(uploads::put_upload, uploads_doc::put_upload),
        signed("/webhook/llamaparse/{job_id}/{token}")
            .post(webhook::post_llamaparse, contract::webhook::post_llamaparse),
        private("/upload").post_once(
            uploads::post_upload,
            uploads_doc::post_upload,
            Some(|request, kept| Box::pin(uploads::sign_again(request, kept))),
        ),
        private("/documents").get(documents::list_documents, documents_doc::list_documents).post_once(
            documents::post_documents,
            uploads_doc::post_documents,
            None,
        ),
        private("/documents/{id}")
            .get(documents::get_document, documents_doc::get_document)
            .delete(documents::delete_document, documents_doc::delete_document),
        private("/documents/{id}/chunks").get(documents::list_chunks, documents_doc::list_chunks),
        private("/deletions/{id}").get(documents::get_deletion_receipt, documents_doc::get_deletion),
        private("/jobs").get(jobs::list_jobs, jobs_doc::list_jobs),
        // Before the ids, or `retry` would be taken for one.
        private("/jobs/retry").post_once(retry_jobs::retry_jobs, jobs_doc::retry_jobs, None),
        private("/jobs/{id}").get(jobs::get_job, jobs_doc::get_job),
        private("/jobs/{id}/events").get(events::get_events, jobs_doc::get_events),
        private("/jobs/{id}/retry").post_once(jobs::retry_job, jobs_doc::retry_job, None),
        private("/jobs/{id}/cancel").post_once(jobs::cancel_job, jobs_doc::cancel_job, None),
        private("/search").post(search::post_search, contract::search::post_search),
    ]
}

/// Registers every route. Anything else is a 404 problem.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.app_data(web::PathConfig::default().error_handler(from_path_error))
        .app_data(web::QueryConfig::default().error_handler(from_query_error));
    // Platforms probe the root; clients know the base path.
    register(cfg, Access::Page);
    register(cfg, Access::Open);
    let private = web::scope("")
        .wrap(from_fn(authenticate))
        .configure(|cfg| register(cfg, Access::Private))
        .default_service(web::to(not_found));
    cfg.service(
        web::scope(BASE_PATH)
            .wrap(from_fn(check_body_head))
            .configure(|cfg| register(cfg, Access::Open))
            .configure(|cfg| register(cfg, Access::Signed))
            .service(private),
    );
    cfg.default_service(web::to(not_found));
}

fn register(cfg: &mut ServiceConfig, access: Access) {
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.access == access) {
        cfg.service(endpoint.into_resource());
    }
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::route_not_found())
}
