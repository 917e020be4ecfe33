//! Whether the queue carries a job, refuses jobs that make no sense, and moves.

use super::{
    super::check::{Cause, Check, Context, Outcome, causes},
    environment::DATABASE_READY,
};
use pg::DbError;
use store::{
    gauges::{count_overdue_leases, get_gauges},
    trial::{LIST_BLOCKERS, Trip, list_accepted_nonsense, run_queue_trip},
};

pub(crate) static ROUND_TRIP: Check = Check::once(
    "q.trip",
    "a job goes from INSERT through claim to complete, in a transaction that is rolled back.",
    |context| Box::pin(round_trip(context)),
)
.needs(DATABASE_READY)
.finds(ROUND_TRIP_CAUSES);
pub(crate) static REFUSAL: Check =
    Check::once("q.refusal", "jobs that make no sense are refused.", |context| Box::pin(refusal(context)))
        .needs(&[&ROUND_TRIP])
        .finds(REFUSAL_CAUSES);
pub(crate) static BACKLOG: Check =
    Check::once("q.backlog", "jobs do not wait for long, and dead workers' jobs are taken over.", |context| {
        Box::pin(backlog(context))
    })
    .needs(DATABASE_READY)
    .finds(BACKLOG_CAUSES);

/// More waiting jobs than this are worth a look, as in the replaced system's alert.
const MANY: i64 = 100;
/// A due job that waits for longer is overdue, in seconds, as in the replaced system's alert.
const LONG: i64 = 300;

const RESTORE: &str = "Look at the triggers, constraints and policies on upload_jobs that are not of migrations/.";
const MORE_WORKERS: &str = "Start more workers (`WORKER_CONCURRENCY`, instances); if workers are idle, see docs/operations.md, \"A job is stuck\".";
causes! { ROUND_TRIP_CAUSES:
    ENQUEUE_REFUSED = error("enqueue_refused", "The INSERT that other programs enqueue with is refused.", RESTORE);
    NOT_CLAIMED = error("not_claimed", "A job that is due is not given to a worker.", RESTORE);
    NOT_COMPLETED = error("not_completed", "A job that has done its last step cannot be ended as complete.", RESTORE);
    BLOCKED = error("blocked", "A session holds a lock on the queue's tables: every worker waits for it.").may_pass();
}

causes! { REFUSAL_CAUSES:
    NONSENSE_ACCEPTED = error("nonsense_accepted",
        "The database takes a job that no worker could make sense of.",
        "Restore the constraints on upload_jobs as migrations/ makes them.");
}

causes! { BACKLOG_CAUSES:
    MANY_WAITING = warning("many_waiting",
        "Over a hundred jobs are due and wait for a worker.",
        MORE_WORKERS).may_pass();
    OVERDUE = warning("overdue", "A due job has been waiting for over five minutes.", MORE_WORKERS).may_pass();
    NOT_TAKEN_OVER = error("not_taken_over",
        "The lease of a running job expired minutes ago, and no worker has taken it over: none is alive, or none can claim.",
        "Start `app worker`, or look at the log of the ones that run: a worker takes such jobs over when it next polls.").may_pass();
}

async fn round_trip(context: &Context<'_>) -> Outcome {
    let (cause, observed, error) = match run_queue_trip(context.db()?).await {
        Ok(Trip::Done) => return Ok("inserted, claimed, completed, rolled back".to_owned()),
        Ok(Trip::Refused(error)) | Err(error) => (&ENQUEUE_REFUSED, "it was refused", Some(error)),
        Ok(Trip::NotClaimed(error)) => (&NOT_CLAIMED, "the claim did not give it", error),
        Ok(Trip::NotCompleted(error)) => (&NOT_COMPLETED, "it could not be ended", error),
    };
    Err(match error {
        None => cause.seen(observed),
        Some(error) if waited_too_long(&error) => BLOCKED
            .seen(error.to_string())
            .fix(format!("Find the session that blocks, and end it with pg_terminate_backend: {LIST_BLOCKERS};")),
        Some(error) => cause.seen(format!("{observed}: {error}")),
    })
}

/// Whether the statement waited for a lock, or for anything else, for too long.
fn waited_too_long(error: &DbError) -> bool {
    error.sqlstate().is_some_and(|state| matches!(state.code(), "55P03" | "57014"))
}

async fn refusal(context: &Context<'_>) -> Outcome {
    let accepted = list_accepted_nonsense(context.db()?).await?;
    if accepted.is_empty() {
        return Ok("unknown statuses and states, and pairs that do not fit, are refused".to_owned());
    }
    Err(NONSENSE_ACCEPTED.seen(format!("the database takes {}", accepted.join(", "))))
}

async fn backlog(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    let gauges = get_gauges(&conn).await?;
    let overdue = count_overdue_leases(&conn).await?;
    let waiting = gauges.jobs_in("queued") + gauges.jobs_in("retryable");
    let (running, oldest) = (gauges.jobs_in("working"), gauges.oldest_due_seconds());
    let observed = format!("{waiting} waiting, {running} running, the longest due for {oldest} s");
    if overdue > 0 {
        let expired = format!("{overdue} jobs whose lease expired over two minutes ago; {observed}");
        Err(NOT_TAKEN_OVER.seen(expired))
    } else if oldest > LONG {
        Err(OVERDUE.seen(observed).expecting("due for less than 5 minutes"))
    } else if waiting > MANY {
        Err(MANY_WAITING.seen(observed).expecting("at most 100 waiting"))
    } else {
        Ok(observed)
    }
}
