//! The local model and its chunker, loaded at first use, since the model may be fetched after the process has started.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::{LocalEmbedder, load_tokenizer, tokenizer::transformer_folder};
use chunker::MarkdownChunker;
use domain::{
    Code, Failure,
    ports::{Chunker, Embedder, ModelSource},
};

/// Where to find the model and how to run it.
#[derive(Debug, Clone)]
pub struct LocalModelOptions {
    /// The value of `embed_model`, and the name of the model's folder.
    pub name: String,
    /// The value of `embed_version`.
    pub version: String,
    /// The places to search, in order. Each is the model's folder, or contains a folder with the model's name.
    pub places: Vec<PathBuf>,
    /// The number of encoder threads; `0` means one for each core.
    pub threads: usize,
}

impl LocalModelOptions {
    /// The size of the model's weights in bytes; 0 while the model is missing.
    pub fn weight_bytes(&self) -> u64 {
        let Ok(folder) = find(self) else { return 0 };
        transformer_folder(&folder).join("model.safetensors").metadata().map_or(0, |file| file.len())
    }
}

struct Loaded {
    embedder: Arc<LocalEmbedder>,
    chunker: Arc<MarkdownChunker>,
}

/// A model that is loaded at first use.
pub struct LocalModel {
    options: LocalModelOptions,
    loaded: OnceCell<Loaded>,
}

impl LocalModel {
    /// Reads no file yet.
    pub fn new(options: LocalModelOptions) -> Self {
        Self { options, loaded: OnceCell::new() }
    }

    /// Returns the model, which the first call loads. Other callers wait for that, so it is loaded once.
    async fn get(&self) -> Result<&Loaded, Failure> {
        let load = || async {
            let options = self.options.clone();
            let ended = tokio::task::spawn_blocking(move || load(&options)).await;
            let stopped = |error| Failure::new(Code::ModelInvalid, format!("Loading the model stopped: {error}."));
            ended.map_err(stopped)?
        };
        self.loaded.get_or_try_init(load).await
    }
}

fn load(options: &LocalModelOptions) -> Result<Loaded, Failure> {
    let folder = find(options)?;
    let threads = NonZeroUsize::new(options.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let embedder = LocalEmbedder::load(&folder, &options.name, &options.version, threads)?;
    let tokenizer = load_tokenizer(&folder)?;
    let chunker = MarkdownChunker::load(tokenizer, Embedder::model(&embedder).max_tokens);
    tracing::info!(model = %options.name, threads, "the embedding model is loaded");
    Ok(Loaded { embedder: Arc::new(embedder), chunker: Arc::new(chunker) })
}

/// Finds the model's folder: the first candidate with a `config.json`.
fn find(options: &LocalModelOptions) -> Result<PathBuf, Failure> {
    let mut candidates = options.places.iter().flat_map(|place| [place.join(&options.name), place.clone()]);
    candidates.find(|folder| folder.join("config.json").is_file()).ok_or_else(|| {
        let places: Vec<String> = options.places.iter().map(|place| place.display().to_string()).collect();
        Failure::new(
            Code::ModelMissing,
            format!(
                "The embedding model {} is in none of these folders: {}. Run `scripts/fetch model`, or set EMBED_MODEL_DIR \
                 to the folder that contains it.",
                options.name,
                places.join(", ")
            ),
        )
    })
}

#[async_trait]
impl ModelSource for LocalModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(self.get().await?.embedder.clone())
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Ok(self.get().await?.chunker.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ErrorClass;

    #[tokio::test]
    async fn the_error_about_a_missing_model_names_the_places_and_the_fix() {
        let model = LocalModel::new(LocalModelOptions {
            name: "no-such-model".into(),
            version: "1".into(),
            places: vec!["/nonexistent/models".into()],
            threads: 1,
        });
        let Err(failure) = model.embedder().await else { panic!("a model was loaded") };
        assert_eq!((failure.code, failure.class), (Code::ModelMissing, ErrorClass::Configuration));
        assert!(
            failure.message.contains("/nonexistent/models") && failure.message.contains("scripts/fetch"),
            "{failure}"
        );
    }
}
