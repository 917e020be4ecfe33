//! `ext.parse`: whether LlamaParse accepts LLAMAPARSE_API_KEY, by a call that reads and costs nothing.

use super::{
    super::check::{Context, Outcome, Problem, declare},
    http,
};
use config::ParserChoice;

declare! {
    PARSER = once("ext.parse", "the parsing service accepts the key that is set for it.", parser);
    KEY_REFUSED = error("key_refused",
        "LlamaParse refuses LLAMAPARSE_API_KEY: the first document that needs it stops a worker from claiming.",
        "Use another key, or set PARSER=local.");
    QUOTA = warning("quota",
        "LlamaParse accepts the key, but the account has no credits or no requests a minute left: documents that need it wait, or fail.",
        "Check the account's credits, or set PARSER=local.");
    UNREACHABLE = warning("unreachable",
        "LlamaParse does not answer: documents that need it wait, then fail.",
        "Check LLAMAPARSE_API_URL, the service's status, and this network's firewall for outgoing connections.").may_pass();
}

/// Lists one job (LlamaParse, "REST API Guide").
const LIST_ONE_JOB: &str = "/api/v2/parse?page_size=1";

async fn parser(context: &Context<'_>) -> Outcome {
    let parser = &context.config.parser;
    if parser.choice == ParserChoice::Local {
        return Problem::skipped("PARSER is local: LlamaParse is not used");
    }
    let Some(key) = &parser.llamaparse_api_key else {
        return Problem::skipped("LLAMAPARSE_API_KEY is not set: documents are parsed locally");
    };
    let Some(base) = &parser.llamaparse_url else { return Problem::skipped("LLAMAPARSE_API_URL cannot be used") };
    let place = http::without_secrets(base);
    let url = format!("{}{LIST_ONE_JOB}", base.as_str().trim_end_matches('/'));
    let answer = http::send(http::client().get(url).bearer_auth(key.expose()))
        .await
        .map_err(|error| UNREACHABLE.seen(format!("{place}: {error}")))?;
    let cause = match answer.status {
        200..=299 => return Ok(format!("{place} accepts the key")),
        401 | 403 => &KEY_REFUSED,
        402 | 429 => &QUOTA,
        _ => &UNREACHABLE,
    };
    Err(cause.seen(format!("{place} answered with {}", answer.status)))
}
