//! Embedding by an external service, which charges for what it is given.

use async_trait::async_trait;

use crate::{Code, Failure};

/// What requests to the service may hold, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestBounds {
    /// Texts of one request; at least one.
    pub inputs: usize,
    /// Tokens of one request, as the chunker counts them.
    pub tokens: usize,
    /// Requests that run at a time for one document; at least one.
    pub in_flight: usize,
    /// Requests a minute of all workers together; 0 = no limit.
    pub requests_per_minute: u32,
    /// Tokens a minute of all workers together; 0 = no limit.
    pub tokens_per_minute: u32,
}

impl RequestBounds {
    /// Tokens of one request: no request takes more than a minute has.
    pub fn most_tokens(&self) -> usize {
        match self.tokens_per_minute {
            0 => self.tokens,
            limit => self.tokens.min(limit as usize),
        }
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    /// One vector for each text, in the same order, of the model's dimension and of length 1; `None`: what came is not finite, or
    /// all zero.
    pub vectors: Vec<Option<Vec<f32>>>,
    /// The tokens that the service charged for; `None`: it did not say.
    pub tokens: Option<i64>,
}

impl Bought {
    /// All vectors.
    ///
    /// # Errors
    ///
    /// One of them is not finite, or all zero.
    pub fn whole(self) -> Result<Vec<Vec<f32>>, Failure> {
        self.vectors.into_iter().collect::<Option<_>>().ok_or_else(invalid_vector)
    }
}

/// What is wrong with a text whose vector is not finite, or all zero.
pub fn invalid_vector() -> Failure {
    Failure::new(Code::VectorInvalid, "The embedding service gave a vector that is not finite, or all zero.")
}

/// A request without vectors.
#[derive(Debug, Clone)]
pub struct BuyFailed {
    /// What went wrong.
    pub failure: Failure,
    /// Whether the service may have charged for it all the same: it answered, or its answer did not arrive.
    pub uncertain: bool,
    /// Whether the service refused these texts for what they are, so that it may take some of them, or a shorter one.
    pub refuses_texts: bool,
}

/// A service that turns texts into vectors for money. No call is repeated here: the caller knows what is paid.
#[async_trait]
pub trait EmbedService: Send + Sync {
    /// For `embed_calls.provider` and `active_model.provider`: `openai`.
    fn name(&self) -> &'static str;
    /// What its requests may hold.
    fn bounds(&self) -> RequestBounds;
    /// Sends passages in one request, which costs money.
    async fn buy(&self, passages: &[String]) -> Result<Bought, BuyFailed>;
    /// Sends a question in one request, with the model's prompt for questions, which costs money.
    async fn ask(&self, question: &str) -> Result<Bought, BuyFailed>;
    /// Embeds one word, to find out whether the service answers, takes the key and gives vectors of the model's dimension.
    async fn probe(&self) -> Result<(), Failure>;
}
