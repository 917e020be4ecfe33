//! `hook.url`: whether LlamaParse could call WEBHOOK_BASE_URL, and whom it would reach.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use url::{Host, Url};
use uuid::Uuid;

use super::super::{
    Scene,
    finding::{Cause, Finding, Look},
    http,
};
use crate::{
    api::BASE_PATH,
    build_info::BuildInfo,
    callback::{self, CallbackKey},
    domain::{Code, JobId},
};

pub(super) const HOOK: &str = "hook.url";

pub(super) static NOT_HTTPS: Cause = Cause::warning(
    HOOK,
    "not_https",
    "LlamaParse calls back by HTTPS only: it is asked instead, and documents take longer.",
);
pub(super) static IP_ADDRESS: Cause = Cause::warning(
    HOOK,
    "ip_address",
    "LlamaParse calls back by a domain name only: it is asked instead, and documents take longer.",
);
pub(super) static TOO_LONG: Cause = Cause::warning(
    HOOK,
    "too_long",
    "With a job's id and its token the URL would be longer than LlamaParse takes, and it may refuse the document.",
);
pub(super) static UNREACHABLE: Cause = Cause::warning(
    HOOK,
    "unreachable",
    "Nothing of ours answers at WEBHOOK_BASE_URL: LlamaParse is asked instead, and documents take longer.",
)
.waitable();
pub(super) static SECRET_DIFFERS: Cause = Cause::warning(
    HOOK,
    "secret_differs",
    "The API refuses what is made with this WEBHOOK_SECRET: LlamaParse is asked instead, and documents take longer.",
)
.waitable();
pub(super) static OTHER_DEPLOYMENT: Cause = Cause::error(
    HOOK,
    "other_deployment",
    "WEBHOOK_BASE_URL leads to another environment or commit than this one: its answers would go astray.",
)
.waitable();

/// Source: LlamaParse, "Webhooks": shorter than 200 characters.
const MAX_CHARS: usize = 199;
/// What `/version` says, as far as it is looked at: an older or newer API may say more or less.
#[derive(Debug, Deserialize)]
struct Version {
    environment: String,
    commit: String,
}

/// What a problem says, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Refused {
    code: String,
}

/// For a webhook of no job to be taken. Source: ours; longer than one request.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn check(scene: &Scene<'_>) -> Finding {
    let look = Look::at(HOOK);
    let Some(base) = &scene.config.parser.webhook_base_url else {
        return look.skipped("WEBHOOK_BASE_URL is not set: nobody calls back");
    };
    let place = http::shown(base);
    if base.scheme() != "https" {
        return look.found(&NOT_HTTPS, place, "Give the API's https:// address, as clients reach it.");
    }
    if !matches!(base.host(), Some(Host::Domain(_))) {
        return look.found(&IP_ADDRESS, place, "Give a domain name.");
    }
    let chars = place.chars().count() + BASE_PATH.len() + callback::TAIL_CHARS;
    if chars > MAX_CHARS {
        return look
            .found(&TOO_LONG, format!("{place}: {chars} characters in all"), "Give a shorter address.")
            .expecting(format!("{MAX_CHARS} at most"));
    }
    if scene.options.selection.is_before_deploy() {
        return look.passed(format!("{place}; who answers there shows after the deploy"));
    }
    reach(look, scene, base, &place).await
}

async fn reach(look: Look, scene: &Scene<'_>, base: &Url, place: &str) -> Finding {
    let url = format!("{}/version", base.as_str().trim_end_matches('/'));
    let answer = match http::send(http::client().get(url)).await {
        Ok(answer) => answer,
        Err(trouble) => {
            return look.found(&UNREACHABLE, format!("{place}: {trouble}"), "Check WEBHOOK_BASE_URL; see api.reach.");
        }
    };
    let version = answer.json::<Version>().filter(|_| answer.is_success());
    match version {
        None => look.found(
            &UNREACHABLE,
            format!("{place} answered with {}, but not as our /version", answer.status),
            "Give the address of the API itself.",
        ),
        Some(theirs) if is_ours(&theirs, scene.config.environment.as_str(), scene.build) => {
            let passed = format!("{place}: {} at {}", theirs.environment, theirs.commit);
            knock(look, scene, base, place, passed).await
        }
        Some(theirs) => look
            .found(
                &OTHER_DEPLOYMENT,
                format!("{place} is {} at {}", theirs.environment, theirs.commit),
                "Give this environment's own address; if a deploy is under way, wait for its end.",
            )
            .expecting(format!("{} at {}", scene.config.environment, scene.build.commit)),
    }
}

/// Calls back for a job that there is none of: an API with the same secret says so, any other refuses.
async fn knock(look: Look, scene: &Scene<'_>, base: &Url, place: &str, passed: String) -> Finding {
    let Some(secret) = &scene.config.parser.webhook_secret else { return look.passed(passed) };
    let (job, expires_at) = (JobId(Uuid::new_v4()), OffsetDateTime::now_utc() + MINUTE);
    let base = format!("{}{BASE_PATH}", base.as_str().trim_end_matches('/'));
    let Some(callback) = CallbackKey::new(secret.expose()).callback(&base, job, expires_at) else {
        return look.passed(passed);
    };
    let request = http::client().post(callback.url).header(callback.header, callback.secret);
    let said = match http::send(request).await {
        Ok(answer) => answer.json::<Refused>().map_or_else(|| answer.status.to_string(), |refused| refused.code),
        Err(trouble) => trouble.to_string(),
    };
    match Code::named(&said) {
        Some(Code::JobNotFound) => look.passed(format!("{passed}; it takes our webhooks")),
        Some(Code::WebhookForbidden) => look.found(
            &SECRET_DIFFERS,
            format!("{place} refuses a webhook"),
            "Give API and worker the same WEBHOOK_SECRET.",
        ),
        Some(_) | None => look.found(
            &UNREACHABLE,
            format!("{place} took no webhook: {said}"),
            "See what lies between LlamaParse and the API: a proxy or a firewall that lets no POST through.",
        ),
    }
}

/// A commit that one of the two does not know says nothing.
fn is_ours(theirs: &Version, environment: &str, build: &BuildInfo) -> bool {
    let unknown = theirs.commit == "unknown" || build.commit == "unknown";
    theirs.environment == environment && (unknown || theirs.commit == build.commit)
}
