//! `ext.embed`: the embedding model of this process.

use super::super::check::{Cause, Check, Context, Outcome, causes};
use domain::{Code, Failure, ports::EmbedPriority};

pub(crate) static MODEL: Check =
    Check::once("ext.embed", "the model loads and gives vectors of its dimension.", |context| Box::pin(model(context)))
        .finds(MODEL_CAUSES);

causes! { MODEL_CAUSES:
    MODEL_MISSING = error("model_missing",
        "The embedding model is in none of the places where it is looked for.",
        "Run `scripts/fetch model`, or set EMBED_MODEL_DIR to the folder that holds it; check EMBED_MODEL.");
    MODEL_UNUSABLE = error("model_unusable",
        "The embedding model is there and cannot be used: damaged, of an unknown kind, or without memory or threads.",
        "Fetch the model again (`scripts/fetch model`), and see that EMBED_MODEL is a BERT model.");
    DIMENSION_UNEXPECTED = error("dimension_unexpected",
        "The model gives vectors of another dimension than it says, or none of length 1: search would go wrong.",
        "Fetch the model again: `scripts/fetch model`.");
}

/// How far from 1 the length of a vector may be, for rounding.
const LENGTH_TOLERANCE: f32 = 0.01;

async fn model(context: &Context<'_>) -> Outcome {
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
