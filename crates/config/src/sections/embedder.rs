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

named! {
    /// What computes the vectors.
    #[derive(Default)]
    EmbedProvider {
        /// This machine, by a model in a folder.
        #[default]
        Local = "local",
        /// A service that speaks OpenAI's API.
        OpenAi = "openai",
    }
}

/// OpenAI's own service.
const OPENAI_HOST: &str = "api.openai.com";
/// The most components of a vector (pgvector).
const MOST_DIMENSIONS: usize = 16_000;

settings! {
    /// The model that turns texts into vectors.
    Embedder in "embedder", titled "Embedder";

    /// What computes the vectors of an empty database: `local`, this machine; `openai`, OpenAI or a service that speaks its API
    /// (Azure, Ollama, vLLM, TEI, LiteLLM). A database with vectors keeps its model, and what computes it.
    EMBED_PROVIDER[EMBED_PROVIDER] provider: EmbedProvider = one_of(EmbedProvider::ALL), default "local";
    /// Name of the model for an empty database, and of its folder, or the service's name of it. A database with vectors keeps its model.
    EMBED_MODEL[MODEL_NAME] model: String = name, default "multilingual-e5-small";
    /// Version of the vectors, for an empty database.
    EMBED_VERSION[MODEL] version: String = name, default "1";
    /// Folder of local models, each in a folder of its name.
    EMBED_MODEL_DIR[STORED] model_dir: PathBuf = path, optional "/var/lib/app/models";
    /// How a local model computes: `int8`, more than twice as fast, at a loss that search cannot tell; `f32`, as the model was trained.
    /// Vectors of both fit each other.
    EMBED_PRECISION[STORED] precision: Precision = one_of(Precision::ALL), default "int8";
    /// Threads of a local model; `0`: one a core.
    EMBED_THREADS[STORED] threads: usize = whole(0..=1024), default "0", example "2";
    /// Key of the embedding service. A service of your own may want none.
    OPENAI_API_KEY[STORED] openai_api_key: Secret<String> = secret, secret "sk-…";
    /// Address of the embedding service; requests go to `/embeddings` below it. An address without a path means its `/v1`.
    OPENAI_API_URL[STORED] openai_url: Option<Url> = some_url, default "https://api.openai.com/v1", example "http://ollama:11434/v1";
    /// Components of a vector of the service's model, for an empty database: a shorter form, where the service has one. Default: the
    /// model's own.
    EMBED_DIMENSIONS[STORED] dimensions: usize = whole(1..=MOST_DIMENSIONS), optional "512";
    /// Goes before a question, with a space, for a service's model that wants it (`query:` for e5). A local model's folder says it.
    EMBED_QUERY_PREFIX[STORED] query_prefix: String = words, optional "query:";
    /// Goes before a passage, in the same way. Another prefix makes other vectors: give them a version of their own.
    EMBED_PASSAGE_PREFIX[STORED] passage_prefix: String = words, optional "passage:";
    /// Passages that one request to the service holds at most.
    EMBED_REQUEST_INPUTS[WORKER] request_inputs: usize = whole(1..=2048), default "32";
    /// Tokens that one request holds at most, as the chunker counts them.
    EMBED_REQUEST_TOKENS[WORKER] request_tokens: usize = whole(256..=300_000), default "8000";
    /// Requests that run at a time for one document.
    EMBED_REQUESTS_IN_FLIGHT[WORKER] requests_in_flight: usize = whole(1..=64), default "4";
    /// Requests a minute of all workers together; questions of searches are not counted; `0`: no limit.
    EMBED_REQUESTS_PER_MINUTE[RATES] requests_per_minute: u32 = whole(0..=1_000_000), default "0", example "3000";
    /// Tokens a minute of all workers together; `0`: no limit.
    EMBED_TOKENS_PER_MINUTE[RATES] tokens_per_minute: u32 = whole(0..=2_000_000_000), default "0", example "1000000";
    /// Seconds that the service may take for a request with passages.
    EMBED_TIMEOUT[STORED] timeout: Duration = seconds(0.1..=600.0), default "30";
    /// Seconds that it may take for the question of a search; then the search goes by words.
    EMBED_QUERY_TIMEOUT[STORED] query_timeout: Duration = seconds(0.1..=60.0), default "3";
}

impl Embedder {
    /// Whether the service is OpenAI's own, which wants a key.
    pub fn is_openai(&self) -> bool {
        self.openai_url.as_ref().and_then(Url::host_str) == Some(OPENAI_HOST)
    }
}
