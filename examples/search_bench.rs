//! Searches without HTTP, for scripts/bench_search.py to measure what each part of the ranking brings and what a search costs:
//! `search_bench DATABASE_URL MODEL_FOLDER [int8|f32]`.
//!
//! Reads a search a line from standard input, as JSON: `user`, `query`, and what the fields of [`Ask`] say. Prints a line for each:
//! `hits`, `took_ms`, and the CPU time so far of this process and of its database session, in seconds.

use std::{
    collections::HashMap,
    io::{BufRead, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use async_trait::async_trait;
use domain::{
    Code, DocumentId, Failure, UserId,
    ports::{Chunker, EmbedModel, EmbedPriority, Embedder, ModelSource},
};
use embedder::{LocalEmbedder, Precision};
use pg::{ConnectTarget, Db, PoolOptions, Session, url::DatabaseUrl};
use search::{Around, Query, VectorCache, Without, search};
use serde::Deserialize;
use serde_json::json;
use store::active_model::get_active_model;
use uuid::Uuid;

/// A search.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    user: Uuid,
    query: String,
    /// `text`, `vector`, `hybrid`.
    mode: String,
    #[serde(default = "ten")]
    limit: usize,
    document_id: Option<Uuid>,
    /// `none`, `neighbours`, `section`, `page`.
    expand: Option<String>,
    #[serde(default = "most_chars")]
    max_chars: usize,
    min_score: Option<f64>,
    #[serde(default)]
    without: Without,
}

fn ten() -> usize {
    10
}

fn most_chars() -> usize {
    4000
}

/// A model that computes the vector of a question once, if it is asked to remember.
struct Model {
    local: LocalEmbedder,
    remembers: bool,
    known: Mutex<HashMap<String, Vec<f32>>>,
}

#[async_trait]
impl Embedder for Model {
    fn model(&self) -> &EmbedModel {
        self.local.model()
    }

    async fn embed(&self, texts: Vec<String>, priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        let known = |text: &String| self.known.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(vectors) = texts.iter().map(known).collect::<Option<Vec<_>>>() {
            return Ok(vectors);
        }
        let vectors = self.local.embed(texts.clone(), priority).await?;
        if self.remembers {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(texts.into_iter().zip(vectors.iter().cloned()));
        }
        Ok(vectors)
    }
}

struct Source(Arc<Model>);

#[async_trait]
impl ModelSource for Source {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(Arc::clone(&self.0) as Arc<dyn Embedder>)
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Err(Failure::new(Code::ModelMissing, "nothing is cut here"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, folder, rest @ ..] = arguments.as_slice() else {
        bail!("usage: search_bench DATABASE_URL MODEL_FOLDER [int8|f32] [fresh]");
    };
    let has = |word: &str| rest.iter().any(|argument| argument == word);
    let target = ConnectTarget::new(DatabaseUrl::parse(url)?, Duration::from_secs(10))?;
    let db = Db::open(target, PoolOptions { size: 1, ..PoolOptions::default() })?;
    let active = get_active_model(&db).await?.context("the database has no active model")?;
    let precision = if has("f32") { Precision::F32 } else { Precision::Int8 };
    let local =
        LocalEmbedder::load(&PathBuf::from(folder), &active.model, &active.version, precision, NonZeroUsize::MIN)?;
    let model = Source(Arc::new(Model { local, remembers: !has("fresh"), known: Mutex::default() }));
    let session: i32 = db.one("-- backend\nSELECT pg_backend_pid() AS pid", &[]).await?;
    let cache = VectorCache::new(256 << 20);
    let mut printed = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let began = Instant::now();
        let query = Query {
            document: ask.document_id.map(DocumentId),
            limit: ask.limit,
            min_score: ask.min_score,
            around: match ask.expand.as_deref() {
                Some("neighbours") => Some(Around::Next),
                Some("section") => Some(Around::Section),
                Some("page") => Some(Around::Page),
                _ => None,
            },
            max_chars: ask.max_chars,
            without: ask.without,
            ..Query::of(UserId(ask.user), &ask.query, ask.mode != "text", ask.mode != "vector")
        };
        let found = search(&db, &model, &cache, None, query).await?;
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        let hits: Vec<_> = found
            .hits
            .iter()
            .map(|hit| {
                let chunk = &hit.passage.chunk;
                json!({
                    "document_id": chunk.document_id.0, "filename": chunk.filename, "chunk_id": chunk.chunk_id.0, "ord": chunk.ord,
                    "page_first": chunk.page_first, "page_last": chunk.page_last, "text": chunk.text,
                    "highlight": hit.highlight, "score": hit.score, "cosine": hit.place.cosine, "covered": hit.place.covered,
                    "vector_rank": hit.place.vector_rank, "text_rank": hit.place.text_rank,
                })
            })
            .collect();
        let cpu = [cpu_seconds("self")?, cpu_seconds(&session.to_string())?];
        writeln!(printed, "{}", json!({ "hits": hits, "took_ms": took_ms, "cpu": cpu }))?;
        printed.flush()?;
    }
    Ok(())
}

/// The CPU time that a process of this machine has used, by `/proc`, which counts in hundredths of a second.
fn cpu_seconds(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).map_or(0.0, f64::from);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
