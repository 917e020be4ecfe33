//! Builds the parts of a process from its settings: the only place that names concrete clients.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;

use super::{
    Context,
    active_model::{DatabaseModel, ModelOptions},
};
use crate::container;
use config::{Config, EmbedProvider, OcrChoice, ParserChoice, Role, Storage};
use domain::{
    Code, Failure, Lease, Outcome, ParseMemory, RetryPolicy, Step, StepError, WorkerId,
    callback::CallbackKey,
    ports::{ModelSource, ObjectStore, RequestBounds, Reranker},
};
use embedder::{LocalModelOptions, Precision};
use housekeeping::{Housekeeping, HousekeepingSettings};
use messages::BASE_PATH;
use pg::{ConnectTarget, Db, PoolOptions, replica::Replica, url::DatabaseUrl};
use pipeline::{Callbacks, JobMemory, Money, Pipeline, ReembedPlaces, Remote, Requests, ScratchDir};
use providers::{
    jwks::Jwks,
    llamaparse::{LlamaParse, LlamaParseOptions},
    object_storage::{Credentials, ObjectStorage},
    openai::OpenAiOptions,
    rerank::{HttpReranker, RerankOptions},
};
use queue::{Steps, Worker, WorkerSettings};
use readers::{LocalParser, OcrOptions, PageRenderer, ocr_model_places, pdf_library_places, tesseract_places};
use signing_keys::KeySource;
use store::{
    Listener, Wakeup,
    jobs::{ClaimOptions, Completer},
    retention::Retention,
    workers::{WorkerRow, host_name},
};
use telemetry::readiness::Readiness;

/// The folders that are searched for models without EMBED_MODEL_DIR: the one that `scripts/fetch` fills, and the image's.
const MODEL_PLACES: [&str; 2] = [".cache/models", "/var/lib/app/models"];
/// The folders that `scripts/fetch` and the image fill, for what is looked for without a setting.
const CACHES: [&str; 2] = [".cache", "/var/lib/app"];
/// How long an embedding service may take for one word.
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// The time between two sweeps of all workers together. Objects of deleted documents are gone within minutes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);

/// The server of `url`, with TLS set up.
pub(super) fn connect_target(config: &Config, url: &DatabaseUrl) -> anyhow::Result<ConnectTarget> {
    ConnectTarget::new(url.clone(), config.database.connect_timeout).context("couldn't set up TLS to the database")
}

/// The pool on DATABASE_URL. It connects at first use.
pub(super) fn open_db(config: &Config) -> anyhow::Result<Db> {
    open_db_at(config, config.database.url()?)
}

/// A pool on another URL.
pub(super) fn open_db_at(config: &Config, url: &DatabaseUrl) -> anyhow::Result<Db> {
    let target = connect_target(config, url)?;
    let options = PoolOptions {
        size: config.database.pool_size,
        wait: config.database.pool_timeout,
        max_age: config.database.max_age,
    };
    Ok(Db::open(target, options)?)
}

/// The replica of READ_DATABASE_URL, if there is one.
pub(super) fn replica(config: &Config) -> anyhow::Result<Option<Replica>> {
    let Some(url) = &config.database.read_url else { return Ok(None) };
    Ok(Some(Replica::new(open_db_at(config, url)?, config.database.read_max_lag)))
}

/// The object store of STORAGE_URL. Call it on the main runtime.
pub(super) fn open_store(storage: &Storage) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let credentials = storage.access_key_id.as_ref().zip(storage.secret_access_key.as_ref());
    let credentials =
        credentials.map(|(id, secret)| Credentials { access_key_id: id.expose(), secret_access_key: secret.expose() });
    Ok(Arc::new(ObjectStorage::open(storage.location()?, credentials)?))
}

/// The model of the database's vectors, which is found and loaded at first use.
pub(super) fn model(config: &Config, db: &Db) -> Arc<dyn ModelSource> {
    Arc::new(database_model(config, db))
}

/// The same by its own name, for what changes the model.
pub(super) fn database_model(config: &Config, db: &Db) -> DatabaseModel {
    DatabaseModel::new(db.clone(), model_options(config))
}

