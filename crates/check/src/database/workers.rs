//! Which workers use this database: whether any does, and with which build.

use super::{
    super::check::{Cause, Check, Context, Outcome, Problem, causes},
    environment::DATABASE_READY,
};
use store::workers::{LiveWorker, list_live_workers};

pub(crate) static ALIVE: Check =
    Check::once("workers.alive", "a worker has shown itself within the last minute.", |context| {
        Box::pin(alive(context))
    })
    .needs(DATABASE_READY)
    .finds(ALIVE_CAUSES);
pub(crate) static COMMIT: Check =
    Check::once("workers.commit", "all workers run one commit: the expected one, where one is.", |context| {
        Box::pin(commit(context))
    })
    .needs(&[&ALIVE])
    .finds(COMMIT_CAUSES);
pub(crate) static ENVIRONMENT: Check =
    Check::once("workers.environment", "all workers are this environment's.", |context| Box::pin(environment(context)))
        .needs(&[&ALIVE])
        .finds(ENVIRONMENT_CAUSES);

const DEPLOY: &str =
    "Deploy the expected commit to the worker service, and check which branch that service deploys from.";
causes! { ALIVE_CAUSES:
    NONE_ALIVE = error("none_alive",
        "No worker has shown itself for a minute: uploads are taken and wait.",
        "Start `app worker`, or look at the log of the one that should run: it says what it waits for.").may_pass();
}

causes! { COMMIT_CAUSES:
    COMMIT_UNEXPECTED = error("commit_unexpected",
        "A worker runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
        DEPLOY).may_pass();
    BRANCH_UNEXPECTED = error("branch_unexpected",
        "A worker was built from another branch than the expected one.",
        DEPLOY).may_pass();
    MIXED = warning("mixed",
        "The workers run more than one commit. Fine while a deploy is under way, and for no longer.",
        "Wait for the deploy to end; else stop the workers of the old commit.").may_pass();
}

causes! { ENVIRONMENT_CAUSES:
    WRONG_ENVIRONMENT = error("wrong_environment",
        "A worker of another environment works on this database.",
        "Stop it, and check the DATABASE_URL of its service.");
}

async fn alive(context: &Context<'_>) -> Outcome {
    let live = list_live_workers(&context.conn().await?).await?;
    if live.is_empty() {
        return Err(NONE_ALIVE.seen("no worker was seen within the last minute"));
    }
    let slots: i32 = live.iter().map(|worker| worker.slots).sum();
    let observed = format!("{} alive, for {slots} jobs at once: {}", live.len(), hosts(&live));
    _ = context.workers.set(live);
    Ok(observed)
}

/// By `workers.alive`.
fn live<'c>(context: &'c Context<'_>) -> Result<&'c [LiveWorker], Problem> {
    let unknown = || Problem::Skipped("the workers are not known; see workers.alive".to_owned());
    context.workers.get().map(Vec::as_slice).ok_or_else(unknown)
}

fn hosts(live: &[LiveWorker]) -> String {
    const SHOWN: usize = 5;
    let hosts = distinct(live, |worker| &worker.host);
    match hosts.len().saturating_sub(SHOWN) {
        0 => hosts.join(", "),
        more => format!("{} and {more} more", hosts[..SHOWN].join(", ")),
    }
}

fn distinct(live: &[LiveWorker], of: fn(&LiveWorker) -> &str) -> Vec<&str> {
    let mut values: Vec<&str> = live.iter().map(of).collect();
    values.sort_unstable();
    values.dedup();
    values
}

async fn commit(context: &Context<'_>) -> Outcome {
    let (live, options) = (live(context)?, context.options);
    let commits = distinct(live, |worker| &worker.commit);
    let branches = distinct(live, |worker| &worker.branch).join(", ");
    if let Some(expected) = &options.expect_commit
        && commits.iter().any(|commit| !is_commit(commit, expected))
    {
        return Err(COMMIT_UNEXPECTED.seen(format!("workers run {}", commits.join(", "))).expecting(expected));
    }
    if let Some(expected) = &options.expect_branch
        && branches != *expected
    {
        return Err(BRANCH_UNEXPECTED.seen(format!("workers were built from {branches}")).expecting(expected));
    }
    match commits.as_slice() {
        [commit] => Ok(format!("all run {commit} ({branches})")),
        _ => Err(MIXED.seen(format!("workers run {}", commits.join(", ")))),
    }
}

/// Whether `commit` is the expected one, of which seven digits or more may be given.
pub(crate) fn is_commit(commit: &str, expected: &str) -> bool {
    expected.len() >= 7 && commit.get(..expected.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(expected))
}

async fn environment(context: &Context<'_>) -> Outcome {
    let ours = context.config.environment.as_str();
    match live(context)?.iter().find(|worker| worker.environment != ours) {
        None => Ok(format!("all are {ours}'s")),
        Some(stranger) => {
            let observed = format!("the worker on {} is {}'s", stranger.host, stranger.environment);
            Err(WRONG_ENVIRONMENT.seen(observed).expecting(ours))
        }
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
