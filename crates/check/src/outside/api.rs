//! The API as its clients reach it: `--api-url`, else the public address of the configuration.

use url::Url;

use super::{
    super::{
        check::{Cause, Check, Context, Health, Outcome, Problem, causes},
        database::{
            environment::{DATABASE_READY, ready_db},
            workers::is_commit,
        },
    },
    http::{self, Answer, Trouble},
};
use store::workers::list_live_workers;

pub(crate) static REACH: Check =
    Check::once("api.reach", "the API answers at its public address, and it is this API.", |context| {
        Box::pin(reach(context))
    })
    .finds(REACH_CAUSES);
pub(crate) static READY: Check =
    Check::once("api.ready", "it says that it is ready.", |context| Box::pin(ready(context)))
        .needs(&[&REACH])
        .finds(READY_CAUSES);
pub(crate) static ENVIRONMENT: Check =
    Check::once("api.environment", "it belongs to this environment.", |context| Box::pin(environment(context)))
        .needs(&[&REACH])
        .finds(ENVIRONMENT_CAUSES);
pub(crate) static COMMIT: Check = Check::once(
    "api.commit",
    "it runs the expected commit and branch, where they are given, and the workers run the same.",
    |context| Box::pin(commit(context)),
)
.needs(&[&REACH])
.after(DATABASE_READY)
.finds(COMMIT_CAUSES);

const DEPLOY: &str = "Deploy the expected commit to the web service, and check which branch that service deploys from.";
causes! { REACH_CAUSES:
    NO_ADDRESS = error("no_address",
        "The name of the API's address does not resolve.",
        "Check the name, and its DNS record.").may_pass();
    REFUSED = error("refused",
        "Nothing listens at the API's address: the service is down, or listens on another port or on loopback only.").may_pass();
    TIMED_OUT = error("timed_out",
        "The API takes connections or packets, and says nothing.",
        "Look at the service's log and its CPU; behind a firewall, let the port through.").may_pass();
    TLS_FAILED = error("tls_failed",
        "The API's certificate is not trusted, of another name, expired, or there is none.",
        "See that the certificate is for this name and not expired; use http:// only where nothing is secret.").may_pass();
    BAD_GATEWAY = error("bad_gateway",
        "The platform answers in the API's place: it probes another port than the service listens on, or none is up.").may_pass();
    NOT_OURS = error("not_ours",
        "Something answers at the API's address, and it is not this API.",
        "Check the address and its scheme: another service, a login page or a proxy answers there.").may_pass();
}

causes! { READY_CAUSES:
    NOT_READY = error("not_ready",
        "The API is up, and says itself what it lacks.",
        "Mend what it names; run `app check` with the API's own settings for the cause.").may_pass();
}

causes! { ENVIRONMENT_CAUSES:
    WRONG_ENVIRONMENT = error("wrong_environment",
        "The API that answers belongs to another environment.",
        "Check the address, and ENVIRONMENT here and there.");
}

causes! { COMMIT_CAUSES:
    COMMIT_UNEXPECTED = error("commit_unexpected",
        "The API runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
        DEPLOY).may_pass();
    BRANCH_UNEXPECTED = error("branch_unexpected",
        "The API was built from another branch than the expected one.",
        DEPLOY).may_pass();
    WORKERS_DIFFER = warning("workers_differ",
        "Workers run another commit than the API. Fine while a deploy is under way, and for no longer.",
        "Wait for the deploy to end; else deploy the same commit to both services.").may_pass();
}

/// The address without the base path, which may be part of it or not.
pub(super) fn root_of(url: &Url) -> String {
    messages::api_root(&http::shown(url)).to_owned()
}

async fn reach(context: &Context<'_>) -> Outcome {
    let Some(url) = context.options.api_url.as_ref().or(context.config.http.public_url.as_ref()) else {
        return Problem::skipped("needs --api-url, API_PUBLIC_URL or RENDER_EXTERNAL_URL");
    };
    let root = root_of(url);
    let answer = http::send(http::client().get(format!("{root}/health"))).await;
    let answer = answer.map_err(|trouble| no_answer(&root, url, &trouble))?;
    let health = answer.json::<Health>().ok_or_else(|| not_ours(&root, context.config.http.port, &answer))?;
    _ = context.health.set(health);
    Ok(format!("{root} answers"))
}