/// The same for `app check`, which writes nothing and may have no database.
pub(super) fn model_to_check(config: &Config) -> Arc<dyn ModelSource> {
    let db = config.database.url().ok().and_then(|url| open_db_at(config, url).ok());
    Arc::new(DatabaseModel::reading_only(db, model_options(config)))
}

/// The memory of this container, and what of it one parse may take beside the worker and its model.
pub(super) fn parse_memory(config: &Config) -> ParseMemory {
    ParseMemory {
        container_bytes: container::memory_bytes(Path::new("/")),
        model_bytes: match config.embedder.provider {
            EmbedProvider::Local => local_model(&config.embedder).weight_bytes(),
            EmbedProvider::OpenAi => 0,
        },
        children: LocalParser::places() as u64,
        asked_bytes: config.parser.memory_bytes,
    }
}

fn model_options(config: &Config) -> ModelOptions {
    let embedder = &config.embedder;
    ModelOptions {
        provider: embedder.provider,
        local: local_model(embedder),
        service: OpenAiOptions {
            // In the API a search waits for it.
            probe_within: if config.role == Role::Api { embedder.query_timeout } else { PROBE_WITHIN },
            ..embed_service(embedder)
        },
        dimensions: embedder.dimensions,
        can_ask_service: embedder.openai_api_key.is_some() || !embedder.is_openai(),
    }
}

fn local_model(embedder: &config::Embedder) -> LocalModelOptions {
    let places = match &embedder.model_dir {
        Some(folder) => vec![folder.clone()],
        None => MODEL_PLACES.iter().map(PathBuf::from).collect(),
    };
    LocalModelOptions {
        name: embedder.model.clone(),
        version: embedder.version.clone(),
        places,
        precision: match embedder.precision {
            config::Precision::Int8 => Precision::Int8,
            config::Precision::F32 => Precision::F32,
        },
        threads: embedder.threads,
    }
}

fn embed_service(embedder: &config::Embedder) -> OpenAiOptions {
    OpenAiOptions {
        url: embedder.openai_url.clone(),
        key: embedder.openai_api_key.as_ref().map(|key| key.expose().clone()),
        model: embedder.model.clone(),
        version: embedder.version.clone(),
        query_prefix: embedder.query_prefix.clone().unwrap_or_default(),
        passage_prefix: embedder.passage_prefix.clone().unwrap_or_default(),
        bounds: RequestBounds {
            inputs: embedder.request_inputs,
            tokens: embedder.request_tokens,
            in_flight: embedder.requests_in_flight,
            requests_per_minute: embedder.requests_per_minute,
            tokens_per_minute: embedder.tokens_per_minute,
        },
        passages_within: embedder.timeout,
        query_within: embedder.query_timeout,
        probe_within: PROBE_WITHIN,
    }
}

/// The parser of this machine.
pub(super) fn local_parser(parser: &config::Parser) -> LocalParser {
    LocalParser::new(pdf_library_places(parser.pdfium_library.as_deref(), &CACHES.map(PathBuf::from)))
        .with_ocr(ocr_options(parser))
}

/// The parser with which the API estimates files: without OCR, which is the workers' work.
pub(super) fn estimating_parser(parser: &config::Parser) -> LocalParser {
    LocalParser::new(pdf_library_places(parser.pdfium_library.as_deref(), &CACHES.map(PathBuf::from)))
}

fn ocr_options(parser: &config::Parser) -> OcrOptions {
    let tesseract = || tesseract_places(&std::env::var_os("PATH").unwrap_or_default());
    let models = || ocr_model_places(&CACHES.map(PathBuf::from));
    let (programs, models) = match parser.ocr_engine {
        OcrChoice::Off => Default::default(),
        OcrChoice::Auto => (tesseract(), models()),
        OcrChoice::Tesseract => (tesseract(), Vec::new()),
        OcrChoice::Builtin => (Vec::new(), models()),
    };
    OcrOptions {
        programs,
        // The child's folder is another one.
        models: models.into_iter().filter_map(|folder| std::path::absolute(folder).ok()).collect(),
        required: matches!(parser.ocr_engine, OcrChoice::Tesseract | OcrChoice::Builtin),
        // Tesseract's own variable. Its child gets no other.
        data: std::env::var_os("TESSDATA_PREFIX").map(PathBuf::from),
        languages: parser.ocr_languages.clone(),
        page_cpu: parser.ocr_page_cpu,
    }
}

