//! Who turns texts into vectors.

use std::path::PathBuf;

use url::Url;

use super::{reader::Reader, secret::Secret};

/// The model, and where it runs.
#[derive(Debug, Clone)]
pub struct Embedder {
    /// For `embed_model`.
    pub model: String,
    /// For `embed_version`.
    pub version: String,
    /// Folder of local models; `None`: where the program looks by itself.
    pub model_dir: Option<PathBuf>,
    /// Threads of a local model; `0`: one a core.
    pub threads: usize,
    /// Key of the service.
    pub openai_api_key: Option<Secret<String>>,
    /// Address of the service.
    pub openai_url: Option<Url>,
}

impl Embedder {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            model: r.name("EMBED_MODEL"),
            version: r.name("EMBED_VERSION"),
            model_dir: r.path("EMBED_MODEL_DIR"),
            threads: r.whole("EMBED_THREADS", 0..=1024),
            openai_api_key: r.secret("OPENAI_API_KEY"),
            openai_url: r.url("OPENAI_API_URL"),
        }
    }
}
