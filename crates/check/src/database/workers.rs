//! The workers that use this database: whether one is alive, and with which build.

use super::{
    super::{
        check::{Cause, Context, Outcome, Problem, declare},
        context::CheckOptions,
    },
    environment::{DATABASE_READY, ready_db},
};
use store::workers::{LiveWorker, list_live_workers};

const DEPLOY: &str =
    "Deploy the expected commit to the worker service, and check the branch from which that service deploys.";

declare! {
    ALIVE = once("workers.alive", "a worker has reported within the last minute.", alive).needs(DATABASE_READY);
    NONE_ALIVE = error("none_alive",
        "No worker has reported for a minute: uploads are accepted and wait.",
        "Start `app worker`, or read the log of the one that should run: it names what it waits for.").may_pass();
}

declare! {
    COMMIT = once("workers.commit", "all workers run one commit: the expected one, if one is given.", commit)
        .needs(&[&ALIVE]);
    COMMIT_UNEXPECTED = error("commit_unexpected",
        "A worker runs another commit than the expected one: it was deployed from elsewhere, or not deployed yet.",
        DEPLOY).may_pass();
    BRANCH_UNEXPECTED = error("branch_unexpected",
        "A worker was built from another branch than the expected one.",
        DEPLOY).may_pass();
    MIXED = warning("mixed",
        "The workers run more than one commit, which is right only during a deploy.",
        "Wait for the deploy to end; otherwise stop the workers of the old commit.").may_pass();
}

declare! {
    ENVIRONMENT = once("workers.environment", "all workers belong to this environment.", environment).needs(&[&ALIVE]);
    WRONG_ENVIRONMENT = error("wrong_environment",
        "A worker of another environment uses this database.",
        "Stop it, and check the DATABASE_URL of its service.");
}

/// The workers that are alive, from a database that can be used.
pub(crate) async fn list_workers(context: &Context<'_>) -> Result<Vec<LiveWorker>, Problem> {
    Ok(list_live_workers(&ready_db(context)?.get().await?).await?)
}

async fn alive(context: &Context<'_>) -> Outcome {
    let workers = list_workers(context).await?;
    if workers.is_empty() {
        return Err(NONE_ALIVE.seen("no worker has reported within the last minute"));
    }
    let slots: i32 = workers.iter().map(|worker| worker.slots).sum();
    Ok(format!("{} alive, for {slots} jobs at once: {}", workers.len(), hosts(&workers)))
}

fn hosts(workers: &[LiveWorker]) -> String {
    const SHOWN: usize = 5;
    let hosts = distinct(workers, |worker| &worker.host);
    match hosts.len().saturating_sub(SHOWN) {
        0 => hosts.join(", "),
        more => format!("{} and {more} more", hosts[..SHOWN].join(", ")),
    }
}

pub(crate) fn distinct(workers: &[LiveWorker], field: fn(&LiveWorker) -> &str) -> Vec<&str> {
    let mut values: Vec<&str> = workers.iter().map(field).collect();
    values.sort_unstable();
    values.dedup();
    values
}

async fn commit(context: &Context<'_>) -> Outcome {
    let workers = list_workers(context).await?;
    let commits = distinct(&workers, |worker| &worker.commit);
    let branches = distinct(&workers, |worker| &worker.branch);
    compare_build(context.options, &commits, &branches, [&COMMIT_UNEXPECTED, &BRANCH_UNEXPECTED])?;
    match commits.as_slice() {
        [commit] => Ok(format!("all run {commit} ({})", branches.join(", "))),
        _ => Err(MIXED.seen(format!("workers run {}", commits.join(", ")))),
    }
}

/// Compares what runs with the expected commit and branch; a difference is one of the two causes, in that order.
pub(crate) fn compare_build(
    options: &CheckOptions,
    commits: &[&str],
    branches: &[&str],
    [commit_unexpected, branch_unexpected]: [&'static Cause; 2],
) -> Result<(), Problem> {
    if let Some(expected) = &options.expect_commit
        && !commits.iter().all(|commit| is_commit(commit, expected))
    {
        return Err(commit_unexpected.seen(format!("commit {}", commits.join(", "))).expecting(expected));
    }
    if let Some(expected) = &options.expect_branch
        && branches.iter().any(|branch| branch != expected)
    {
        return Err(branch_unexpected.seen(format!("branch {}", branches.join(", "))).expecting(expected));
    }
    Ok(())
}

/// Whether `commit` is the expected one, of which at least seven digits are given.
fn is_commit(commit: &str, expected: &str) -> bool {
    expected.len() >= 7 && commit.get(..expected.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(expected))
}

async fn environment(context: &Context<'_>) -> Outcome {
    let expected = context.config.environment.as_str();
    match list_workers(context).await?.iter().find(|worker| worker.environment != expected) {
        None => Ok(format!("all belong to {expected}")),
        Some(other) => {
            let observed = format!("the worker on {} belongs to {}", other.host, other.environment);
            Err(WRONG_ENVIRONMENT.seen(observed).expecting(expected))
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
