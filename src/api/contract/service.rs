//! What is open to everybody: probes, figures, the contract and the pages.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{Content, ContentBuilder, ObjectBuilder, Type, schema::AdditionalProperties};

use super::{Doc, Tag, doc::text_content, samples};
use crate::api::{
    messages::{Health, VersionInfo},
    openapi::docs_page::FILES,
};
use crate::domain::Code;

/// `/health`.
pub fn health() -> Doc {
    healthy("health", "Whether this process is ready, and why not")
}

/// `/readyz`.
pub fn readyz() -> Doc {
    healthy("readyz", "The same as /health")
}

fn healthy(id: &'static str, summary: &'static str) -> Doc {
    Doc::new(id, Tag::Service, summary, "Asks the database, within 3 s. Platforms that route by readiness probe this.")
        .answers::<Health>(StatusCode::OK, "Ready.", &[("ready", samples::health(true))])
        .answers::<Health>(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not ready; `checks` has the reasons.",
            &[("schema_missing", samples::health(false))],
        )
}

/// `/livez`.
pub fn livez() -> Doc {
    Doc::new(
        "livez",
        Tag::Service,
        "Whether this process answers",
        "Never touches the database. Platforms that restart what is dead probe this.",
    )
    .answers_with(StatusCode::OK, "It does.", [("text/plain", text_content("ok\n"))])
}

/// `/version`.
pub fn version() -> Doc {
    Doc::new(
        "version",
        Tag::Service,
        "Which build this is",
        "Version, commit, branch, and the newest migration it knows.",
    )
    .answers::<VersionInfo>(StatusCode::OK, "The build.", &[("build", samples::version())])
}

/// `/metrics`.
pub fn metrics() -> Doc {
    Doc::new(
        "metrics",
        Tag::Service,
        "Figures for Prometheus",
        "Of this process, the queue, the database and the workers, in the text format 0.0.4. 200 without a database, too, \
         with `app_database_up 0`.",
    )
    .answers_with(
        StatusCode::OK,
        "The figures.",
        [("text/plain", text_content("# HELP app_database_up Whether the database answered.\n# TYPE app_database_up gauge\napp_database_up 1\n"))],
    )
}

/// `/openapi.json`.
pub fn openapi() -> Doc {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("openapi", ObjectBuilder::new().schema_type(Type::String))
        .property("info", ObjectBuilder::new().schema_type(Type::Object))
        .property("paths", ObjectBuilder::new().schema_type(Type::Object))
        .required("openapi")
        .required("info")
        .required("paths")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    let example = json!({ "openapi": "3.1.0", "info": { "title": "app", "version": "0.1.0" }, "paths": {} });
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    Doc::new("openapi", Tag::Service, "This contract", "OpenAPI 3.1, made from the code that answers.").answers_with(
        StatusCode::OK,
        "The document.",
        [("application/json", content)],
    )
}

/// `/docs`.
pub fn docs() -> Doc {
    html("docs", Tag::Service, "This contract, to read and to try", "A page that needs nothing from elsewhere.")
}

/// `/docs/{file}`.
pub fn docs_file() -> Doc {
    let names = FILES.iter().map(|file| file.name);
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    Doc::new("docs_file", Tag::Service, "A file of the page at /docs", "Its script, its style, its licence.")
        .in_path("file", "The file's name.", schema, "start.js")
        .answers_with(
            StatusCode::OK,
            "The file.",
            [
                ("text/javascript", text_content("window.ui = SwaggerUIBundle({});")),
                ("text/css", text_content("body { margin: 0; }")),
                ("text/plain", text_content("Apache License")),
            ],
        )
        .refuses(&[Code::RouteNotFound])
}

/// `/`.
pub fn dashboard() -> Doc {
    html(
        "dashboard",
        Tag::Pages,
        "A page for people",
        "Upload, watch, search, retry, delete. It signs in as any client does.",
    )
}

/// `/dashboard.css`.
pub fn dashboard_style() -> Doc {
    Doc::new("dashboard_style", Tag::Pages, "The style of the page at /", "CSS.").answers_with(
        StatusCode::OK,
        "The style.",
        [("text/css", text_content("body { margin: 0; }"))],
    )
}

/// `/dashboard.js`.
pub fn dashboard_script() -> Doc {
    Doc::new("dashboard_script", Tag::Pages, "The script of the page at /", "JavaScript.").answers_with(
        StatusCode::OK,
        "The script.",
        [("text/javascript", text_content("\"use strict\";"))],
    )
}

fn html(id: &'static str, tag: Tag, summary: &'static str, description: &'static str) -> Doc {
    let page: Content = text_content("<!doctype html><html lang=\"en\"><title>Documents</title></html>");
    Doc::new(id, tag, summary, description).answers_with(StatusCode::OK, "The page.", [("text/html", page)])
}
