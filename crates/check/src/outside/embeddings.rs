//! `ext.embeddings`: whether the embedding service answers, takes the key, knows the model, and gives vectors of the
//! dimension that the database has. It embeds one word.

use super::{
    super::check::{Cause, Context, Outcome, Problem, declare},
    http,
};
use config::EmbedProvider;
use domain::{Code, Failure};
use store::active_model::{LOCAL, get_active_model};

declare! {
    SERVICE = once("ext.embeddings",
        "the embedding service answers, takes the key, and gives vectors of the active model's dimension.", service);
    KEY_REFUSED = error("key_refused",
        "The embedding service refuses OPENAI_API_KEY, or wants one: workers claim nothing, and searches go by words.",
        "Set another key.");
    QUOTA = error("quota",
        "The account with the embedding service has no money or no quota left: workers claim nothing, and searches go by words.",
        "Add credit, or raise the account's limit.");
    BUSY = warning("busy",
        "The embedding service takes no more requests just now: documents wait.",
        "Set EMBED_REQUESTS_PER_MINUTE and EMBED_TOKENS_PER_MINUTE to the account's limits, or have these raised.").may_pass();
    MODEL_UNKNOWN = error("model_unknown",
        "The embedding service does not know the active model.",
        "Make the service load it, or correct EMBED_MODEL while the database has no vectors.");
    ADDRESS_WRONG = error("address_wrong",
        "What answers at OPENAI_API_URL is not an embedding service.",
        "Set the address below which the service has /embeddings; most have it below /v1.");
    UNREACHABLE = error("unreachable",
        "The embedding service does not answer, or with an error: documents wait, and searches go by words.",
        "Check OPENAI_API_URL, the service's status, and this network's firewall for outgoing connections.").may_pass();
    DIMENSION = error("dimension_unlike_database",
        "The service's model gives vectors of another dimension than the database's vectors of that name.",
        "Make the service load the right model; give another model a name or a version of its own.");
    ANSWER = error("answer_invalid",
        "The embedding service's answer cannot be used.",
        "Check OPENAI_API_URL, and look at the service's log.");
    NOT_SET = error("not_set",
        "The database's vectors are of a service's model, and what the service needs is not set.",
        "Set OPENAI_API_KEY, or OPENAI_API_URL for a service of your own.");
}

async fn service(context: &Context<'_>) -> Outcome {
    if !is_rented(context).await {
        return Problem::skipped("the model is one of this machine: see ext.embed");
    }
    let url = context.config.embedder.openai_url.as_ref();
    let place = url.map_or_else(|| "the service".to_owned(), http::without_secrets);
    let ask = async {
        let embedder = context.setup.model.embedder().await?;
        if let Some(service) = embedder.service() {
            service.probe().await?;
        }
        Ok::<_, Failure>(embedder.model().clone())
    };
    match ask.await {
        Ok(model) => Ok(format!("{place} gives vectors of {} with {} components", model.name, model.dim)),
        Err(failure) => Err(cause(failure.code).seen(format!("{place}: {} [{}]", failure.message, failure.code))),
    }
}

fn cause(code: Code) -> &'static Cause {
    match code {
        Code::EmbedServiceKeyRefused => &KEY_REFUSED,
        Code::EmbedServiceNoQuota => &QUOTA,
        Code::EmbedServiceBusy => &BUSY,
        Code::EmbedServiceModelUnknown => &MODEL_UNKNOWN,
        Code::EmbedServiceAddressWrong => &ADDRESS_WRONG,
        Code::EmbedServiceUnavailable | Code::EmbedServiceTimeout => &UNREACHABLE,
        Code::EmbedServiceNotSet => &NOT_SET,
        Code::ModelDimension | Code::VectorDimension => &DIMENSION,
        _ => &ANSWER,
    }
}

/// Whether the model is one of a service: by the database's row, or, where there is none, by the settings.
pub(super) async fn is_rented(context: &Context<'_>) -> bool {
    let row = async {
        let conn = context.conn().await.ok()?;
        get_active_model(&conn).await.ok()?
    };
    match row.await {
        Some(active) => active.provider != LOCAL,
        None => context.config.embedder.provider == EmbedProvider::OpenAi,
    }
}
