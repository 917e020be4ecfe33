//! Whether the queue processes a job, refuses invalid jobs, and has no backlog.

use super::{
    super::check::{Context, Outcome, declare},
    environment::DATABASE_READY,
};
use pg::{DbError, SqlState};
use store::{
    events::RECENT_SECONDS,
    gauges::{Gauges, count_overdue_leases, get_gauges},
    trial::{LIST_BLOCKERS, TripStep, list_accepted_nonsense, run_queue_trip},
};

/// A warning above this number of waiting jobs, as in the alert of the replaced system.
const MAX_WAITING: i64 = 100;
/// A warning if a due job waits for longer, as in the alert of the replaced system.
const MAX_WAIT_SECONDS: i64 = 300;

/// A warning if the waiting jobs take longer.
const MAX_HOURS: f64 = 1.0;

const RESTORE: &str = "Look for triggers, constraints and policies on upload_jobs that migrations/ does not make.";
const MORE_WORKERS: &str = "Start more workers (`WORKER_CONCURRENCY`, instances); if workers are idle, see docs/operations.md, \"A job is stuck\".";

declare! {
    ROUND_TRIP = once("q.trip",
        "a job can be inserted, claimed and completed, in a transaction that is rolled back.", round_trip)
        .needs(DATABASE_READY);
    ENQUEUE_REFUSED = error("enqueue_refused", "The INSERT with which other programs enqueue is refused.", RESTORE);
    NOT_CLAIMED = error("not_claimed", "A job that is due is not given to a worker.", RESTORE);
    NOT_COMPLETED = error("not_completed", "A job that has done its last step cannot be completed.", RESTORE);
    BLOCKED = error("blocked", "A session holds a lock on the queue's tables: every worker waits for it.").may_pass();
}

declare! {
    REFUSAL = once("q.refusal", "invalid jobs are refused.", refusal).needs(&[&ROUND_TRIP]);
    NONSENSE_ACCEPTED = error("nonsense_accepted",
        "The database accepts a job that no worker can process.",
        "Restore the constraints on upload_jobs as migrations/ makes them.");
}

declare! {
    BACKLOG = once("q.backlog", "jobs do not wait for long, and workers take over expired leases.", backlog)
        .needs(DATABASE_READY);
    HOURS_LEFT = warning("hours_left",
        "At the pace of the last five minutes the waiting jobs take over an hour.",
        MORE_WORKERS).may_pass();
    MANY_WAITING = warning("many_waiting",
        "Over a hundred jobs are due and wait for a worker.",
        MORE_WORKERS).may_pass();
    OVERDUE = warning("overdue", "A due job has been waiting for over five minutes.", MORE_WORKERS).may_pass();
    NOT_TAKEN_OVER = error("not_taken_over",
        "The lease of a running job expired minutes ago, and no worker has taken the job over: none is alive, or none can claim.",
        "Start `app worker`, or read the log of the running ones: a worker takes these jobs over when it next polls.").may_pass();
}

async fn round_trip(context: &Context<'_>) -> Outcome {
    let Err((step, error)) = run_queue_trip(context.db()?).await else {
        return Ok("inserted, claimed, completed, rolled back".to_owned());
    };
    let (cause, step) = match step {
        TripStep::Insert => (&ENQUEUE_REFUSED, "the INSERT was refused"),
        TripStep::Claim => (&NOT_CLAIMED, "the claim did not return the job"),
        TripStep::Complete => (&NOT_COMPLETED, "the job could not be completed"),
    };
    Err(match error {
        None => cause.seen(step),
        Some(error) if timed_out(&error) => BLOCKED.seen(error.to_string()).fix(format!(
            "Find the session that holds the lock, and end it with pg_terminate_backend: {LIST_BLOCKERS};"
        )),
        Some(error) => cause.seen(format!("{step}: {error}")),
    })
}

/// Whether the statement waited too long, for a lock or in all.
fn timed_out(error: &DbError) -> bool {
    error.sqlstate().is_some_and(|state| [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(state))
}

async fn refusal(context: &Context<'_>) -> Outcome {
    let accepted = list_accepted_nonsense(context.db()?).await?;
    if accepted.is_empty() {
        return Ok("unknown statuses and states, and invalid pairs of them, are refused".to_owned());
    }
    Err(NONSENSE_ACCEPTED.seen(format!("the database accepts {}", accepted.join(", "))))
}

async fn backlog(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    let gauges = get_gauges(&conn).await?;
    let overdue = count_overdue_leases(&conn).await?;
    let waiting = gauges.jobs_in("queued") + gauges.jobs_in("retryable");
    let running = gauges.jobs_in("working");
    let oldest = gauges.oldest_due_seconds();
    let hours = hours_left(&gauges);
    let end = match hours {
        Some(hours) => format!("; at the pace of the last minutes all are done in {hours:.1} hours"),
        None if waiting > 0 => "; none was completed in the last minutes".to_owned(),
        None => String::new(),
    };
    let observed = format!("{waiting} waiting, {running} running, the oldest due for {oldest} s{end}");
    if overdue > 0 {
        Err(NOT_TAKEN_OVER.seen(format!("{overdue} jobs whose lease expired over two minutes ago; {observed}")))
    } else if hours.is_some_and(|hours| hours > MAX_HOURS) {
        Err(HOURS_LEFT.seen(observed).expecting("at most an hour"))
    } else if oldest > MAX_WAIT_SECONDS {
        Err(OVERDUE.seen(observed).expecting("due for less than 5 minutes"))
    } else if waiting > MAX_WAITING {
        Err(MANY_WAITING.seen(observed).expecting("at most 100 waiting"))
    } else {
        Ok(observed)
    }
}

/// Until the jobs that are due are done, as fast as jobs were completed in the last minutes; `None`: nothing is due, or
/// none was completed.
fn hours_left(gauges: &Gauges) -> Option<f64> {
    let due = u32::try_from(gauges.due_jobs()).ok().filter(|due| *due > 0)?;
    let done = gauges.recent.iter().filter(|recent| recent.kind == "finalized").map(|recent| recent.events).sum();
    let done = i64::try_into(done).ok().filter(|done: &u32| *done > 0)?;
    Some(f64::from(due) / f64::from(done) * f64::from(RECENT_SECONDS) / 3600.0)
}
