//! The baseline that scripts/bench_api.py compares the API with: actix-web handlers that run the same queries, without
//! authentication, limits, request ids, logs or validation.
//!
//! `api_bench postgres FOLDER` starts an embedded PostgreSQL, prints its URL and stops it when standard input closes.
//! `api_bench minimal PORT` serves the handlers on the database of DATABASE_URL with the model in EMBED_MODEL_DIR.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    io::Read,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse, HttpServer,
    dev::Payload,
    error::{ErrorBadRequest, ErrorInternalServerError},
    web,
};
use anyhow::{Context, bail};
use async_trait::async_trait;
use domain::{
    Code, Failure, JobId, UploadId, UserId,
    ports::{Chunker, Embedder, ModelSource},
};
use embedded_postgres::{Cluster, ClusterOptions, find_binaries};
use embedder::{LocalEmbedder, Precision};
use messages::{BASE_PATH, SearchMode, SearchRequest, TextRequest};
use pg::{ConnectTarget, Db, PoolOptions, databases::ensure_database, url::DatabaseUrl};
use search::{Query, VectorCache};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    jobs::{Job, JobFilter, get_job, list_jobs},
    migrations::get_environment_stamp,
    uploads::{Content, NewUpload, announce_upload, register_stored},
};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use uuid::Uuid;

/// Hits of a page, as in the API.
const HITS: usize = 10;

/// State that the handlers share.
struct State {
    db: Db,
    store: PathBuf,
    embedder: Arc<LocalEmbedder>,
    vectors: VectorCache,
}

type Answer = actix_web::Result<HttpResponse>;

/// The user that the header `X-User-Id` names, without proof.
struct UnverifiedUser(UserId);

impl FromRequest for UnverifiedUser {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get("X-User-Id").and_then(|value| value.to_str().ok()?.parse().ok());
        ready(header.map(|id| Self(UserId(id))).ok_or_else(|| ErrorBadRequest("X-User-Id")))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["postgres", folder] => postgres(PathBuf::from(folder)).await,
        ["minimal", port] => serve(port.parse().context("PORT is not a number")?).await,
        _ => bail!("usage: api_bench postgres FOLDER | api_bench minimal PORT"),
    }
}

async fn postgres(folder: PathBuf) -> anyhow::Result<()> {
    let env: HashMap<String, String> = std::env::vars().collect();
    let cluster = Cluster::start_or_adopt(find_binaries(&env)?, ClusterOptions::durable(folder)).await?;
    let maintenance = ConnectTarget::new(DatabaseUrl::parse(&cluster.url("postgres"))?, Duration::from_secs(5))?;
    ensure_database(&maintenance, &Handle::current(), "bench").await?;
    println!("{}", cluster.url("bench"));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    cluster.stop().await?;
    Ok(())
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let target = ConnectTarget::new(DatabaseUrl::parse(&variable("DATABASE_URL")?)?, Duration::from_secs(5))?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let model = PathBuf::from(variable("EMBED_MODEL_DIR")?);
    let state = web::Data::new(State {
        db: Db::open(target, PoolOptions { size: 10, ..PoolOptions::default() })?,
        store: PathBuf::from(variable("BENCH_STORE")?),
        embedder: Arc::new(LocalEmbedder::load(&model, "all-MiniLM-L6-v2", "1", Precision::Int8, threads)?),
        vectors: VectorCache::new(64 << 20),
    });
    let build = move || {
        App::new().app_data(state.clone()).route("/health", web::get().to(health)).service(
            web::scope(BASE_PATH)
                .route("/jobs", web::get().to(jobs))
                .route("/jobs/{id}", web::get().to(job))
                .route("/documents", web::post().to(upload))
                .route("/search", web::post().to(search)),
        )
    };
    HttpServer::new(build).bind(("127.0.0.1", port))?.run().await?;
    Ok(())
}

