//! `env.stamp`: whether the database is this environment's; and with that, whether it can be used.

use super::{
    super::check::{Cause, Check, Context, Outcome, Problem, causes, ids},
    schema::{MIGRATIONS, SHAPE, STATUSES},
    server::{EXTENSION, ROLE, WRITABLE},
};
use pg::Db;
use store::migrations::{SchemaState, get_environment_stamp, schema_state};

pub(crate) static STAMP: Check =
    Check::once("env.stamp", "the database belongs to this environment.", |context| Box::pin(stamp(context)))
        .needs(&[&WRITABLE, &EXTENSION, &ROLE])
        .after(&[&MIGRATIONS])
        .finds(STAMP_CAUSES);

causes! { STAMP_CAUSES:
    WRONG_ENVIRONMENT = error("wrong_environment",
        "The database belongs to another environment: api, worker and migrate refuse to start on it, and write nothing.");
    NOT_STAMPED = error("not_stamped",
        "The database is not stamped with an environment yet, so that nothing keeps another one's processes away.",
        "Run `app migrate`.").may_pass();
}

/// What has to be so before the system can do anything with the database.
pub(crate) static DATABASE_READY: &[&Check] = &[&MIGRATIONS, &STAMP, &STATUSES, &SHAPE];

/// The database, where it has the schema of this build and is this environment's; else the check that says why not.
pub(crate) fn ready_db<'c>(context: &'c Context<'_>) -> Result<&'c Db, Problem> {
    match context.blocker(ids(DATABASE_READY), None) {
        Some(blocker) => Err(Problem::Behind(blocker)),
        None => context.db(),
    }
}

async fn stamp(context: &Context<'_>) -> Outcome {
    let (db, ours) = (context.db()?, context.config.environment);
    match get_environment_stamp(db).await? {
        Some(stamped) if stamped == ours.as_str() => Ok(format!("the database belongs to {stamped}")),
        Some(stamped) => {
            let fix = format!(
                "Check DATABASE_URL: it is {stamped}'s. If this database was copied or renamed on purpose: \
                 `app migrate --move-stamp {stamped}`."
            );
            let observed = format!("the database belongs to {stamped}, and ENVIRONMENT is {ours}");
            Err(WRONG_ENVIRONMENT.seen(observed).fix(fix).expecting(ours.as_str()))
        }
        None if schema_state(db).await? == SchemaState::Missing => Err(Problem::Behind(MIGRATIONS.id)),
        None => Err(NOT_STAMPED.seen("the database has no stamp").expecting(ours.as_str())),
    }
}
