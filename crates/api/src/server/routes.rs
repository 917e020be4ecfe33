//! The one table of routes. From it come what the server answers and, by a test, what the contract (`/openapi.json`) says, so that
//! neither has what the other lacks.
//!
//! What is `private` is behind [`authenticate`]; there is no other way to get a [`Caller`](crate::http::Caller).
//! What anyone may call is `open`, and is meant to stay a short list.

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::endpoint::{Endpoint, endpoint, resource};
use crate::{
    guard::auth::authenticate,
    http::{ApiError, from_path_error, from_query_error},
    openapi::{Access, docs_page},
    ops::{health, metrics},
    page,
    resources::{
        change_document, document_files, documents, estimate, events, jobs, judgements, pages, retry_jobs, search,
        send_documents, uploads, usage, versions, webhook,
    },
    server::body_head::check_body_head,
};
use messages::BASE_PATH;

/// Every route: who may call, and what answers. Path, method and contract stand at the handler.
fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint!(Page page::dashboard),
        endpoint!(Page page::dashboard_style),
        endpoint!(Page page::dashboard_script),
        endpoint!(Page page::dashboard_part),
        endpoint!(Open health::health),
        endpoint!(Open health::readyz),
        endpoint!(Open health::livez),
        endpoint!(Open health::version),
        endpoint!(Open metrics::metrics),
        endpoint!(Open docs_page::openapi),
        endpoint!(Open docs_page::docs),
        endpoint!(Open docs_page::docs_file),
        endpoint!(Signed uploads::put_upload),
        endpoint!(Signed webhook::post_llamaparse),
        endpoint!(Private uploads::post_upload)
            .replayable(Some(|request, kept| Box::pin(uploads::sign_again(request, kept)))),
        endpoint!(Private documents::list_documents),
        endpoint!(Private send_documents::post_documents).replayable(None),
        endpoint!(Private estimate::post_estimate),
        endpoint!(Private documents::get_document),
        endpoint!(Private change_document::patch_document),
        endpoint!(Private versions::put_document).replayable(None),
        endpoint!(Private documents::delete_document),
        endpoint!(Private versions::list_versions),
        endpoint!(Private versions::restore_version).replayable(None),
        endpoint!(Private documents::list_chunks),
        endpoint!(Private document_files::get_markdown),
        endpoint!(Private document_files::get_file),
        endpoint!(Private pages::get_page),
        endpoint!(Private documents::get_deletion_receipt),
        endpoint!(Private jobs::list_jobs),
        // Before the ids, or `retry` would be taken for one.
        endpoint!(Private retry_jobs::retry_jobs).replayable(None),
        endpoint!(Private jobs::get_job),
        endpoint!(Private events::get_events),
        endpoint!(Private jobs::retry_job).replayable(None),
        endpoint!(Private jobs::cancel_job).replayable(None),
        endpoint!(Private search::post_search),
        endpoint!(Private search::post_terms),
        endpoint!(Private judgements::list_judgements),
        endpoint!(Private judgements::post_judgement),
        endpoint!(Private judgements::delete_judgement),
        endpoint!(Private usage::get_usage),
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

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::endpoints;
    use crate::openapi::{document, document_json};

    /// The file is committed so that a change of the contract shows in reviews, and served.
    #[test]
    fn docs_openapi_json_is_the_contract_of_the_routes() {
        let limits = config::Config::load_lenient(config::Role::Api, &config::Sources::default()).0.uploads;
        let routes: Vec<_> = endpoints().into_iter().map(|endpoint| endpoint.route).collect();
        let made = document(&routes, &limits, env!("CARGO_PKG_VERSION")).unwrap();
        let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
        if env::var_os("UPDATE_DOCS").is_some() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
            return fs::write(file, text).unwrap();
        }
        assert!(
            document_json(&limits, env!("CARGO_PKG_VERSION")).unwrap() == text,
            "docs/openapi.json is out of date: run this test once with UPDATE_DOCS=1 and read the diff"
        );
    }
}
