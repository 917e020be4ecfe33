//! `ext.parse`: whether LlamaParse takes LLAMAPARSE_API_KEY, by a call that reads and costs nothing.

use super::{
    super::check::{Cause, Check, Context, Outcome, Problem, causes},
    http,
};
use config::ParserChoice;

pub(crate) static PARSER: Check =
    Check::once("ext.parse", "the parsing service whose key is set takes it.", |context| Box::pin(parser(context)))
        .finds(PARSER_CAUSES);

causes! { PARSER_CAUSES:
    KEY_REFUSED = error("key_refused",
        "LlamaParse refuses LLAMAPARSE_API_KEY: the first document that needs it stops a worker from claiming.",
        "Take another key, or set PARSER=local.");
    QUOTA = warning("quota",
        "LlamaParse takes the key and has no credits, or no requests a minute, left for it: documents that need it wait, or fail.",
        "Look at the account's credits, or set PARSER=local.");
    UNREACHABLE = warning("unreachable",
        "LlamaParse does not answer: documents that need it wait, then fail.",
        "Check LLAMAPARSE_API_URL, the service's status, and what this network lets out.").may_pass();
}

/// Lists one job. Source: LlamaParse, "REST API Guide".
const READ_ONLY: &str = "/api/v2/parse?page_size=1";

async fn parser(context: &Context<'_>) -> Outcome {
    let parser = &context.config.parser;
    if parser.choice == ParserChoice::Local {
        return Problem::skipped("PARSER is local: LlamaParse is not used");
    }
    let Some(key) = &parser.llamaparse_api_key else {
        return Problem::skipped("LLAMAPARSE_API_KEY is not set: documents are parsed locally");
    };
    let Some(base) = &parser.llamaparse_url else { return Problem::skipped("LLAMAPARSE_API_URL cannot be used") };
    let place = http::shown(base);
    let url = format!("{}{READ_ONLY}", base.as_str().trim_end_matches('/'));
    let answer = http::send(http::client().get(url).bearer_auth(key.expose()))
        .await
        .map_err(|trouble| UNREACHABLE.seen(format!("{place}: {trouble}")))?;
    let cause = match answer.status {
        200..=299 => return Ok(format!("{place} takes the key")),
        401 | 403 => &KEY_REFUSED,
        402 | 429 => &QUOTA,
        _ => &UNREACHABLE,
    };
    Err(cause.seen(format!("{place} answered with {}", answer.status)))
}