fn no_answer(root: &str, url: &Url, trouble: &Trouble) -> Problem {
    let observed = format!("{root}: {trouble}");
    match trouble {
        Trouble::NoAddress => NO_ADDRESS.seen(observed),
        Trouble::Refused => REFUSED.seen(observed).fix(format!(
            "Start the service; its start-up line says where it listens. It must be 0.0.0.0 (API_HOST), on the port \
             that this address leads to ({}, or the platform's PORT).",
            url.port_or_known_default().unwrap_or_default()
        )),
        Trouble::TimedOut => TIMED_OUT.seen(observed),
        Trouble::Tls(_) => TLS_FAILED.seen(observed),
        Trouble::Broken(_) => NOT_OURS.seen(observed),
    }
}

fn not_ours(root: &str, port: u16, answer: &Answer) -> Problem {
    let observed = format!("{root}/health answered with {}, and not as this API does", answer.status);
    match answer.status {
        502..=504 => BAD_GATEWAY.seen(observed).fix(format!(
            "Let the service listen where the platform connects: leave PORT to the platform (PORT wins over API_PORT; without \
             it the port would be {port}), and API_HOST=0.0.0.0. Its log says “listening on …”; if there is no such line, see why."
        )),
        _ => NOT_OURS.seen(observed),
    }
}

/// By `api.reach`.
fn health<'c>(context: &'c Context<'_>) -> Result<&'c Health, Problem> {
    context.health.get().ok_or_else(|| Problem::Skipped("the API's address is not known; see api.reach".to_owned()))
}

async fn ready(context: &Context<'_>) -> Outcome {
    let health = health(context)?;
    if health.status == "ok" {
        return Ok("ready".to_owned());
    }
    let reasons: Vec<String> =
        health.checks.iter().filter(|(_, said)| *said != "ok").map(|(name, said)| format!("{name}: {said}")).collect();
    let observed = if reasons.is_empty() { health.status.clone() } else { reasons.join("; ") };
    Err(NOT_READY.seen(observed).expecting("ok"))
}

async fn environment(context: &Context<'_>) -> Outcome {
    let (theirs, ours) = (&health(context)?.environment, context.config.environment.as_str());
    if theirs == ours {
        return Ok(ours.to_owned());
    }
    Err(WRONG_ENVIRONMENT.seen(format!("the API is {theirs}'s")).expecting(ours))
}

async fn commit(context: &Context<'_>) -> Outcome {
    let (health, options) = (health(context)?, context.options);
    if let Some(expected) = &options.expect_commit
        && !is_commit(&health.commit, expected)
    {
        return Err(COMMIT_UNEXPECTED.seen(format!("the API runs {}", health.commit)).expecting(expected));
    }
    if let Some(expected) = &options.expect_branch
        && health.branch != *expected
    {
        let observed = format!("the API was built from {}", health.branch);
        return Err(BRANCH_UNEXPECTED.seen(observed).expecting(expected));
    }
    let others = other_commits(context, &health.commit).await.unwrap_or_default();
    if others.is_empty() {
        return Ok(format!("the API runs {} ({})", health.commit, health.branch));
    }
    let observed = format!("the API runs {}, workers {}", health.commit, others.join(", "));
    Err(WORKERS_DIFFER.seen(observed).expecting(&health.commit))
}

/// Commits of live workers other than the API's. The database has its own checks: a failure here tells nothing new.
async fn other_commits(context: &Context<'_>, commit: &str) -> Result<Vec<String>, Problem> {
    let live = list_live_workers(&ready_db(context)?.get().await?).await?;
    let mut others: Vec<String> =
        live.into_iter().map(|worker| worker.commit).filter(|theirs| theirs != commit).collect();
    others.sort_unstable();
    others.dedup();
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_may_be_part_of_the_address_or_not() {
        for url in ["https://a.example/x", "https://a.example/x/", "https://a.example/x/api/upload-pipeline/"] {
            assert_eq!(root_of(&url.parse().unwrap()), "https://a.example/x", "{url}");
        }
    }
}
