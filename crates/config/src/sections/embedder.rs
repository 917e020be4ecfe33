use super::*;

named! {
    /// How a local model computes.
    #[derive(Default)]
    Precision {
        /// In 8-bit integers.
        #[default]
        Int8 = "int8",
        /// In 32-bit floats.
        F32 = "f32",
    }
}

settings! {
    /// The model that turns texts into vectors.
    Embedder in "embedder", titled "Embedder";

    /// Name of the model for an empty database, and of its folder. A database with vectors keeps its model.
    EMBED_MODEL[MODEL] model: String = name, default "multilingual-e5-small";
    /// Version of the vectors, for an empty database.
    EMBED_VERSION[MODEL] version: String = name, default "1";
    /// Folder of local models, each in a folder of its name.
    EMBED_MODEL_DIR[STORED] model_dir: PathBuf = path, optional "/var/lib/app/models";
    /// How a local model computes: `int8`, twice as fast, at a loss that search cannot tell; `f32`, as the model was trained.
    /// Vectors of both fit each other.
    EMBED_PRECISION[STORED] precision: Precision = one_of(Precision::ALL), default "int8";
    /// Threads of a local model; `0`: one a core.
    EMBED_THREADS[STORED] threads: usize = whole(0..=1024), default "0", example "2";
}
