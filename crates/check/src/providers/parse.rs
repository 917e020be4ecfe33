//! `ext.parse`: whether LlamaParse takes LLAMAPARSE_API_KEY, by a call that reads and costs nothing.

use super::super::{
    finding::{Cause, Finding, Look},
    http,
};
use config::{Config, ParserChoice};

pub(super) const PARSE: &str = "ext.parse";

pub(super) static KEY_REFUSED: Cause = Cause::error(
    PARSE,
    "key_refused",
    "LlamaParse refuses LLAMAPARSE_API_KEY: the first document that needs it stops a worker from claiming.",
);
pub(super) static QUOTA: Cause = Cause::warning(
    PARSE,
    "quota",
    "LlamaParse takes the key and has no credits, or no requests a minute, left for it: documents that need it wait, or fail.",
);
pub(super) static UNREACHABLE: Cause =
    Cause::warning(PARSE, "unreachable", "LlamaParse does not answer: documents that need it wait, then fail.")
        .waitable();

/// Lists one job. Source: LlamaParse, "REST API Guide".
const READ_ONLY: &str = "/api/v2/parse?page_size=1";

pub(super) async fn check(config: &Config) -> Finding {
    let look = Look::at(PARSE);
    if config.parser.choice == ParserChoice::Local {
        return look.skipped("PARSER is local: LlamaParse is not asked");
    }
    let Some(key) = &config.parser.llamaparse_api_key else {
        return look.skipped("LLAMAPARSE_API_KEY is not set: documents are parsed locally");
    };
    let Some(base) = &config.parser.llamaparse_url else { return look.skipped("LLAMAPARSE_API_URL cannot be used") };
    let place = http::shown(base);
    let url = format!("{}{READ_ONLY}", base.as_str().trim_end_matches('/'));
    let answer = match http::send(http::client().get(url).bearer_auth(key.expose())).await {
        Ok(answer) => answer,
        Err(trouble) => {
            let fix = "Check LLAMAPARSE_API_URL, and what this network lets out.";
            return look.found(&UNREACHABLE, format!("{place}: {trouble}"), fix);
        }
    };
    let observed = format!("{place} answered with {}", answer.status);
    match answer.status {
        200..=299 => look.passed(format!("{place} takes the key")),
        401 | 403 => look.found(&KEY_REFUSED, observed, "Take another key, or set PARSER=local."),
        402 | 429 => look.found(&QUOTA, observed, "Look at the account's credits, or set PARSER=local."),
        _ => look.found(&UNREACHABLE, observed, "Check LLAMAPARSE_API_URL, and the service's status."),
    }
}
