//! The one table of routes. From it come what the server answers and what the contract (`/openapi.json`) says, so that
//! neither has what the other lacks.
//!
//! What is `private` is behind [`authenticate`]; there is no other way to get a [`Caller`](crate::http::Caller).
//! What anyone may call is `open`, and is meant to stay a short list.

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::endpoint::{Endpoint, handler, open, page, private, resource, signed};
use crate::{
    guard::auth::authenticate,
    http::{
        ApiError,
        problem::{from_path_error, from_query_error},
    },
    openapi::{Access, Route, docs_page, document},
    ops::{health, metrics},
    page,
    resources::{documents, events, jobs, retry_jobs, search, uploads, webhook},
    server::body_head::check_body_head,
    settings::UploadLimits,
};
use messages::BASE_PATH;

/// Every route: who may call, and what answers. Path, method and contract stand at the handler.
fn endpoints() -> Vec<Endpoint> {
    vec![
        page(handler!(page::dashboard)),
        page(handler!(page::dashboard_style)),
        page(handler!(page::dashboard_script)),
        open(handler!(health::health)),
        open(handler!(health::readyz)),
        open(handler!(health::livez)),
        open(handler!(health::version)),
        open(handler!(metrics::metrics)),
        open(handler!(docs_page::openapi)),
        open(handler!(docs_page::docs)),
        open(handler!(docs_page::docs_file)),
        signed(handler!(uploads::put_upload)),
        signed(handler!(webhook::post_llamaparse)),
        private(handler!(uploads::post_upload))
            .replayable_by(|request, kept| Box::pin(uploads::sign_again(request, kept))),
        private(handler!(documents::list_documents)),
        private(handler!(documents::post_documents)).replayable(),
        private(handler!(documents::get_document)),
        private(handler!(documents::delete_document)),
        private(handler!(documents::list_chunks)),
        private(handler!(documents::get_deletion_receipt)),
        private(handler!(jobs::list_jobs)),
        // Before the ids, or `retry` would be taken for one.
        private(handler!(retry_jobs::retry_jobs)).replayable(),
        private(handler!(jobs::get_job)),
        private(handler!(events::get_events)),
        private(handler!(jobs::retry_job)).replayable(),
        private(handler!(jobs::cancel_job)).replayable(),
        private(handler!(search::post_search)),
    ]
}

/// The contract of every route, with these limits in it, as JSON.
///
/// # Errors
///
/// None that occurs: the document is strings, numbers and maps.
pub fn document_json(limits: &UploadLimits, version: &str) -> Result<String, serde_json::Error> {
    let routes: Vec<Route> = endpoints().into_iter().map(|endpoint| endpoint.route).collect();
    document(&routes, limits, version).to_pretty_json().map(|text| text + "\n")
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
    let mut paths: Vec<(String, Vec<Endpoint>)> = Vec::new();
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.route.access == access) {
        match paths.iter_mut().find(|(path, _)| *path == endpoint.route.path) {
            Some((_, methods)) => methods.push(endpoint),
            None => paths.push((endpoint.route.path.clone(), vec![endpoint])),
        }
    }
    for (path, methods) in paths {
        cfg.service(resource(&path, methods));
    }
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::route_not_found())
}
