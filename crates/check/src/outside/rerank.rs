//! `ext.rerank`: whether the reranker judges passages, within the time that a search gives it.

use std::time::Instant;

use super::super::check::{Context, Outcome, Problem, declare};
use domain::Code;

declare! {
    RERANKER = once("ext.rerank", "the reranker judges passages in time.", reranker);
    SETTINGS = error("settings_unusable",
        "The client of the reranker cannot be made.",
        "Correct RERANK_URL, RERANK_API_KEY and RERANK_MODEL.");
    KEY_REFUSED = error("key_refused",
        "The reranker refuses RERANK_API_KEY: searches answer in their own order.",
        "Set a key that it accepts, or unset RERANK_URL.");
    FAILED = warning("failed",
        "The reranker did not judge two passages: searches wait for it, then answer in their own order.",
        "Check RERANK_URL, the service's status, and that RERANK_MODEL is set for a service with more than one model and unset for Text Embeddings Inference; or unset RERANK_URL.")
        .may_pass();
}

async fn reranker(context: &Context<'_>) -> Outcome {
    let Some(reranker) = context.setup.reranker.as_ref().map_err(|error| SETTINGS.seen(error))? else {
        return Problem::skipped("RERANK_URL is not set: hits keep the order of the search");
    };
    let passages = ["The lamp burns oil.", "Herons fish in the sea."].map(str::to_owned);
    let began = Instant::now();
    match reranker.rerank("What does the lamp burn?", &passages).await {
        Ok(_scores) => Ok(format!("{} judged two passages in {} ms", reranker.name(), began.elapsed().as_millis())),
        Err(failure) if failure.code == Code::RerankerKeyRefused => Err(KEY_REFUSED.seen(failure.message)),
        Err(failure) => Err(FAILED.seen(failure.message)),
    }
}
