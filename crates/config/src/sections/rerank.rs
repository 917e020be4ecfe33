use super::*;

settings! {
    /// A service that judges the best hits of a search once more.
    Rerank in "rerank", titled "Reranker";

    /// Address of a reranker, path included: that of Cohere, Jina or Voyage, of a server with their form (vLLM, Infinity), or of
    /// Text Embeddings Inference. It is sent the question and the best passages of each search. Without it, hits keep the
    /// order of the search.
    RERANK_URL[API] url: Url = service_url, optional "https://api.jina.ai/v1/rerank";
    /// Key of the reranker.
    RERANK_API_KEY[API] api_key: Secret<String> = secret, secret "jina_…";
    /// Model that the reranker is asked for; without it, the form of Text Embeddings Inference is spoken, whose server has one model.
    RERANK_MODEL[API] model: String = name, optional "jina-reranker-v2-base-multilingual";
    /// Seconds that a search waits for the reranker; after that it answers in its own order.
    RERANK_TIMEOUT[API] timeout: Duration = seconds(0.05..=30.0), default "1";
}
