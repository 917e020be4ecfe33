//! The first start of `app dev` uploads the project's samples and answers a question from them. It uses HTTP and the same
//! client as the command line.

use std::{fs, io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{Context, DevFolder, token};
use crate::cli::UploadArgs;
use client::{
    ApiClient,
    dev_dir::{API_URL_FILE, TOKEN_FILE},
    render, search, upload,
};
use embedded_postgres::Cluster;
use messages::{DocumentView, Page, SearchRequest, SearchResponse};

/// The sample documents, included in the executable so that they are always there.
const SAMPLES: [(&str, &[u8]); 4] = [
    ("home-insurance-policy.pdf", include_bytes!("../../../samples/home-insurance-policy.pdf")),
    ("office-handbook.docx", include_bytes!("../../../samples/office-handbook.docx")),
    ("coffee-machine-manual.md", include_bytes!("../../../samples/coffee-machine-manual.md")),
    ("community-garden-rules.html", include_bytes!("../../../samples/community-garden-rules.html")),
];
/// A question that one sample answers.
const QUESTION: &str = "How do I descale the coffee machine?";
/// A word of the passage that answers it.
const ANSWER: &str = "citric";

/// Writes the files for the clients, uploads the samples on the first start or with `--once`, and prints what to type
/// next.
pub(super) async fn show(
    ctx: &Context,
    folder: &DevFolder,
    cluster: &Cluster,
    url: &str,
    once: bool,
) -> anyhow::Result<ExitCode> {
    let token = token(ctx)?;
    folder.write(API_URL_FILE, url)?;
    folder.write(TOKEN_FILE, &token)?;
    let api = ApiClient::at(url, &token, &ctx.build)?;
    let documents: Page<DocumentView> = api.get("/documents", &[]).await?;
    if once || documents.items.is_empty() {
        upload_samples(ctx, folder, &api).await?;
        search_samples(&api).await?;
    }
    if !once {
        render::print(&next_steps(folder, cluster, url, &token))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn upload_samples(ctx: &Context, folder: &DevFolder, api: &ApiClient) -> anyhow::Result<()> {
    let samples = folder.samples();
    fs::create_dir_all(&samples).with_context(|| format!("couldn't create {}", samples.display()))?;
    let mut files = Vec::with_capacity(SAMPLES.len());
    for (name, bytes) in SAMPLES {
        let file = samples.join(name);
        fs::write(&file, bytes).with_context(|| format!("couldn't write {}", file.display()))?;
        files.push(file);
    }
    render::print("Uploading the project's samples:\n\n")?;
    let args = UploadArgs {
        files,
        wait: true,
        no_wait: false,
        two_step: true,
        one_step: false,
        replace: None,
        ocr: false,
        dry_run: false,
        metadata: None,
        json: false,
    };
    let all_ok = upload::upload(api.clone(), args, &ctx.build).await?;
    anyhow::ensure!(all_ok, "a sample did not become searchable; the table says why");
    Ok(())
}

async fn search_samples(api: &ApiClient) -> anyhow::Result<()> {
    let request = SearchRequest { limit: Some(3), ..SearchRequest::of(QUESTION) };
    let answer: SearchResponse = api.post("/search", &request).await?;
    render::print(&format!("\nSearching them: {QUESTION}\n\n{}", search::render_hits(&answer)))?;
    let best = answer.hits.first().context("the search found nothing")?;
    anyhow::ensure!(best.text.contains(ANSWER), "the best passage does not answer the question");
    Ok(())
}

fn next_steps(folder: &DevFolder, cluster: &Cluster, url: &str, token: &str) -> String {
    // Only on a terminal, so that no token gets into a file or a log.
    let signed_in = if std::io::stdout().is_terminal() { format!("#token={token}") } else { String::new() };
    format!(
        "
app dev is running, and keeps its data in {}.

  In another terminal, in this checkout:
    app upload FILE...             upload documents and watch them become searchable
    app search \"a question\"        find the passage that answers it
    app jobs                       the jobs and their errors

  Page    {url}/{signed_in}
  API     {url}/api/upload-pipeline   (token: {})
  psql    {}

  `app` is {}. Ctrl-C stops everything; `app dev reset` erases it.
",
        folder.0.display(),
        folder.0.join(TOKEN_FILE).display(),
        cluster.psql_hint(super::DATABASE),
        std::env::current_exe().map_or_else(|_| "app".to_owned(), |path| path.display().to_string()),
    )
}

/// Prints that a signal arrived: the log of `app dev` shows only warnings.
pub(super) async fn print_when_stopping(stop: CancellationToken, grace: Duration) {
    stop.cancelled().await;
    let _stdout_is_closed = render::print(&format!(
        "\nStopping: running jobs have {} s, unfinished ones continue at the next start. Ctrl-C again stops at once.\n",
        grace.as_secs()
    ));
}
