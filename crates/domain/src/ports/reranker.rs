//! A model that judges passages against a question, as an external service.

use async_trait::async_trait;

use crate::Failure;

/// Judges how well passages answer a question, better than the rankings that found them, and more slowly.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// Its model, for answers.
    fn name(&self) -> &str;
    /// From 0 to 1, how well each of `passages` answers `question`, in their order. A failure costs the search nothing but
    /// time, and of that no more than the reranker's own budget.
    async fn rerank(&self, question: &str, passages: &[String]) -> Result<Vec<f64>, Failure>;
}
