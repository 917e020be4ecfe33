//! The API as its clients reach it: at `--api-url`, else at the public address of the configuration.

use url::Url;

use super::{
    super::{
        certificate::{ENOUGH_DAYS, days_left},
        check::{Context, Health, Outcome, Problem, declare},
        database::{
            environment::DATABASE_READY,
            workers::{compare_build, distinct, list_workers},
        },
    },
    http::{self, Answer, HttpError},
};
use domain::Code;

const DEPLOY: &str =
    "Deploy the expected commit to the web service, and check the branch from which that service deploys.";

declare! {
    REACH = once("api.reach", "this API answers at its public address.", reach);
    NO_ADDRESS = error("no_address",
        "The host name of the API's address does not resolve.",
        "Check the name, and its DNS record.").may_pass();
    REFUSED = error("refused",
        "Nothing listens at the API's address: the service is down, or listens on another port or on loopback only.").may_pass();
    TIMED_OUT = error("timed_out",
        "The API does not answer: it hangs, or a firewall drops the packets.",
        "Check the service's log and its CPU; behind a firewall, admit the port.").may_pass();
    TLS_FAILED = error("tls_failed",
        "The API has no certificate, or one that is not trusted, is for another name, or has expired.",
        "Check that the certificate is for this name and not expired; use http:// only if nothing is secret.").may_pass();
    BAD_GATEWAY = error("bad_gateway",
        "The platform answers instead of the API: it connects to another port than the service listens on, or no service runs.").may_pass();
    CERTIFICATE_ENDS_SOON = warning("certificate_ends_soon",
        "The API's certificate ends within 30 days; then no client connects.",
        "Renew the certificate; a platform that does it by itself does so with 30 days left: look at its custom domains.");
    NOT_OURS = error("not_ours",
        "Another service than this API answers at its address.",
        "Check the address and its scheme: another service, a login page or a proxy answers there.").may_pass();
}

declare! {
    READY = once("api.ready", "it reports that it is ready.", ready).needs(&[&REACH]);
    NOT_READY = error("not_ready",
        "The API runs, and reports that it is not ready.",
        "Repair what it names; run `app check` with the API's own settings to find the cause.").may_pass();
}

declare! {
    ENVIRONMENT = once("api.environment", "it belongs to this environment.", environment).needs(&[&REACH]);
    WRONG_ENVIRONMENT = error("wrong_environment",
        "The API that answers belongs to another environment.",
        "Check the address, and ENVIRONMENT here and at the API.");
}

declare! {
    COMMIT = once("api.commit",
        "it runs the expected commit and branch, if they are given, and the workers run the same commit.", commit)
        .needs(&[&REACH])
        .after(DATABASE_READY);
    COMMIT_UNEXPECTED = error("commit_unexpected",
        "The API runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
        DEPLOY).may_pass();
    BRANCH_UNEXPECTED = error("branch_unexpected",
        "The API was built from another branch than the expected one.",
        DEPLOY).may_pass();
    WORKERS_DIFFER = warning("workers_differ",
        "Workers run another commit than the API, which is right only during a deploy.",
        "Wait for the deploy to end; otherwise deploy the same commit to both services.").may_pass();
}

/// The address without the base path, which users may include.
pub(super) fn root_of(url: &Url) -> String {
    messages::api_root(&http::without_secrets(url)).to_owned()
}

async fn reach(context: &Context<'_>) -> Outcome {
    let Some(url) = context.options.api_url.as_ref().or(context.config.http.public_url.as_ref()) else {
        return Problem::skipped("needs --api-url, API_PUBLIC_URL or RENDER_EXTERNAL_URL");
    };
    let root = root_of(url);
    let answer = http::get(format!("{root}/health")).await.map_err(|error| no_answer(&root, url, &error))?;
    let health = answer.json::<Health>().ok_or_else(|| not_ours(&root, context.config.http.port, &answer))?;
    _ = context.health.set(health);
    match days_left(answer.certificate_ends_at) {
        Some(days) if days < ENOUGH_DAYS => {
            Err(CERTIFICATE_ENDS_SOON.seen(format!("{root} answers; its certificate ends in {days} days")))
        }
        _ => Ok(format!("{root} answers")),
    }
}

