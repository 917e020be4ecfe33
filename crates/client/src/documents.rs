//! `app documents`: list, what was read, the original, and versions.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use reqwest::Response;

use super::{connect::connect, http::ApiClient, jobs::list_items, render};
use crate::args::{
    DocumentsAction, DocumentsArgs, DocumentsGetArgs, DocumentsListArgs, DocumentsRestoreArgs, DocumentsVersionsArgs,
};
use config::Sources;
use domain::build_info::BuildInfo;
use messages::{DocumentView, ReplacementAccepted, VersionView};

/// Runs one action.
///
/// # Errors
///
/// There is no API to ask, its answer is an error, or the file cannot be written.
pub async fn run(args: DocumentsArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let api = connect(sources, build)?;
    match args.action.unwrap_or(DocumentsAction::List(args.list)) {
        DocumentsAction::List(args) => list(&api, &args).await?,
        DocumentsAction::Get(args) => get(&api, args).await?,
        DocumentsAction::Versions(args) => list_versions(&api, &args).await?,
        DocumentsAction::Restore(args) => restore(&api, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(api: &ApiClient, args: &DocumentsListArgs) -> anyhow::Result<()> {
    let filename = args.filename.clone().map(|part| ("filename", part));
    let filter = args.filter.as_ref().map(|filter| ("filter", filter.to_string()));
    let query = filename.into_iter().chain(filter).collect();
    let documents: Vec<DocumentView> = list_items(api, "/documents", query, Some(args.limit)).await?;
    if args.json {
        return render::print_json(&documents);
    }
    if documents.is_empty() {
        return render::print("No documents. `app upload FILE` sends one.\n");
    }
    let rows = documents.iter().map(|document| {
        vec![
            document.document_id.to_string(),
            document.filename.clone(),
            document.processing_status.clone().unwrap_or_default(),
            document.version_no.to_string(),
            document.page_count.map(|pages| pages.to_string()).unwrap_or_default(),
            document.chunks.to_string(),
            render::moment(document.created_at),
        ]
    });
    let head = ["DOCUMENT", "FILE", "STATUS", "VERSION", "PAGES", "PASSAGES", "UPLOADED (UTC)"];
    render::print(&render::table(&head, rows))
}

async fn list_versions(api: &ApiClient, args: &DocumentsVersionsArgs) -> anyhow::Result<()> {
    let path = format!("/documents/{}/versions", args.document_id);
    let versions: Vec<VersionView> = list_items(api, &path, Vec::new(), None).await?;
    if args.json {
        return render::print_json(&versions);
    }
    let rows = versions.iter().map(|version| {
        vec![
            version.version_no.to_string(),
            version.state.clone(),
            version.filename.clone(),
            version.bytes_len.to_string(),
            version.pages.map(|pages| pages.to_string()).unwrap_or_default(),
            version.passages.to_string(),
            render::moment(version.created_at),
            version.job_id.map(|job| job.to_string()).unwrap_or_default(),
        ]
    });
    let head = ["VERSION", "STATE", "FILE", "BYTES", "PAGES", "PASSAGES", "UPLOADED (UTC)", "JOB"];
    render::print(&render::table(&head, rows))
}

async fn restore(api: &ApiClient, args: &DocumentsRestoreArgs) -> anyhow::Result<()> {
    let path = format!("/documents/{}/versions/{}/restore", args.document_id, args.version_no);
    let accepted: ReplacementAccepted = api.post(&path, &serde_json::json!({})).await?;
    if args.json {
        return render::print_json(&accepted);
    }
    let ReplacementAccepted { job_id, version_no, .. } = accepted;
    render::print(&format!("Version {version_no} becomes the active one by job {job_id}: `app jobs show {job_id}`.\n"))
}

async fn get(api: &ApiClient, args: DocumentsGetArgs) -> anyhow::Result<()> {
    let path = format!("/documents/{}", args.document_id);
    if !args.markdown && !args.file {
        let document: DocumentView = api.get(&path, &[]).await?;
        return render::print_json(&document);
    }
    if args.file && args.output.is_none() && io::stdout().is_terminal() {
        bail!("the original may be no text for a terminal; name a file with -o, or use a pipe");
    }
    let response = api.download(&format!("{path}/{}", if args.file { "file" } else { "markdown" })).await?;
    match args.output {
        Some(output) => save(api, response, &output).await,
        None => write_to_stdout(api, response).await,
    }
}

/// Writes the body to `output`, which appears whole or not at all.
async fn save(api: &ApiClient, mut response: Response, output: &Path) -> anyhow::Result<()> {
    let couldnt = || format!("couldn't write {}", output.display());
    let part = PathBuf::from(format!("{}.part", output.display()));
    let mut file = std::fs::File::create(&part).with_context(couldnt)?;
    let written = async {
        while let Some(bytes) = response.chunk().await.map_err(|error| api.transport_error(&error))? {
            file.write_all(&bytes).with_context(couldnt)?;
        }
        std::fs::rename(&part, output).with_context(couldnt)
    };
    let written: anyhow::Result<()> = written.await;
    if written.is_err() {
        // The reason for the failure says more than why its remains stay.
        drop(std::fs::remove_file(&part));
    }
    written
}

async fn write_to_stdout(api: &ApiClient, mut response: Response) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    while let Some(bytes) = response.chunk().await.map_err(|error| api.transport_error(&error))? {
        match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
            // A closed pipe (`| head`) is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}
