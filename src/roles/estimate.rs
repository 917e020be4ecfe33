//! `app estimate FILE…`: what files would bring and cost. Needs no database and no network.

use std::{
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    parse::expect_a_file,
    wiring::{local_parser, parse_memory},
};
use crate::cli::EstimateArgs;
use async_trait::async_trait;
use chunker::MarkdownChunker;
use config::{Config, EmbedProvider, ParserChoice, Role, Sources};
use domain::{
    Code, Failure,
    ports::{Chunker, Estimate, EstimateJob, Estimator, OcrPage, ParseJob, ParseLimits, ParseWatch, Parser},
};
use messages::{Estimates, FileEstimate};
use pipeline::EstimateRules;
use readers::LocalParser;

/// Estimates each file, and prints a table.
///
/// # Errors
///
/// The configuration is wrong, or stdout cannot be written.
pub fn run(args: EstimateArgs, sources: &Sources) -> anyhow::Result<ExitCode> {
    let config = Config::load(Role::Parse, sources)?;
    let estimator = FileEstimator::new(&config, local_parser(&config.parser), args.model.as_deref())?;
    client::run(async move {
        let mut files = Vec::with_capacity(args.files.len());
        for file in &args.files {
            files.push(FileEstimate::of(file.display().to_string(), estimate(&estimator, file, args.ocr).await));
        }
        let all_readable = client::estimate::show(&Estimates::of(files), args.json)?;
        Ok(if all_readable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn estimate(estimator: &FileEstimator, file: &Path, ocr: bool) -> Result<Estimate, Failure> {
    expect_a_file(file)?;
    let filename = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    estimator.estimate(EstimateJob { path: file, mime: "", filename: &filename, ocr }).await
}

/// Reads, cuts and counts files as a worker does.
pub(super) struct FileEstimator {
    parser: LocalParser,
    limits: ParseLimits,
    chunker: Arc<dyn Chunker>,
    rules: EstimateRules,
}

impl FileEstimator {
    /// One with the settings' prices. `model`: a service's model in place of the settings' own.
    pub(super) fn new(config: &Config, parser: LocalParser, model: Option<&str>) -> anyhow::Result<Self> {
        let (money, settings) = (&config.money, &config.parser);
        let own = (config.embedder.provider == EmbedProvider::OpenAi).then_some(config.embedder.model.as_str());
        let model = model.or(own);
        let page_price = money.page(&settings.llamaparse_tier);
        let rules = EstimateRules {
            buys_vectors: model.is_some(),
            token_price: model.and_then(|model| money.tokens(model)),
            // Its key is the worker's; a price says that it is used.
            has_remote: settings.choice == ParserChoice::LlamaParse
                || settings.choice == ParserChoice::Auto && page_price.is_some(),
            reads_all: settings.choice == ParserChoice::LlamaParse,
            page_price,
            // Another machine may have what reads them.
            leaves_scans: config.role == Role::Api || config.role == Role::Dev,
            max_passages: settings.max_passages,
        };
        Ok(Self {
            parser,
            limits: settings.limits(parse_memory(config).bytes()),
            chunker: Arc::new(MarkdownChunker::new(usize::MAX)?),
            rules,
        })
    }
}

#[async_trait]
impl Estimator for FileEstimator {
    async fn estimate(&self, job: EstimateJob<'_>) -> Result<Estimate, Failure> {
        let counted = Counted::default();
        let ocr = job.ocr && !self.rules.has_remote;
        let parse = ParseJob { ocr, watch: &counted, ..ParseJob::new(job.path, job.mime, job.filename, self.limits) };
        let local = self
            .parser
            .parse(parse)
            .await
            .transpose()
            .unwrap_or_else(|| Err(Failure::new(Code::ParserUnavailable, "The parser was stopped. Try again.")));
        let (rules, chunker) = (self.rules.clone(), Arc::clone(&self.chunker));
        let (mime, pages) = (job.mime.to_owned(), counted.0.into_inner());
        let cut = move || rules.estimate((&mime, job.ocr), local, pages, chunker.as_ref());
        tokio::task::spawn_blocking(cut)
            .await
            .map_err(|error| Failure::new(Code::ChunkerCrashed, format!("The chunker stopped: {error}.")))?
    }
}

/// How many pages the parser has told of.
#[derive(Default)]
struct Counted(AtomicU32);

#[async_trait]
impl ParseWatch for Counted {
    async fn page(&self, _read: u32, pages: u32, _ocr: Option<OcrPage>) -> ControlFlow<()> {
        self.0.store(pages, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}
