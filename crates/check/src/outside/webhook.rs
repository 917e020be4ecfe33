//! `hook.url`: whether LlamaParse could call WEBHOOK_BASE_URL, and which deployment it would reach.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use url::{Host, Url};
use uuid::Uuid;

use super::{
    super::check::{Cause, Check, Context, Outcome, Problem, causes},
    http,
};
use domain::{
    Code, JobId,
    build_info::BuildInfo,
    callback::{self, CallbackKey},
};
use messages::BASE_PATH;

pub(crate) static WEBHOOK: Check =
    Check::once("hook.url", "the parsing service could call this deployment back.", |context| {
        Box::pin(webhook(context))
    })
    .finds(WEBHOOK_CAUSES);

causes! { WEBHOOK_CAUSES:
    NOT_HTTPS = warning("not_https",
        "LlamaParse calls back by HTTPS only: it is asked instead, and documents take longer.",
        "Give the API's https:// address, as clients reach it.");
    IP_ADDRESS = warning("ip_address",
        "LlamaParse calls back by a domain name only: it is asked instead, and documents take longer.",
        "Give a domain name.");
    TOO_LONG = warning("too_long",
        "With a job's id and its token the URL would be longer than LlamaParse takes, and it may refuse the document.",
        "Give a shorter address.");
    UNREACHABLE = warning("unreachable",
        "This API does not answer at WEBHOOK_BASE_URL: LlamaParse is asked instead, and documents take longer.",
        "Check WEBHOOK_BASE_URL: it is the address of the API itself; see api.reach.").may_pass();
    SECRET_DIFFERS = warning("secret_differs",
        "The API refuses what is made with this WEBHOOK_SECRET: LlamaParse is asked instead, and documents take longer.",
        "Give API and worker the same WEBHOOK_SECRET.").may_pass();
    OTHER_DEPLOYMENT = error("other_deployment",
        "WEBHOOK_BASE_URL leads to another environment or commit than this one: its answers would go astray.",
        "Give this environment's own address; if a deploy is under way, wait for its end.").may_pass();
}

/// Source: LlamaParse, "Webhooks": shorter than 200 characters.
const MAX_CHARS: usize = 199;
/// How long the trial webhook counts; longer than one request.
const VALID_FOR: Duration = Duration::from_secs(60);

/// What `/version` says, as far as it is checked: an older or newer API may say more or less.
#[derive(Debug, Deserialize)]
struct Version {
    environment: String,
    commit: String,
}

/// What a problem says, as far as it is checked.
#[derive(Debug, Deserialize)]
struct Refused {
    code: String,
}

async fn webhook(context: &Context<'_>) -> Outcome {
    let Some(base) = &context.config.parser.webhook_base_url else {
        return Problem::skipped("WEBHOOK_BASE_URL is not set: LlamaParse does not call back");
    };
    let place = http::shown(base);
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
        return Ok(format!("{place}; what answers there shows after the deploy"));
    }
    let deployment = same_deployment(context, base, &place).await?;
    takes_our_webhook(context, base, &place, deployment).await
}

/// Whether this environment's API, of this commit, answers there; its environment and commit, in words.
async fn same_deployment(context: &Context<'_>, base: &Url, place: &str) -> Outcome {
    let url = format!("{}/version", base.as_str().trim_end_matches('/'));
    let answer =
        http::send(http::client().get(url)).await.map_err(|trouble| UNREACHABLE.seen(format!("{place}: {trouble}")))?;
    let Some(theirs) = answer.json::<Version>().filter(|_| answer.is_success()) else {
        return Err(UNREACHABLE.seen(format!("{place} answered with {}, but not as our /version", answer.status)));
    };
    let (ours, environment) = (context.setup.build, context.config.environment);
    if theirs.environment == environment.as_str() && is_same_commit(&theirs, ours) {
        return Ok(format!("{place}: {} at {}", theirs.environment, theirs.commit));
    }
    let observed = format!("{place} is {} at {}", theirs.environment, theirs.commit);
    Err(OTHER_DEPLOYMENT.seen(observed).expecting(format!("{environment} at {}", ours.commit)))
}

/// A commit that one of the two does not know says nothing.
fn is_same_commit(theirs: &Version, ours: &BuildInfo) -> bool {
    theirs.commit == ours.commit || [&*theirs.commit, &*ours.commit].contains(&"unknown")
}

/// Calls back for a job that does not exist: an API with the same secret says so, any other refuses.
async fn takes_our_webhook(context: &Context<'_>, base: &Url, place: &str, deployment: String) -> Outcome {
    let Some(secret) = &context.config.parser.webhook_secret else { return Ok(deployment) };
    let base = format!("{}{BASE_PATH}", base.as_str().trim_end_matches('/'));
    let (job, expires_at) = (JobId(Uuid::new_v4()), OffsetDateTime::now_utc() + VALID_FOR);
    let Some(callback) = CallbackKey::new(secret.expose()).callback(&base, job, expires_at) else {
        return Ok(deployment);
    };
    let code = match http::send(http::client().post(callback.url).header(callback.header, callback.secret)).await {
        Ok(answer) => answer.json::<Refused>().map_or_else(|| answer.status.to_string(), |refused| refused.code),
        Err(trouble) => trouble.to_string(),
    };
    match Code::named(&code) {
        Some(Code::JobNotFound) => Ok(format!("{deployment}; it takes our webhooks")),
        Some(Code::WebhookForbidden) => Err(SECRET_DIFFERS.seen(format!("{place} refuses a webhook"))),
        Some(_) | None => Err(UNREACHABLE
            .seen(format!("{place} took no webhook: {code}"))
            .fix("See what lies between LlamaParse and the API: a proxy or a firewall that lets no POST through.")),
    }
}