/// Draws pages of documents.
pub(super) fn page_renderer(parser: &config::Parser) -> PageRenderer {
    PageRenderer::new(pdf_library_places(parser.pdfium_library.as_deref(), &CACHES.map(PathBuf::from)))
}

/// The source of the project's signing keys; `None` if no project is set.
pub(super) fn key_source(config: &Config) -> anyhow::Result<Option<Arc<dyn KeySource>>> {
    let Some(url) = config.auth.jwks_url() else { return Ok(None) };
    let url = url::Url::parse(&url).context("couldn't form the URL of the project's keys")?;
    let source = Jwks::new(url).context("couldn't set up TLS to the project of SUPABASE_URL")?;
    Ok(Some(Arc::new(source)))
}

/// The reranker; `None` without its address.
pub(super) fn reranker(config: &Config) -> anyhow::Result<Option<Arc<dyn Reranker>>> {
    let settings = &config.rerank;
    let Some(url) = settings.url.clone() else { return Ok(None) };
    let options = RerankOptions { url, model: settings.model.clone(), timeout: settings.timeout };
    let key = settings.api_key.as_ref().map(|key| key.expose().as_str());
    Ok(Some(Arc::new(HttpReranker::new(options, key)?)))
}

/// The remote parser; `None` without a key for one, or if every document is parsed locally.
fn remote_parser(config: &Config) -> anyhow::Result<Option<Remote>> {
    let settings = &config.parser;
    let (Some(key), Some(url)) = (&settings.llamaparse_api_key, &settings.llamaparse_url) else { return Ok(None) };
    let reads_all = match settings.choice {
        ParserChoice::Local => return Ok(None),
        ParserChoice::Auto => false,
        ParserChoice::LlamaParse => true,
    };
    let options = LlamaParseOptions::new(url.clone(), settings.llamaparse_tier.clone());
    let callbacks = settings.webhook_base_url.as_ref().zip(settings.webhook_secret.as_ref()).map(|(base, secret)| {
        let base = format!("{}{BASE_PATH}", base.as_str().trim_end_matches('/'));
        Callbacks { base, key: CallbackKey::new(secret.expose()) }
    });
    let parser = Arc::new(LlamaParse::new(&options, key.expose())?);
    Ok(Some(Remote {
        parser,
        tier: settings.llamaparse_tier.clone(),
        reads_all,
        timeout: settings.remote_timeout,
        callbacks,
    }))
}

/// Prices and caps.
fn money(config: &Config) -> Money {
    Money {
        tokens: config.money.embed_prices.clone().unwrap_or_default(),
        page: config.money.page(&config.parser.llamaparse_tier),
        caps: config.money.caps(),
    }
}

/// Lets the queue run the pipeline.
pub(super) struct PipelineSteps(Pipeline);

#[async_trait]
impl Steps for PipelineSteps {
    type Memory = JobMemory;

    async fn run_step(&self, lease: &Lease, step: Step, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        self.0.run_step(lease, step, memory).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.0.probe().await
    }
}

/// Housekeeping, not running yet.
pub(super) fn build_housekeeping(config: &Config, db: Db, store: Arc<dyn ObjectStore>) -> Housekeeping {
    let kept = &config.retention;
    let retention = Retention {
        events_days: kept.events_days,
        webhooks_days: kept.webhooks_days,
        jobs_days: kept.jobs_days,
        receipts_days: kept.receipts_days,
        versions_days: kept.versions_days,
        judgements_days: kept.judgements_days,
        usage_days: kept.usage_days,
    };
    let settings = HousekeepingSettings { interval: SWEEP_INTERVAL, lease: config.worker.lease, retention };
    Housekeeping { db, store, settings }
}

