//! `ext.embed`: the embedding model of this process.

use super::super::finding::{Cause, Finding, Look};
use crate::{
    config::Config,
    domain::Failure,
    ports::{EmbedPriority, ModelSource},
};

pub(super) const EMBED: &str = "ext.embed";

pub(super) static MODEL_MISSING: Cause =
    Cause::error(EMBED, "model_missing", "The embedding model is in none of the places where it is looked for.");
pub(super) static MODEL_UNUSABLE: Cause = Cause::error(
    EMBED,
    "model_unusable",
    "The embedding model is there and cannot be used: damaged, of an unknown kind, or without memory or threads.",
);
pub(super) static DIMENSION_UNEXPECTED: Cause = Cause::error(
    EMBED,
    "dimension_unexpected",
    "The model gives vectors of another dimension than it says, or none of length 1: search would go wrong.",
);
/// What is embedded: one token.
const TEXT: &str = "ok";
/// How far from 1 the length of a vector may be, for rounding.
const LENGTH_TOLERANCE: f32 = 0.01;

pub(super) async fn check(config: &Config, source: &dyn ModelSource) -> Finding {
    let look = Look::at(EMBED);
    let name = &config.embedder.model;
    let vectors = async {
        let embedder = source.embedder().await?;
        let vectors = embedder.embed(vec![TEXT.to_owned()], EmbedPriority::Query).await?;
        Ok::<_, Failure>((embedder.model().dim, vectors))
    };
    let (dim, vectors) = match vectors.await {
        Ok(found) => found,
        Err(failure) if failure.code == "model_missing" => {
            let fix =
                "Run `scripts/fetch model`, or set EMBED_MODEL_DIR to the folder that holds it; check EMBED_MODEL.";
            return look.found(&MODEL_MISSING, failure.message, fix);
        }
        Err(failure) => {
            let fix = "Fetch the model anew (`scripts/fetch model`), and see that EMBED_MODEL is a BERT model.";
            return look.found(&MODEL_UNUSABLE, format!("{name}: {} [{}]", failure.message, failure.code), fix);
        }
    };
    let vector = vectors.first().map(Vec::as_slice).unwrap_or_default();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let is_unit = (length - 1.0).abs() < LENGTH_TOLERANCE;
    if vector.len() == dim && is_unit {
        look.passed(format!("{name} gives vectors of {dim} components"))
    } else {
        let observed = format!("{name} gave {} components, of length {length}", vector.len());
        look.found(&DIMENSION_UNEXPECTED, observed, "Fetch the model anew: `scripts/fetch model`.")
            .expecting(format!("{dim} components, of length 1"))
    }
}
