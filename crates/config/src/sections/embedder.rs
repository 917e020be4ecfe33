use super::*;

settings! {
    /// The model that turns texts into vectors.
    Embedder in "embedder", titled "Embedder";

    /// Name of the model, which rows store.
    EMBED_MODEL[MODEL] model: String = name, default "all-MiniLM-L6-v2";
    /// Version of the vectors; a change embeds everything again.
    EMBED_VERSION[MODEL] version: String = name, default "1";
    /// Folder of local models.
    EMBED_MODEL_DIR[STORED] model_dir: PathBuf = path, optional "/var/lib/app/models";
    /// Threads of a local model; `0`: one a core.
    EMBED_THREADS[STORED] threads: usize = whole(0..=1024), default "0", example "2";
}
