//! `ext.embed`: the embedding model of this process.

use super::{
    super::check::{Context, Outcome, Problem, declare},
    embeddings::is_rented,
};
use domain::{Code, Failure, ports::EmbedPriority};

declare! {
    MODEL = once("ext.embed", "the model loads and gives vectors of its dimension.", model);
    MODEL_MISSING = error("model_missing",
        "The embedding model is in none of the places where it is looked for.",
        "Run `scripts/fetch model` (multilingual-e5-small) or `scripts/fetch minilm` (all-MiniLM-L6-v2), or set EMBED_MODEL_DIR to the folder that holds a folder of its name.");
    MODEL_UNUSABLE = error("model_unusable",
        "The embedding model cannot be used: it is damaged or of an unknown kind, or memory or threads are missing.",
        "Fetch the model again (`scripts/fetch model` or `scripts/fetch minilm`); one of your own must be of the BERT family.");
    DIMENSION_UNEXPECTED = error("dimension_unexpected",
        "The model gives vectors of another dimension than it declares, or not of length 1: search would go wrong.",
        "Fetch the model again: `scripts/fetch model` or `scripts/fetch minilm`.");
}

/// Allows for rounding in a vector's length of 1.
const LENGTH_TOLERANCE: f32 = 0.01;

async fn model(context: &Context<'_>) -> Outcome {
    if is_rented(context).await {
        return Problem::skipped("the model is one of a service: see ext.embeddings");
    }
    let name = &context.config.embedder.model;
    let embed = async {
        let embedder = context.setup.model.embedder().await?;
        let vectors = embedder.embed(vec!["ok".to_owned()], EmbedPriority::Query).await?;
        Ok::<_, Failure>((embedder.model().dim, vectors))
    };
    let (dim, vectors) = embed.await.map_err(|failure| match failure.code {
        Code::ModelMissing => MODEL_MISSING.seen(failure.message),
        code => MODEL_UNUSABLE.seen(format!("{name}: {} [{code}]", failure.message)),
    })?;
    let vector = vectors.first().map(Vec::as_slice).unwrap_or_default();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if vector.len() == dim && (length - 1.0).abs() < LENGTH_TOLERANCE {
        return Ok(format!("{name} gives vectors of {dim} components"));
    }
    let observed = format!("{name} gave {} components, of length {length}", vector.len());
    Err(DIMENSION_UNEXPECTED.seen(observed).expecting(format!("{dim} components, of length 1")))
}
