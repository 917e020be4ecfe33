//! The local model and what depends on it, loaded when it is first asked for: its file may come later than the process.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{
    local_embedder::{LocalEmbedder, LocalEmbedderOptions, load_tokenizer},
    markdown_chunker::MarkdownChunker,
};
use crate::{
    domain::{Code, Failure},
    ports::{Chunker, Embedder, ModelSource},
};

/// Where to look and how to run it.
#[derive(Debug, Clone)]
pub struct LocalModelOptions {
    /// For `embed_model`, and the folder's name.
    pub name: String,
    /// For `embed_version`.
    pub version: String,
    /// Where models are kept, most wanted first: each is the model's own folder, or holds one of the model's name.
    pub places: Vec<PathBuf>,
    /// Encoder threads; 0: one a core.
    pub threads: usize,
}

#[derive(Clone)]
struct Loaded {
    embedder: Arc<LocalEmbedder>,
    chunker: Arc<MarkdownChunker>,
}

/// A model folder, perhaps not there yet.
pub struct LocalModel {
    options: LocalModelOptions,
    loaded: Mutex<Option<Loaded>>,
}

impl LocalModel {
    /// Nothing is read before the first use.
    pub fn new(options: LocalModelOptions) -> Self {
        Self { options, loaded: Mutex::new(None) }
    }

    /// Callers that come while it loads wait for it: it is loaded once.
    async fn get(&self) -> Result<Loaded, Failure> {
        let mut loaded = self.loaded.lock().await;
        if let Some(loaded) = &*loaded {
            return Ok(loaded.clone());
        }
        let options = self.options.clone();
        let fresh = tokio::task::spawn_blocking(move || load(&options))
            .await
            .map_err(|error| Failure::new(Code::ModelInvalid, format!("Loading the model stopped: {error}.")))??;
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }
}

fn load(options: &LocalModelOptions) -> Result<Loaded, Failure> {
    let folder = find(options)?;
    let threads = NonZeroUsize::new(options.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let embedder = LocalEmbedder::load(
        &folder,
        LocalEmbedderOptions {
            name: options.name.clone(),
            version: options.version.clone(),
            threads,
            ..LocalEmbedderOptions::default()
        },
    )?;
    let tokenizer = load_tokenizer(&folder)?;
    let chunker = MarkdownChunker::load(tokenizer, Embedder::model(&embedder).max_tokens);
    tracing::info!(model = %options.name, threads, "the embedding model is loaded");
    Ok(Loaded { embedder: Arc::new(embedder), chunker: Arc::new(chunker) })
}

/// The first place that holds the model.
fn find(options: &LocalModelOptions) -> Result<PathBuf, Failure> {
    let holds_model = |folder: &Path| folder.join("config.json").is_file();
    let candidates = options.places.iter().flat_map(|place| [place.join(&options.name), place.clone()]);
    candidates.into_iter().find(|folder| holds_model(folder)).ok_or_else(|| {
        let looked: Vec<String> = options.places.iter().map(|place| place.display().to_string()).collect();
        Failure::new(Code::ModelMissing,
            format!(
                "The embedding model {} is in none of: {}. Run `scripts/fetch model`, or set EMBED_MODEL_DIR to the folder that \
                 holds it.",
                options.name,
                looked.join(", ")
            ),
        )
    })
}

#[async_trait]
impl ModelSource for LocalModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(self.get().await?.embedder)
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Ok(self.get().await?.chunker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ErrorClass;

    #[tokio::test]
    async fn a_missing_model_names_the_places_and_what_to_do() {
        let model = LocalModel::new(LocalModelOptions {
            name: "no-such-model".into(),
            version: "1".into(),
            places: vec!["/nonexistent/models".into()],
            threads: 1,
        });
        let Err(failure) = model.embedder().await else { panic!("there is no such model") };
        assert_eq!((failure.code, failure.class), (Code::ModelMissing, ErrorClass::Configuration));
        assert!(
            failure.message.contains("/nonexistent/models") && failure.message.contains("scripts/fetch"),
            "{failure}"
        );
    }
}
