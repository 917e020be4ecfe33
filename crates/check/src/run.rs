//! Runs the checks that were asked for, and the checks that these need.

use std::time::Instant;

use futures_util::{
    StreamExt,
    future::{LocalBoxFuture, join_all},
    stream::FuturesUnordered,
};

use super::{
    catalogue::{Group, all},
    cause::{Outcome, Problem},
    check::{Check, Run, ids},
    context::{Context, Setup},
    finding::Finding,
};

/// Runs the checks that were asked for. The findings are in the order of the catalogue. A check that was not asked for
/// has a finding only if it failed and blocks one that was.
pub async fn run_checks(setup: &Setup<'_>) -> Vec<Finding> {
    let context = Context::new(setup);
    run_all(&context, plan(setup)).await;
    context.close();
    let mut findings = context.findings.take();
    let options = setup.options;
    let asked = |finding: &Finding| all().any(|(group, check)| check.id == finding.id && group.wants(check, options));
    let blockers: Vec<_> = findings.iter().filter(|f| asked(f)).filter_map(|f| f.blocked_by).collect();
    findings.retain(|finding| asked(finding) || (finding.is_failure() && blockers.contains(&finding.id)));
    // The sort is stable, so findings of one check keep their order.
    findings.sort_by_key(|finding| all().position(|(_, check)| check.id == finding.id));
    findings
}

type Planned = (&'static Group, &'static Check);

/// The checks that were asked for, and all that have to end before them.
fn plan(setup: &Setup<'_>) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    for (group, check) in all().rev() {
        let is_needed = planned.iter().any(|(_, later)| later.earlier().any(|id| id == check.id));
        if is_needed || group.wants(check, setup.options) {
            planned.push((group, check));
        }
    }
    planned
}

/// Starts each check when all that have to end before it have ended.
async fn run_all(context: &Context<'_>, mut waiting: Vec<Planned>) {
    let mut unfinished: Vec<&str> = waiting.iter().map(|(_, check)| check.id).collect();
    let mut running = FuturesUnordered::new();
    loop {
        if context.setup.stop.is_cancelled() {
            waiting.clear();
        }
        let is_due = |(_, check): &mut Planned| !check.earlier().any(|id| unfinished.contains(&id));
        running.extend(waiting.extract_if(.., is_due).map(|planned| run_one(context, planned)));
        let Some((id, findings)) = running.next().await else { break };
        unfinished.retain(|other| *other != id);
        context.findings.borrow_mut().extend(findings);
    }
}

async fn run_one(context: &Context<'_>, (group, check): Planned) -> (&'static str, Vec<Finding>) {
    let began = Instant::now();
    let finding = |subject, outcome| Finding::new(group.name, check.id, subject, began.elapsed(), outcome);
    let findings = match check.run {
        Run::Many(run) => run(context).into_iter().map(|(subject, outcome)| finding(subject, outcome)).collect(),
        Run::Once(run) => {
            let outcome = unless_blocked(context, check, None, run(context)).await;
            outcome.map(|outcome| finding(None, outcome)).into_iter().collect()
        }
        Run::EachUrl(run) => {
            let each = context.urls.iter().map(async |url| {
                let outcome = unless_blocked(context, check, Some(url.name), run(context, url)).await?;
                Some(finding(Some(url.name.to_owned()), outcome))
            });
            join_all(each).await.into_iter().flatten().collect()
        }
    };
    (check.id, findings)
}

/// The outcome; `None` if interrupted. A check that cleans up is never cancelled.
async fn unless_blocked(
    context: &Context<'_>,
    check: &Check,
    url: Option<&str>,
    run: LocalBoxFuture<'_, Outcome>,
) -> Option<Outcome> {
    if let Some(blocker) = context.blocker(ids(check.needs), url) {
        return Some(Err(Problem::Behind(blocker)));
    }
    let outcome = if check.cleans_up {
        run.await
    } else {
        tokio::select! {
            outcome = run => outcome,
            () = context.setup.stop.cancelled() => return None,
        }
    };
    if let Err(Problem::Found { cause, .. }) = &outcome {
        debug_assert!(check.causes.iter().any(|known| std::ptr::eq(*known, *cause)), "{check:?} lacks {}", cause.slug);
    }
    Some(outcome)
}
