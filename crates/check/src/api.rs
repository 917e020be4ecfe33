//! The API as its clients reach it: `--api-url`, else the public address of the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::{
    Scene,
    catalogue::Group,
    finding::{Cause, Finding, Look, skip_behind},
    http::{self, Answer, Trouble},
    workers::is_commit,
};
use messages::BASE_PATH;
use pg::Db;
use store::workers::list_live_workers;

const REACH: &str = "api.reach";
const READY: &str = "api.ready";
const ENVIRONMENT: &str = "api.environment";
const COMMIT: &str = "api.commit";

static NO_ADDRESS: Cause =
    Cause::error(REACH, "no_address", "The name of the API's address does not resolve.").waitable();
static REFUSED: Cause = Cause::error(
    REACH,
    "refused",
    "Nothing listens at the API's address: the service is down, or listens on another port or on loopback only.",
)
.waitable();
static TIMED_OUT: Cause =
    Cause::error(REACH, "timed_out", "The API takes connections or packets, and says nothing.").waitable();
static TLS_FAILED: Cause = Cause::error(
    REACH,
    "tls_failed",
    "The API's certificate is not trusted, of another name, expired, or there is none.",
)
.waitable();
static BAD_GATEWAY: Cause = Cause::error(
    REACH,
    "bad_gateway",
    "The platform answers in the API's place: it probes another port than the service listens on, or none is up.",
)
.waitable();
static NOT_OURS: Cause =
    Cause::error(REACH, "not_ours", "Something answers at the API's address, and it is not this API.").waitable();
static NOT_READY: Cause = Cause::error(READY, "not_ready", "The API is up, and says itself what it lacks.").waitable();
static WRONG_ENVIRONMENT: Cause =
    Cause::error(ENVIRONMENT, "wrong_environment", "The API that answers belongs to another environment.");
static COMMIT_UNEXPECTED: Cause = Cause::error(
    COMMIT,
    "commit_unexpected",
    "The API runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
)
.waitable();
static BRANCH_UNEXPECTED: Cause =
    Cause::error(COMMIT, "branch_unexpected", "The API was built from another branch than the expected one.")
        .waitable();
static WORKERS_DIFFER: Cause = Cause::warning(
    COMMIT,
    "workers_differ",
    "Workers run another commit than the API. Fine while a deploy is under way, and for no longer.",
)
.waitable();

pub(super) const GROUP: Group = Group {
    name: "api",
    checks: &[
        (REACH, "the API answers at its public address, and it is this API."),
        (READY, "it says that it is ready."),
        (ENVIRONMENT, "it belongs to this environment."),
        (COMMIT, "it runs the expected commit and branch, where they are given, and the workers run the same."),
    ],
    causes: &[
        &NO_ADDRESS,
        &REFUSED,
        &TIMED_OUT,
        &TLS_FAILED,
        &BAD_GATEWAY,
        &NOT_OURS,
        &NOT_READY,
        &WRONG_ENVIRONMENT,
        &COMMIT_UNEXPECTED,
        &BRANCH_UNEXPECTED,
        &WORKERS_DIFFER,
    ],
};

/// What `/health` says, as far as it is looked at: an older or newer API may say more or less.
#[derive(Debug, Deserialize)]
struct Health {
    status: String,
    environment: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    branch: String,
    checks: BTreeMap<String, String>,
}

/// `db`: a database of this environment with the schema of this build, where there is one.
pub(super) async fn check(scene: &Scene<'_>, db: Option<&Db>) -> Vec<Finding> {
    if !scene.options.selection.wants_group("api") {
        return Vec::new();
    }
    let Some(url) = scene.options.api_url.as_ref().or(scene.config.http.public_url.as_ref()) else {
        let because = "needs --api-url, API_PUBLIC_URL or RENDER_EXTERNAL_URL";
        return [REACH, READY, ENVIRONMENT, COMMIT].map(|id| Look::at(id).skipped(because)).into();
    };
    let root = root_of(url);
    let look = Look::at(REACH);
    let answer = http::send(http::client().get(format!("{root}/health"))).await;
    let health = match answer.map(|answer| (answer.json::<Health>(), answer)) {
        Ok((Some(health), _)) => health,
        Ok((None, answer)) => return alone(somebody_else(look, &root, scene, &answer)),
        Err(trouble) => return alone(no_answer(look, &root, url, &trouble)),
    };
    let reach = look.passed(format!("{root} answers"));
    vec![reach, ready(&health), environment(scene, &health), commit(scene, db, &health).await]
}

/// The address without the base path, which may be part of it or not.
pub(super) fn root_of(url: &Url) -> String {
    let shown = http::shown(url);
    shown.strip_suffix(BASE_PATH).unwrap_or(&shown).to_owned()
}

