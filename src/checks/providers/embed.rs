//! `ext.embed`: the local model, and the embedding service whose key is set.

use serde::Deserialize;
use serde_json::json;

use super::super::{
    Scene,
    finding::{Cause, Finding, Look},
    http::{self, Answer},
};
use crate::{
    config::{Config, Secret},
    domain::{Code, Failure},
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
pub(super) static KEY_REFUSED: Cause = Cause::warning(
    EMBED,
    "key_refused",
    "The embedding service refuses OPENAI_API_KEY. Nothing needs that service yet.",
);
pub(super) static MODEL_UNKNOWN: Cause =
    Cause::warning(EMBED, "model_unknown", "The embedding service has no such model. Nothing needs that service yet.");
pub(super) static QUOTA: Cause = Cause::warning(
    EMBED,
    "quota",
    "The embedding service takes the key and has nothing left for it. Nothing needs that service yet.",
);
pub(super) static UNREACHABLE: Cause =
    Cause::warning(EMBED, "unreachable", "The embedding service does not answer. Nothing needs that service yet.")
        .waitable();

/// What is embedded: one token.
const TEXT: &str = "ok";
/// Asked for where EMBED_MODEL is the model of this process. Source: OpenAI's cheapest.
const REMOTE_MODEL: &str = "text-embedding-3-small";
/// How far from 1 the length of a vector may be, for rounding.
const LENGTH_TOLERANCE: f32 = 0.01;

pub(super) async fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let (local, is_here) = local(scene.config, &*scene.model).await;
    let mut findings = vec![local.about("this process")];
    if let Some(key) = &scene.config.embedder.openai_api_key {
        findings.push(remote(scene.config, key, is_here).await.about("OPENAI_API_URL"));
    }
    findings
}

/// The finding, and whether EMBED_MODEL is a model of this process.
async fn local(config: &Config, source: &dyn ModelSource) -> (Finding, bool) {
    let look = Look::at(EMBED);
    let name = &config.embedder.model;
    let vectors = async {
        let embedder = source.embedder().await?;
        let vectors = embedder.embed(vec![TEXT.to_owned()], EmbedPriority::Query).await?;
        Ok::<_, Failure>((embedder.model().dim, vectors))
    };
    let (dim, vectors) = match vectors.await {
        Ok(found) => found,
        Err(failure) if failure.code == Code::ModelMissing => {
            let fix =
                "Run `scripts/fetch model`, or set EMBED_MODEL_DIR to the folder that holds it; check EMBED_MODEL.";
            return (look.found(&MODEL_MISSING, failure.message, fix), false);
        }
        Err(failure) => {
            let fix = "Fetch the model anew (`scripts/fetch model`), and see that EMBED_MODEL is a BERT model.";
            return (look.found(&MODEL_UNUSABLE, format!("{name}: {} [{}]", failure.message, failure.code), fix), true);
        }
    };
    let vector = vectors.first().map(Vec::as_slice).unwrap_or_default();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let is_unit = (length - 1.0).abs() < LENGTH_TOLERANCE;
    let finding = if vector.len() == dim && is_unit {
        look.passed(format!("{name} gives vectors of {dim} components"))
    } else {
        let observed = format!("{name} gave {} components, of length {length}", vector.len());
        look.found(&DIMENSION_UNEXPECTED, observed, "Fetch the model anew: `scripts/fetch model`.")
            .expecting(format!("{dim} components, of length 1"))
    };
    (finding, true)
}

/// Source: OpenAI's API reference, "Create embeddings".
#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    embedding: Vec<f32>,
}

async fn remote(config: &Config, key: &Secret<String>, model_is_local: bool) -> Finding {
    let look = Look::at(EMBED);
    let Some(base) = &config.embedder.openai_url else { return look.skipped("OPENAI_API_URL cannot be used") };
    let model = if model_is_local { REMOTE_MODEL } else { &config.embedder.model };
    let place = http::shown(base);
    let request = http::client()
        .post(format!("{}/embeddings", base.as_str().trim_end_matches('/')))
        .bearer_auth(key.expose())
        .json(&json!({ "model": model, "input": TEXT }));
    let answer = match http::send(request).await {
        Ok(answer) => answer,
        Err(trouble) => {
            let fix = "Check OPENAI_API_URL, and what this network lets out.";
            return look.found(&UNREACHABLE, format!("{place}: {trouble}"), fix);
        }
    };
    refused(look, &place, model, &answer)
}

fn refused(look: Look, place: &str, model: &str, answer: &Answer) -> Finding {
    let observed = format!("{place} answered with {}", answer.status);
    // The answer may repeat the key; of its text only known words are looked at.
    let says = answer.text().to_lowercase();
    match answer.status {
        401 | 403 => look.found(&KEY_REFUSED, observed, "Take another key, or unset OPENAI_API_KEY."),
        402 | 429 => look.found(&QUOTA, observed, "Look at the account's limits and balance, or unset OPENAI_API_KEY."),
        400 | 404 if says.contains("model") => look.found(
            &MODEL_UNKNOWN,
            format!("{observed} to the model {model}"),
            "Set EMBED_MODEL to one that the service has; check OPENAI_API_URL.",
        ),
        _ => match answer.json::<Embeddings>().and_then(|answer| answer.data.into_iter().next()) {
            Some(first) if answer.is_success() && !first.embedding.is_empty() => {
                look.passed(format!("{place}: {model} gives {} components", first.embedding.len()))
            }
            _ => look.found(
                &UNREACHABLE,
                format!("{observed}, as no embedding service would"),
                "Check OPENAI_API_URL: it ends in /v1 for OpenAI.",
            ),
        },
    }
}
