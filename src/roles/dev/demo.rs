//! The first start of `app dev`: it takes in the project's own samples and answers a question from them, so that the
//! one command has shown the main job. Done over HTTP, by the same clients that a person uses.

use std::{
    fs,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

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
use messages::{DocumentView, Page, SearchMode, SearchRequest, SearchResponse};

/// The project's own documents, carried along so that they are there wherever the program is.
const SAMPLES: [(&str, &[u8]); 4] = [
    ("home-insurance-policy.pdf", include_bytes!("../../../samples/home-insurance-policy.pdf")),
    ("office-handbook.docx", include_bytes!("../../../samples/office-handbook.docx")),
    ("coffee-machine-manual.md", include_bytes!("../../../samples/coffee-machine-manual.md")),
    ("community-garden-rules.html", include_bytes!("../../../samples/community-garden-rules.html")),
];
/// A question that one of them answers, and what its best passage must hold.
const QUESTION: &str = "How do I descale the coffee machine?";
const ANSWER: &str = "citric";

/// Leaves what clients need, shows the samples on the first start or for `--once`, and prints what to type next.
pub(super) async fn show(
    ctx: &Context,
    folder: &DevFolder,
    cluster: &Cluster,
    url: &str,
    once: bool,
) -> anyhow::Result<ExitCode> {
    let token = token(ctx)?;
    folder.leave(API_URL_FILE, url)?;
    folder.leave(TOKEN_FILE, &token)?;
    let api = ApiClient::at(url, &token, &ctx.build)?;
    let documents: Page<DocumentView> = api.get("/documents", &[]).await?;
    if once || documents.items.is_empty() {
        take_in_samples(ctx, folder, &api).await?;
        ask(&api).await?;
    }
    if !once {
        print(&next_steps(folder, cluster, url, &token))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn take_in_samples(ctx: &Context, folder: &DevFolder, api: &ApiClient) -> anyhow::Result<()> {
    let place = folder.path().join("samples");
    fs::create_dir_all(&place).with_context(|| format!("couldn't make {}", place.display()))?;
    let mut files = Vec::with_capacity(SAMPLES.len());
    for (name, bytes) in SAMPLES {
        let file = place.join(name);
        fs::write(&file, bytes).with_context(|| format!("couldn't write {}", file.display()))?;
        files.push(file);
    }
    print("Taking in the project's own samples:\n\n")?;
    let args = UploadArgs { files, wait: true, no_wait: false, two_step: true, one_step: false, json: false };
    let all_well = upload::upload(api.clone(), args, &ctx.build).await?;
    anyhow::ensure!(all_well, "a sample did not become searchable; the table says why");
    Ok(())
}

async fn ask(api: &ApiClient) -> anyhow::Result<()> {
    let request =
        SearchRequest { query: QUESTION.to_owned(), limit: Some(3), mode: SearchMode::Hybrid, document_id: None };
    let answer: SearchResponse = api.post("/search", &request).await?;
    print(&format!("\nAsking them: {QUESTION}\n\n{}", search::render_hits(&answer)))?;
    let best = answer.hits.first().context("the search found nothing")?;
    anyhow::ensure!(best.text.contains(ANSWER), "the best passage does not answer the question");
    Ok(())
}

fn next_steps(folder: &DevFolder, cluster: &Cluster, url: &str, token: &str) -> String {
    // Into a person's terminal only: what is caught in a file or a log must hold no token.
    let signed_in = if std::io::stdout().is_terminal() { format!("#token={token}") } else { String::new() };
    format!(
        "
app dev is running, and keeps its data in {}.

  In another terminal, in this checkout:
    app upload FILE...             take in documents, and watch them become searchable
    app search \"a question\"        find the passage that answers it
    app jobs                       what was done, and what went wrong

  Page    {url}/{signed_in}
  API     {url}/api/upload-pipeline   (token: {})
  psql    {}

  `app` is {}. Ctrl-C stops everything; `app dev reset` erases it.
",
        folder.path().display(),
        folder.path().join(TOKEN_FILE).display(),
        cluster.psql_hint(super::DATABASE),
        std::env::current_exe().map_or_else(|_| "app".to_owned(), |path| path.display().to_string()),
    )
}

/// Its log says only what is wrong, and a person who pressed Ctrl-C looks for an answer.
pub(super) async fn tell_when_stopping(stop: CancellationToken, grace: Duration) {
    stop.cancelled().await;
    let _nobody_reads = print(&format!(
        "\nStopping: jobs get {} s; what is not done then goes on at the next start. Ctrl-C again ends at once.\n",
        grace.as_secs()
    ));
}

/// A closed stdout is no reason to stop serving.
fn print(text: &str) -> anyhow::Result<()> {
    render::print(text)?;
    std::io::stdout().flush()?;
    Ok(())
}
