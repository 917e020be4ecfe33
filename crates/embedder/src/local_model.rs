//! The local model and its chunker, loaded at first use, since the model may be fetched after the process has started.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::{LocalEmbedder, Precision, config::ModelConfig, tokenizer::transformer_folder};
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
    /// The places to search, in order. Each contains a folder with the model's name, or is that folder.
    pub places: Vec<PathBuf>,
    /// How the model computes.
    pub precision: Precision,
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

/// A model that is loaded at first use.
pub struct LocalModel {
    options: LocalModelOptions,
    embedder: OnceCell<Arc<LocalEmbedder>>,
    chunker: OnceCell<Arc<MarkdownChunker>>,
}

impl LocalModel {
    /// Reads no file yet.
    pub fn new(options: LocalModelOptions) -> Self {
        Self { options, embedder: OnceCell::new(), chunker: OnceCell::new() }
    }
}

/// Runs `load`, which reads files, on a thread for that.
async fn blocking<T: Send + 'static>(
    options: &LocalModelOptions,
    load: impl FnOnce(&LocalModelOptions) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let options = options.clone();
    let ended = tokio::task::spawn_blocking(move || load(&options)).await;
    ended.map_err(|error| Failure::new(Code::ModelInvalid, format!("Loading the model stopped: {error}.")))?
}

fn load(options: &LocalModelOptions) -> Result<Arc<LocalEmbedder>, Failure> {
    let folder = find(options)?;
    let threads = NonZeroUsize::new(options.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let embedder = LocalEmbedder::load(&folder, &options.name, &options.version, options.precision, threads)?;
    tracing::info!(model = %options.name, threads, kernel = embedder.kernel(), "the embedding model is loaded");
    Ok(Arc::new(embedder))
}

/// Makes the chunker, which needs only the model's window and so does not load its weights.
fn load_chunker(options: &LocalModelOptions) -> Result<Arc<MarkdownChunker>, Failure> {
    let config = ModelConfig::load(&find(options)?)?;
    Ok(Arc::new(MarkdownChunker::new(config.max_tokens)?))
}

/// Finds the model's folder: the first candidate with a `config.json`. A folder of another name is another model: its vectors
/// would be stored as this one's.
fn find(options: &LocalModelOptions) -> Result<PathBuf, Failure> {
    let is_named = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| folder.ends_with(&options.name));
    let inside = options.places.iter().map(|place| place.join(&options.name));
    let mut candidates = inside.chain(options.places.iter().filter(|place| is_named(place)).cloned());
    candidates.find(|folder| folder.join("config.json").is_file()).ok_or_else(|| {
        let places: Vec<String> = options.places.iter().map(|place| place.display().to_string()).collect();
        Failure::new(
            Code::ModelMissing,
            format!(
                "The embedding model {} is in none of these folders: {}. Run `scripts/fetch model` for multilingual-e5-small or \
                 `scripts/fetch minilm` for all-MiniLM-L6-v2, or set EMBED_MODEL_DIR to the folder that contains a folder \
                 of that name.",
                options.name,
                places.join(", ")
            ),
        )
    })
}

#[async_trait]
impl ModelSource for LocalModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        let embedder = self.embedder.get_or_try_init(|| blocking(&self.options, load)).await?;
        Ok(Arc::<LocalEmbedder>::clone(embedder))
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        let chunker = self.chunker.get_or_try_init(|| blocking(&self.options, load_chunker)).await?;
        Ok(Arc::<MarkdownChunker>::clone(chunker))
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
            precision: Precision::Int8,
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
