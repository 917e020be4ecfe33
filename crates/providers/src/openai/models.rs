//! What is known of OpenAI's own models, so that nothing has to be asked.

/// A model whose dimension and window are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Components of a vector.
    pub dim: usize,
    /// Tokens of one text that it reads.
    pub max_tokens: usize,
    /// Whether a request may ask for fewer components.
    pub shortens: bool,
}

/// OpenAI, "Vector embeddings".
pub(super) fn known(model: &str) -> Option<Known> {
    let (dim, shortens) = match model {
        "text-embedding-3-small" => (1536, true),
        "text-embedding-3-large" => (3072, true),
        "text-embedding-ada-002" => (1536, false),
        _ => return None,
    };
    Some(Known { dim, max_tokens: 8191, shortens })
}