/// Without an answer there is nothing more to see.
fn alone(reach: Finding) -> Vec<Finding> {
    let mut findings = vec![reach];
    findings.extend(skip_behind(&[READY, ENVIRONMENT, COMMIT], REACH));
    findings
}

fn no_answer(look: Look, root: &str, url: &Url, trouble: &Trouble) -> Finding {
    let port = url.port_or_known_default().unwrap_or_default();
    let (cause, fix) = match trouble {
        Trouble::NoAddress => (&NO_ADDRESS, "Check the name, and its DNS record.".to_owned()),
        Trouble::Refused => (
            &REFUSED,
            format!(
                "Start the service; its start-up line says where it listens. It must be 0.0.0.0 (API_HOST), on the port \
                 that this address leads to ({port}, or the platform's PORT)."
            ),
        ),
        Trouble::TimedOut => {
            (&TIMED_OUT, "Look at the service's log and its CPU; behind a firewall, let the port through.".to_owned())
        }
        Trouble::Tls(_) => (
            &TLS_FAILED,
            "See that the certificate is for this name and not expired; use http:// only where nothing is secret."
                .to_owned(),
        ),
        Trouble::Broken(_) => (&NOT_OURS, "Check the address and its scheme: what answers speaks no HTTP.".to_owned()),
    };
    look.found(cause, format!("{root}: {trouble}"), fix)
}

fn somebody_else(look: Look, root: &str, scene: &Scene<'_>, answer: &Answer) -> Finding {
    let observed = format!("{root}/health answered with {}, and not as this API does", answer.status);
    if matches!(answer.status, 502..=504) {
        let fix = format!(
            "Let the service listen where the platform looks: leave PORT to the platform (PORT wins over API_PORT; without it \
             the port would be {}), and API_HOST=0.0.0.0. Its log says “listening on …”; if there is no such line, see why.",
            scene.config.http.port
        );
        return look.found(&BAD_GATEWAY, observed, fix);
    }
    look.found(&NOT_OURS, observed, "Check the address: another service, a login page or a proxy answers there.")
}

fn ready(health: &Health) -> Finding {
    let look = Look::at(READY);
    if health.status == "ok" {
        return look.passed("ready");
    }
    let reasons: Vec<String> =
        health.checks.iter().filter(|(_, said)| *said != "ok").map(|(name, said)| format!("{name}: {said}")).collect();
    let observed = if reasons.is_empty() { health.status.clone() } else { reasons.join("; ") };
    look.found(&NOT_READY, observed, "Mend what it names; run `app check` with the API's own settings for the cause.")
        .expecting("ok")
}

fn environment(scene: &Scene<'_>, health: &Health) -> Finding {
    let look = Look::at(ENVIRONMENT);
    let ours = scene.config.environment.as_str();
    if health.environment == ours {
        return look.passed(ours);
    }
    look.found(
        &WRONG_ENVIRONMENT,
        format!("the API is {}'s", health.environment),
        "Check the address, and ENVIRONMENT here and there.",
    )
    .expecting(ours)
}

async fn commit(scene: &Scene<'_>, db: Option<&Db>, health: &Health) -> Finding {
    let look = Look::at(COMMIT);
    let fix = "Deploy the expected commit to the web service, and check which branch that service deploys from.";
    if let Some(expected) = &scene.options.expect_commit
        && !is_commit(&health.commit, expected)
    {
        return look.found(&COMMIT_UNEXPECTED, format!("the API runs {}", health.commit), fix).expecting(expected);
    }
    if let Some(expected) = &scene.options.expect_branch
        && health.branch != *expected
    {
        let observed = format!("the API was built from {}", health.branch);
        return look.found(&BRANCH_UNEXPECTED, observed, fix).expecting(expected);
    }
    let others = other_commits(db, &health.commit).await;
    if others.is_empty() {
        return look.passed(format!("the API runs {} ({})", health.commit, health.branch));
    }
    look.found(
        &WORKERS_DIFFER,
        format!("the API runs {}, workers {}", health.commit, others.join(", ")),
        "Wait for the deploy to end; else deploy the same commit to both services.",
    )
    .expecting(&health.commit)
}

/// Commits of live workers other than the API's. The database has its own checks: a failure here tells nothing new.
async fn other_commits(db: Option<&Db>, commit: &str) -> Vec<String> {
    let Some(db) = db else { return Vec::new() };
    let Ok(conn) = db.get().await else { return Vec::new() };
    let live = list_live_workers(&conn).await.unwrap_or_default();
    let mut others: Vec<String> =
        live.into_iter().map(|worker| worker.commit).filter(|theirs| theirs != commit).collect();
    others.sort_unstable();
    others.dedup();
    others
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