/// A worker, not running yet; its listener runs. Its port reports `readiness`.
pub(super) fn build_worker(
    ctx: &Context,
    db: Db,
    store: Arc<dyn ObjectStore>,
    model: Arc<dyn ModelSource>,
    readiness: Arc<Readiness>,
) -> anyhow::Result<Arc<Worker<PipelineSteps>>> {
    let settings = &ctx.config.worker;
    let memory = parse_memory(&ctx.config);
    tracing::info!(parse.memory_bytes = memory.bytes(), "memory for parsing: {memory}");
    if !memory.fits() {
        tracing::warn!("this container has less memory than that; `app check --only self.memory` says what to do");
    }
    let folder = std::env::temp_dir();
    let scratch = ScratchDir::create(&folder)
        .with_context(|| format!("couldn't make a scratch folder in {}", folder.display()))?;
    let pipeline = Pipeline {
        db: db.clone(),
        store,
        parser: Arc::new(local_parser(&ctx.config.parser).with_turns(settings.turn, settings.concurrency)),
        remote: remote_parser(&ctx.config)?,
        model,
        money: money(&ctx.config),
        requests: Requests::new(db.clone()),
        beside_requests: Requests::new(db.clone()),
        reembed_places: ReembedPlaces::default(),
        limits: ctx.config.parser.limits(memory.bytes()),
        max_passages: ctx.config.parser.max_passages,
        scratch,
        completer: Completer::new(db.clone()),
        mismatched_days: ctx.config.retention.mismatched_days,
    };
    let row = WorkerRow {
        id: WorkerId::generate(),
        host: host_name(),
        build: ctx.build.clone(),
        environment: ctx.config.environment.to_string(),
        slots: i32::try_from(settings.concurrency).unwrap_or(i32::MAX),
    };
    let settings = WorkerSettings {
        concurrency: u32::try_from(settings.concurrency).unwrap_or(u32::MAX),
        claims: ClaimOptions {
            lease: settings.lease,
            max_running_per_user: settings.max_running_jobs_per_user,
            now: None,
        },
        heartbeat: settings.heartbeat,
        poll_interval: settings.poll_interval,
        listen_poll_interval: settings.listen_poll_interval,
        grace: settings.grace,
        turn: settings.turn,
        // As many again as slots.
        long_jobs: u32::try_from(settings.concurrency).unwrap_or(u32::MAX),
        retry: RetryPolicy {
            max_retries: settings.max_retries,
            base_delay: settings.retry_base_delay,
            max_delay: settings.retry_max_delay,
        },
    };
    let worker = Worker::new(db, PipelineSteps(pipeline), row, settings, Some(start_listener(ctx)?));
    Ok(Arc::new(worker.with_readiness(readiness)))
}

/// Starts a listener on the session URL. The worker polls less often only once the listener is proven to work.
fn start_listener(ctx: &Context) -> anyhow::Result<Wakeup> {
    let target = connect_target(&ctx.config, ctx.config.database.session_url()?)?;
    let (listener, wakeup) = Listener::new(target, ctx.runtime.clone());
    ctx.runtime.spawn(listener.run(ctx.stop.clone()));
    Ok(wakeup)
}

/// The address of the API.
pub(super) fn listen_address(config: &Config) -> anyhow::Result<SocketAddr> {
    address("API_HOST", &config.http.host, config.http.port)
}

/// The address for a worker's probes; `None` if it has none.
pub(super) fn probe_address(config: &Config) -> anyhow::Result<Option<SocketAddr>> {
    let worker = &config.worker;
    (worker.http_port > 0).then(|| address("WORKER_HTTP_HOST", &worker.http_host, worker.http_port)).transpose()
}

fn address(variable: &str, host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    if let Some(address) = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next()) {
        return Ok(address);
    }
    let message = format!("{variable} `{host}` is no address of this machine; use 0.0.0.0 for all of them.");
    Err(Failure::new(Code::AddressInvalid, message).into())
}
