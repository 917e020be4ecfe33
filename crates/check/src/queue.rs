//! Whether the queue carries a job, refuses nonsense, and moves.

use super::{
    Scene,
    catalogue::Group,
    database::or_no_answer,
    finding::{Cause, Finding, Look},
};
use pg::{Db, DbError};
use store::{
    gauges::{count_overdue_leases, get_gauges},
    trial::{LIST_BLOCKERS, Trip, list_accepted_nonsense, run_queue_trip},
};

/// More waiting jobs than this are worth a look. Source: the replaced system's alert.
const MANY: i64 = 100;
/// A due job that waits for longer is overdue, in seconds. Source: the replaced system's alert.
const LONG: i64 = 300;

static ENQUEUE_REFUSED: Cause =
    Cause::error("q.trip", "enqueue_refused", "The INSERT that other programs enqueue with is refused.");
static NOT_CLAIMED: Cause = Cause::error("q.trip", "not_claimed", "A job that is due is not given to a worker.");
static NOT_COMPLETED: Cause =
    Cause::error("q.trip", "not_completed", "A job that has done its last step cannot be ended as complete.");
static BLOCKED: Cause =
    Cause::error("q.trip", "blocked", "Somebody holds a lock on the queue's tables: every worker waits for it.")
        .waitable();
static NONSENSE_ACCEPTED: Cause =
    Cause::error("q.refusal", "nonsense_accepted", "The database takes a job that no worker could make sense of.");
static BACKLOG: Cause =
    Cause::warning("q.backlog", "many_waiting", "Over a hundred jobs are due and wait for a worker.").waitable();
static OVERDUE: Cause =
    Cause::warning("q.backlog", "overdue", "A due job has been waiting for over five minutes.").waitable();
static NOT_TAKEN_OVER: Cause = Cause::error(
    "q.backlog",
    "not_taken_over",
    "The lease of a running job expired minutes ago, and nobody has taken it over: no worker is alive, or none can claim.",
)
.waitable();

pub(super) const GROUP: Group = Group {
    name: "queue",
    checks: &[
        ("q.trip", "a job goes from INSERT through claim to complete, in a transaction that is rolled back."),
        ("q.refusal", "jobs that make no sense are refused."),
        ("q.backlog", "jobs do not wait for long, and dead workers' jobs are taken over."),
    ],
    causes: &[
        &ENQUEUE_REFUSED,
        &NOT_CLAIMED,
        &NOT_COMPLETED,
        &BLOCKED,
        &NONSENSE_ACCEPTED,
        &BACKLOG,
        &OVERDUE,
        &NOT_TAKEN_OVER,
    ],
};

pub(super) async fn check(scene: &Scene<'_>, db: &Db) -> Vec<Finding> {
    if !scene.options.selection.wants_group("queue") {
        return Vec::new();
    }
    let trip = trip(db).await;
    let refusal = match trip.is_failure() {
        true => Look::at("q.refusal").skipped("the trip has failed already"),
        false => or_no_answer("q.refusal", refusal(db).await),
    };
    vec![trip, refusal, or_no_answer("q.backlog", backlog(db).await)]
}

async fn trip(db: &Db) -> Finding {
    let look = Look::at("q.trip");
    let said = |error: Option<DbError>| error.map_or_else(String::new, |error| format!(": {error}"));
    let restore = "Look at the triggers, constraints and policies on upload_jobs that are not of migrations/.";
    match run_queue_trip(db).await {
        Ok(Trip::Done) => look.passed("inserted, claimed, completed, rolled back"),
        Ok(Trip::Refused(error) | Trip::NotClaimed(Some(error)) | Trip::NotCompleted(Some(error))) | Err(error)
            if is_lock(&error) =>
        {
            look.found(
                &BLOCKED,
                error.to_string(),
                format!("Find the session that blocks, and end it with pg_terminate_backend: {LIST_BLOCKERS};"),
            )
        }
        Ok(Trip::Refused(error)) => look.found(&ENQUEUE_REFUSED, error.to_string(), restore),
        Ok(Trip::NotClaimed(error)) => {
            look.found(&NOT_CLAIMED, format!("the claim did not give it{}", said(error)), restore)
        }
        Ok(Trip::NotCompleted(error)) => {
            look.found(&NOT_COMPLETED, format!("it could not be ended{}", said(error)), restore)
        }
        Err(error) => look.found(&ENQUEUE_REFUSED, error.to_string(), restore),
    }
}

/// A statement that waited for a lock, or for anything else, for too long.
fn is_lock(error: &DbError) -> bool {
    error.sqlstate().is_some_and(|state| matches!(state.code(), "55P03" | "57014"))
}

async fn refusal(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("q.refusal");
    let accepted = list_accepted_nonsense(db).await?;
    Ok(if accepted.is_empty() {
        look.passed("unknown statuses and states, and pairs that do not fit, are refused")
    } else {
        look.found(
            &NONSENSE_ACCEPTED,
            format!("the database takes {}", accepted.join(", ")),
            "Restore the constraints on upload_jobs as migrations/ makes them.",
        )
    })
}

async fn backlog(db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("q.backlog");
    let conn = db.get().await?;
    let gauges = get_gauges(&conn).await?;
    let overdue = count_overdue_leases(&conn).await?;
    drop(conn);
    let (waiting, running, oldest) = (
        gauges.jobs_in("queued") + gauges.jobs_in("retryable"),
        gauges.jobs_in("working"),
        gauges.oldest_due_seconds(),
    );
    let observed = format!("{waiting} waiting, {running} running, the longest due for {oldest} s");
    let more = "Start more workers (`WORKER_CONCURRENCY`, instances); if workers are idle, see docs/operations.md, \"A job is stuck\".";
    Ok(if overdue > 0 {
        look.found(
            &NOT_TAKEN_OVER,
            format!("{overdue} jobs whose lease expired over two minutes ago; {observed}"),
            "Start `app worker`, or look at the log of the ones that run: the next look for work takes such jobs over.",
        )
    } else if oldest > LONG {
        look.found(&OVERDUE, observed, more).expecting("due for less than 5 minutes")
    } else if waiting > MANY {
        look.found(&BACKLOG, observed, more).expecting("at most 100 waiting")
    } else {
        look.passed(observed)
    })
}
