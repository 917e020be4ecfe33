//! `hook.url`: whether LlamaParse can call WEBHOOK_BASE_URL, and whether this deployment answers there.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use url::{Host, Url};
use uuid::Uuid;

use super::{
    super::check::{Context, Outcome, Problem, declare},
    http,
};
use domain::{
    Code, JobId,
    callback::{self, CallbackKey},
};
use messages::BASE_PATH;

declare! {
    WEBHOOK = once("hook.url", "the parsing service can call this deployment.", webhook);
    NOT_HTTPS = warning("not_https",
        "LlamaParse calls HTTPS addresses only: workers poll it instead, and documents take longer.",
        "Use the API's https:// address, as clients reach it.");
    IP_ADDRESS = warning("ip_address",
        "LlamaParse calls domain names only: workers poll it instead, and documents take longer.",
        "Use a domain name.");
    TOO_LONG = warning("too_long",
        "With a job's id and its token the URL would be longer than LlamaParse allows, and it may refuse the document.",
        "Use a shorter address.");
    UNREACHABLE = warning("unreachable",
        "This API does not answer at WEBHOOK_BASE_URL: workers poll LlamaParse instead, and documents take longer.",
        "Check WEBHOOK_BASE_URL: it is the address of the API itself; see api.reach.").may_pass();
    SECRET_DIFFERS = warning("secret_differs",
        "The API refuses webhooks made with this WEBHOOK_SECRET: workers poll LlamaParse instead, and documents take longer.",
        "Give API and worker the same WEBHOOK_SECRET.").may_pass();
    OTHER_DEPLOYMENT = error("other_deployment",
        "WEBHOOK_BASE_URL leads to another environment or commit than this one: webhooks would not arrive here.",
        "Use the address of this environment; if a deploy is under way, wait for its end.").may_pass();
}

/// LlamaParse takes fewer than 200 characters ("Webhooks").
const MAX_CHARS: usize = 199;
/// How long the webhook of the check is valid; longer than one request.
const VALID_FOR: Duration = Duration::from_secs(60);

/// The fields of `/version` that are checked. An older or newer API may have other fields besides.
#[derive(Debug, Deserialize)]
struct Version {
    environment: String,
    commit: String,
}

/// The field of a problem that is checked.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
}

async fn webhook(context: &Context<'_>) -> Outcome {
    let Some(base) = &context.config.parser.webhook_base_url else {
        return Problem::skipped("WEBHOOK_BASE_URL is not set: LlamaParse does not call back");
    };
    let place = http::without_secrets(base);
    if base.scheme() != "https" {
        return Err(NOT_HTTPS.seen(place));
    }
    if !matches!(base.host(), Some(Host::Domain(_))) {
        return Err(IP_ADDRESS.seen(place));
    }
    let chars = place.chars().count() + BASE_PATH.len() + callback::TAIL_CHARS;
    if chars > MAX_CHARS {
        let problem = TOO_LONG.seen(format!("{place}: {chars} characters in all"));
        return Err(problem.expecting(format!("{MAX_CHARS} at most")));
    }
    if context.options.pre {
        return Ok(format!("{place}; whether the API answers there is checked after the deploy"));
    }
    let deployment = find_deployment(context, base, &place).await?;
    send_webhook(context, base, &place, deployment).await
}

/// Requires that this environment's API, of this commit, answers. Returns its environment and commit in words.
async fn find_deployment(context: &Context<'_>, base: &Url, place: &str) -> Outcome {
    let answer = http::get(format!("{}/version", base.as_str().trim_end_matches('/')))
        .await
        .map_err(|error| UNREACHABLE.seen(format!("{place}: {error}")))?;
    let Some(found) = answer.json::<Version>().filter(|_| answer.is_success()) else {
        return Err(UNREACHABLE.seen(format!("{place} answered with {}, but not as our /version", answer.status)));
    };
    let environment = context.config.environment;
    let commit = &*context.setup.build.commit;
    // A build that does not know its commit may be the same.
    let is_same_commit = found.commit == commit || [&*found.commit, commit].contains(&"unknown");
    if found.environment == environment.as_str() && is_same_commit {
        return Ok(format!("{place}: {} at {}", found.environment, found.commit));
    }
    let observed = format!("{place} is {} at {}", found.environment, found.commit);
    Err(OTHER_DEPLOYMENT.seen(observed).expecting(format!("{environment} at {commit}")))
}

/// Sends a webhook for a job that does not exist. An API with the same secret answers that there is no such job; any
/// other refuses the webhook.
async fn send_webhook(context: &Context<'_>, base: &Url, place: &str, deployment: String) -> Outcome {
    let Some(secret) = &context.config.parser.webhook_secret else { return Ok(deployment) };
    let base = format!("{}{BASE_PATH}", base.as_str().trim_end_matches('/'));
    let job = JobId(Uuid::new_v4());
    let expires_at = OffsetDateTime::now_utc() + VALID_FOR;
    let Some(callback) = CallbackKey::new(secret.expose()).callback(&base, job, expires_at) else {
        return Ok(deployment);
    };
    let code = match http::send(http::client().post(callback.url).header(callback.header, callback.secret)).await {
        Ok(answer) => answer.json::<Refusal>().map_or_else(|| answer.status.to_string(), |refusal| refusal.code),
        Err(error) => error.to_string(),
    };
    match Code::named(&code) {
        Some(Code::JobNotFound) => Ok(format!("{deployment}; it accepts our webhooks")),
        Some(Code::WebhookForbidden) => Err(SECRET_DIFFERS.seen(format!("{place} refuses a webhook"))),
        Some(_) | None => Err(UNREACHABLE
            .seen(format!("{place} accepted no webhook: {code}"))
            .fix("Check whether a proxy or a firewall between LlamaParse and the API blocks POST requests.")),
    }
}
