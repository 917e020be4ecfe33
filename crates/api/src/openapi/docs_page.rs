//! The contract as served: `/openapi.json`, and a page at `/docs` to read it and to try it. The page is Swagger UI from
//! this executable, so it works without access to other hosts.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use actix_web::{HttpResponse, http::header, web};
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::docs_schemas::{AnyDocument, FileName};
use crate::http::{ApiError, codes, page_file};
use domain::Code;

/// What the page may do: run its own files, and call its own origin's API. Swagger UI sets styles inline and has its
/// pictures in `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
pub struct File {
    /// Below `/docs/`.
    pub name: &'static str,
    content_type: &'static str,
    /// `None`: from Swagger UI's distribution.
    own: Option<&'static str>,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// All files. The page does not need the others of Swagger UI's distribution.
pub const FILES: [File; 4] = [
    File { name: "swagger-ui.css", content_type: STYLE, own: None },
    File { name: "swagger-ui-bundle.js", content_type: SCRIPT, own: None },
    File { name: "start.css", content_type: STYLE, own: Some(include_str!("docs_page/start.css")) },
    File { name: "start.js", content_type: SCRIPT, own: Some(include_str!("docs_page/start.js")) },
];

/// The document with this deployment's limits in it, made once.
pub struct ServedDocument(Result<Bytes, String>);

impl ServedDocument {
    /// `json` is the document, or why it could not be written.
    pub fn new(json: Result<String, serde_json::Error>) -> Self {
        Self(json.map(Bytes::from).map_err(|error| error.to_string()))
    }
}

/// This contract.
///
/// OpenAPI 3.1, made from the code that answers.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Service",
    responses((
        status = 200,
        description = "The document.",
        body = inline(AnyDocument),
        content_type = "application/json"
    ))
)]
pub async fn openapi(document: web::Data<ServedDocument>) -> Result<HttpResponse, ApiError> {
    let document = document.0.clone().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(document))
}

/// This contract, to read and to try.
///
/// A page that needs nothing from elsewhere.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "Service",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub async fn docs() -> HttpResponse {
    file("text/html; charset=utf-8", Bytes::from_static(include_str!("docs_page/index.html").as_bytes()))
}

/// A file of the page at /docs.
///
/// Its script, its style, its licence.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "Service",
    params(("file" = inline(FileName), Path, description = "The file's name.")),
    responses((
        status = 200,
        description = "The file.",
        content((String = "text/javascript"), (String = "text/css"), (String = "text/plain"))
    )),
    extensions(("x-codes" = json!(codes(&[Code::RouteNotFound]))))
)]
pub async fn docs_file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = FILES.iter().find(|file| file.name == name.as_str()).ok_or_else(ApiError::route_not_found)?;
    let bytes = match found.own {
        Some(text) => Bytes::from_static(text.as_bytes()),
        None => vendored(found.name)?,
    };
    Ok(file(found.content_type, bytes))
}

fn vendored(name: &str) -> Result<Bytes, ApiError> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("openapi.json")));
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).map_err(ApiError::internal)?;
    match found.ok_or_else(|| ApiError::internal(format!("Swagger UI lacks {name}")))?.bytes {
        Cow::Borrowed(bytes) => Ok(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => Ok(Bytes::from(bytes)),
    }
}

fn file(content_type: &str, bytes: Bytes) -> HttpResponse {
    page_file(content_type, POLICY, bytes)
}