async fn health(state: web::Data<State>) -> Answer {
    let stamp = get_environment_stamp(&state.db).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ok", "environment": stamp })))
}

fn job_json(job: &Job) -> Value {
    json!({
        "job_id": job.job_id.0, "document_id": job.document_id.0, "filename": job.filename,
        "status": job.status.as_str(), "state": job.state.as_str(), "retry_count": job.retry_count,
        "cost_cents": job.bill.cost, "last_error": job.last_error, "priority": job.priority,
        "created_at": job.created_at.to_string(), "updated_at": job.updated_at.to_string(),
    })
}

async fn job(state: web::Data<State>, user: UnverifiedUser, id: web::Path<Uuid>) -> Answer {
    let conn = state.db.get().await.map_err(ErrorInternalServerError)?;
    let job = get_job(&conn, user.0, JobId(*id)).await.map_err(ErrorInternalServerError)?;
    Ok(job.map_or_else(|| HttpResponse::NotFound().finish(), |job| HttpResponse::Ok().json(job_json(&job))))
}

async fn jobs(state: web::Data<State>, user: UnverifiedUser) -> Answer {
    let conn = state.db.get().await.map_err(ErrorInternalServerError)?;
    let jobs = list_jobs(&conn, user.0, &JobFilter::default(), None, 21).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().json(json!({ "items": jobs.iter().take(20).map(job_json).collect::<Vec<_>>() })))
}

async fn upload(state: web::Data<State>, user: UnverifiedUser, body: web::Json<TextRequest>) -> Answer {
    let upload_id = UploadId::generate();
    let upload = NewUpload {
        upload_id,
        user: user.0,
        storage_key: format!("raw/{}/{upload_id}", user.0),
        filename: format!("{}.md", body.title),
        mime: "text/markdown".to_owned(),
        expires_at: OffsetDateTime::now_utc() + Duration::from_secs(3600),
        per_day: 0,
    };
    let _counted = announce_upload(&state.db, &upload).await.map_err(ErrorInternalServerError)?;
    let path = state.store.join(&upload.storage_key);
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(ErrorInternalServerError)?;
    }
    tokio::fs::write(&path, &body.text).await.map_err(ErrorInternalServerError)?;
    let digest = Sha256::digest(body.text.as_bytes());
    let content = Content {
        bytes_len: i64::try_from(body.text.len()).unwrap_or(i64::MAX),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        stored: true,
        ocr: false,
        metadata: None,
        correlation_id: Uuid::now_v7(),
    };
    let registered = register_stored(&state.db, &upload, &content).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Accepted().json(json!({ "registered": format!("{registered:?}") })))
}

/// The model of [`State`] as the search takes it.
struct Loaded(Arc<LocalEmbedder>);

#[async_trait]
impl ModelSource for Loaded {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(self.0.clone())
    }
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Err(Failure::new(Code::EmbedderUnavailable, "nothing is cut here"))
    }
}

async fn search(state: web::Data<State>, user: UnverifiedUser, body: web::Json<SearchRequest>) -> Answer {
    let (by_meaning, by_words) = (body.mode != SearchMode::Text, body.mode != SearchMode::Vector);
    let query = Query { limit: HITS, ..Query::of(user.0, &body.query, by_meaning, by_words) };
    let model = Loaded(state.embedder.clone());
    let found =
        search::search(&state.db, &model, &state.vectors, None, query).await.map_err(ErrorInternalServerError)?;
    let hit = |hit: &search::Hit| {
        let chunk = &hit.passage.chunk;
        json!({
            "document_id": chunk.document_id.0, "filename": chunk.filename, "chunk_id": chunk.chunk_id.0, "ord": chunk.ord,
            "heading": chunk.heading, "text": chunk.text, "highlight": hit.highlight,
        })
    };
    Ok(HttpResponse::Ok().json(json!({ "hits": found.hits.iter().map(hit).collect::<Vec<_>>() })))
}
