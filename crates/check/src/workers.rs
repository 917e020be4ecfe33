//! Who works on this database: whether anybody does, and with which build.

use super::{
    Scene,
    catalogue::Group,
    database::or_no_answer,
    finding::{Cause, Finding, Look},
};
use pg::{Db, DbError};
use store::workers::{LiveWorker, list_live_workers};

static NONE_ALIVE: Cause =
    Cause::error("workers.alive", "none_alive", "No worker has shown itself for a minute: uploads are taken and wait.")
        .waitable();
static COMMIT_UNEXPECTED: Cause = Cause::error(
    "workers.commit",
    "commit_unexpected",
    "A worker runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
)
.waitable();
static BRANCH_UNEXPECTED: Cause = Cause::error(
    "workers.commit",
    "branch_unexpected",
    "A worker was built from another branch than the expected one.",
)
.waitable();
static MIXED: Cause = Cause::warning(
    "workers.commit",
    "mixed",
    "The workers run more than one commit. Fine while a deploy is under way, and for no longer.",
)
.waitable();
static WRONG_ENVIRONMENT: Cause =
    Cause::error("workers.environment", "wrong_environment", "A worker of another environment works on this database.");

pub(super) const GROUP: Group = Group {
    name: "workers",
    checks: &[
        ("workers.alive", "a worker has shown itself within the last minute."),
        ("workers.commit", "all workers run one commit: the expected one, where one is."),
        ("workers.environment", "all workers are this environment's."),
    ],
    causes: &[&NONE_ALIVE, &COMMIT_UNEXPECTED, &BRANCH_UNEXPECTED, &MIXED, &WRONG_ENVIRONMENT],
};

pub(super) async fn check(scene: &Scene<'_>, db: &Db) -> Vec<Finding> {
    if !scene.options.selection.wants_group("workers") {
        return Vec::new();
    }
    let look = Look::at("workers.alive");
    let live = match list(db).await {
        Ok(live) => live,
        Err(error) => return vec![or_no_answer("workers.alive", Err(error))],
    };
    if live.is_empty() {
        let fix = "Start `app worker`, or look at the log of the one that should run: it says what it waits for.";
        let because = "no worker is alive";
        return vec![
            look.found(&NONE_ALIVE, "no worker was seen within the last minute", fix),
            Look::at("workers.commit").skipped(because),
            Look::at("workers.environment").skipped(because),
        ];
    }
    let slots: i32 = live.iter().map(|worker| worker.slots).sum();
    let alive = look.passed(format!("{} alive, for {slots} jobs at once: {}", live.len(), hosts(&live)));
    vec![alive, commit(scene, &live), environment(scene, &live)]
}

async fn list(db: &Db) -> Result<Vec<LiveWorker>, DbError> {
    list_live_workers(&db.get().await?).await
}

fn hosts(live: &[LiveWorker]) -> String {
    let mut hosts: Vec<&str> = live.iter().map(|worker| worker.host.as_str()).collect();
    hosts.dedup();
    const SHOWN: usize = 5;
    match hosts.len() > SHOWN {
        true => format!("{} and {} more", hosts[..SHOWN].join(", "), hosts.len() - SHOWN),
        false => hosts.join(", "),
    }
}

fn commit(scene: &Scene<'_>, live: &[LiveWorker]) -> Finding {
    let look = Look::at("workers.commit");
    let options = scene.options;
    let seen = |of: fn(&LiveWorker) -> &str| {
        let mut values: Vec<&str> = live.iter().map(of).collect();
        values.sort_unstable();
        values.dedup();
        values.join(", ")
    };
    let (commits, branches) = (seen(|worker| &worker.commit), seen(|worker| &worker.branch));
    let fix = "Deploy the expected commit to the worker service, and check which branch that service deploys from.";
    if let Some(expected) = &options.expect_commit
        && live.iter().any(|worker| !is_commit(&worker.commit, expected))
    {
        return look.found(&COMMIT_UNEXPECTED, format!("workers run {commits}"), fix).expecting(expected);
    }
    if let Some(expected) = &options.expect_branch
        && live.iter().any(|worker| worker.branch != *expected)
    {
        return look.found(&BRANCH_UNEXPECTED, format!("workers were built from {branches}"), fix).expecting(expected);
    }
    if commits.contains(", ") {
        return look.found(
            &MIXED,
            format!("workers run {commits}"),
            "Wait for the deploy to end; else stop the workers of the old commit.",
        );
    }
    look.passed(format!("all run {commits} ({branches})"))
}

/// Whether `commit` is the expected one, of which seven digits or more may be given.
pub(super) fn is_commit(commit: &str, expected: &str) -> bool {
    expected.len() >= 7 && commit.get(..expected.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(expected))
}

fn environment(scene: &Scene<'_>, live: &[LiveWorker]) -> Finding {
    let look = Look::at("workers.environment");
    let ours = scene.config.environment.as_str();
    match live.iter().find(|worker| worker.environment != ours) {
        None => look.passed(format!("all are {ours}'s")),
        Some(stranger) => look
            .found(
                &WRONG_ENVIRONMENT,
                format!("the worker on {} is {}'s", stranger.host, stranger.environment),
                "Stop it, and check the DATABASE_URL of its service.",
            )
            .expecting(ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_digits_of_a_commit_are_enough_and_six_are_not() {
        let commit = "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1";
        assert!(is_commit(commit, "3f2a9c1") && is_commit(commit, "3F2A9C1D") && is_commit(commit, commit));
        assert!(!is_commit(commit, "3f2a9c") && !is_commit(commit, "4f2a9c1") && !is_commit("unknown", commit));
    }
}