fn no_answer(root: &str, url: &Url, error: &HttpError) -> Problem {
    let observed = format!("{root}: {error}");
    match error {
        HttpError::NoAddress => NO_ADDRESS.seen(observed),
        HttpError::Refused => REFUSED.seen(observed).fix(format!(
            "Start the service; its log line “listening on …” has its address. It must be 0.0.0.0 (API_HOST), on the port \
             to which this address leads ({}, or the platform's PORT).",
            url.port_or_known_default().unwrap_or_default()
        )),
        HttpError::TimedOut => TIMED_OUT.seen(observed),
        HttpError::Tls(_) => TLS_FAILED.seen(observed),
        HttpError::Broken(_) => NOT_OURS.seen(observed),
    }
}

fn not_ours(root: &str, port: u16, answer: &Answer) -> Problem {
    let observed = format!("{root}/health answered with {}, but not as this API does", answer.status);
    match answer.status {
        502..=504 => BAD_GATEWAY.seen(observed).fix(format!(
            "Let the service listen where the platform connects: leave PORT to the platform (PORT wins over API_PORT; without \
             it the port would be {port}), and API_HOST=0.0.0.0. Its log has a line “listening on …”; if not, the log names the reason."
        )),
        _ => NOT_OURS.seen(observed),
    }
}

/// The answer that `api.reach` received.
fn health<'c>(context: &'c Context<'_>) -> Result<&'c Health, Problem> {
    context.health.get().ok_or_else(|| Problem::Skipped("the API's address is unknown; see api.reach".to_owned()))
}

async fn ready(context: &Context<'_>) -> Outcome {
    let health = health(context)?;
    if health.status == "ok" {
        return Ok("ready".to_owned());
    }
    let failed: Vec<(&String, &String)> = health.checks.iter().filter(|(_, code)| *code != "ok").collect();
    let reasons: Vec<String> = failed.iter().map(|(name, code)| format!("{name}: {code}")).collect();
    let observed = if reasons.is_empty() { health.status.clone() } else { reasons.join("; ") };
    let problem = NOT_READY.seen(observed).expecting("ok");
    // An API of another build may have codes that this one does not know.
    match failed.iter().find_map(|(_, code)| Code::named(code)) {
        Some(code) => Err(problem.fix(code.remedy())),
        None => Err(problem),
    }
}

async fn environment(context: &Context<'_>) -> Outcome {
    let found = &health(context)?.environment;
    let expected = context.config.environment.as_str();
    if found == expected {
        return Ok(expected.to_owned());
    }
    Err(WRONG_ENVIRONMENT.seen(format!("the API belongs to {found}")).expecting(expected))
}

async fn commit(context: &Context<'_>) -> Outcome {
    let health = health(context)?;
    let unexpected = [&COMMIT_UNEXPECTED, &BRANCH_UNEXPECTED];
    compare_build(context.options, &[&health.commit], &[&health.branch], unexpected)?;
    // Other checks report a database that does not answer.
    let workers = list_workers(context).await.unwrap_or_default();
    let mut commits = distinct(&workers, |worker| &worker.commit);
    commits.retain(|commit| *commit != health.commit);
    if commits.is_empty() {
        return Ok(format!("the API runs {} ({})", health.commit, health.branch));
    }
    let observed = format!("the API runs {}, workers {}", health.commit, commits.join(", "));
    Err(WORKERS_DIFFER.seen(observed).expecting(&health.commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_removed_from_the_address() {
        for url in ["https://a.example/x", "https://a.example/x/", "https://a.example/x/api/upload-pipeline/"] {
            assert_eq!(root_of(&url.parse().unwrap()), "https://a.example/x", "{url}");
        }
    }
}
