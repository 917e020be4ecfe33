//! `env.stamp`: whether the database belongs to this environment. With it, [`DATABASE_READY`]: whether the database can
//! be used.

use super::{
    super::check::{Check, Context, Outcome, Problem, declare, ids},
    schema::{MIGRATIONS, SHAPE, STATUSES},
    server::{EXTENSION, ROLE, WRITABLE},
};
use pg::Db;
use store::migrations::{SchemaState, get_environment_stamp, schema_state};

declare! {
    STAMP = once("env.stamp", "the database belongs to this environment.", stamp)
        .needs(&[&WRITABLE, &EXTENSION, &ROLE])
        .after(&[&MIGRATIONS]);
    WRONG_ENVIRONMENT = error("wrong_environment",
        "The database belongs to another environment: api, worker and migrate refuse to start on it, and write nothing.");
    NOT_STAMPED = error("not_stamped",
        "The database has no environment's stamp yet, so processes of other environments would use it too.",
        "Run `app migrate`.").may_pass();
}

/// The checks that have to pass before the system can use the database.
pub(crate) static DATABASE_READY: &[&Check] = &[&MIGRATIONS, &STAMP, &STATUSES, &SHAPE];

/// The database if it can be used; else the check that failed.
pub(crate) fn ready_db<'c>(context: &'c Context<'_>) -> Result<&'c Db, Problem> {
    match context.blocker(ids(DATABASE_READY), None) {
        Some(blocker) => Err(Problem::Behind(blocker)),
        None => context.db(),
    }
}

async fn stamp(context: &Context<'_>) -> Outcome {
    let db = context.db()?;
    let environment = context.config.environment;
    match get_environment_stamp(db).await? {
        Some(stamped) if stamped == environment.as_str() => Ok(format!("the database belongs to {stamped}")),
        Some(stamped) => {
            let fix = format!(
                "Check DATABASE_URL: it leads to {stamped}'s database. If this database was copied or renamed on purpose: \
                 `app migrate --move-stamp {stamped}`."
            );
            let observed = format!("the database belongs to {stamped}, and ENVIRONMENT is {environment}");
            Err(WRONG_ENVIRONMENT.seen(observed).fix(fix).expecting(environment.as_str()))
        }
        None if schema_state(db).await? == SchemaState::Missing => Err(Problem::Behind(MIGRATIONS.id)),
        None => Err(NOT_STAMPED.seen("the database has no stamp").expecting(environment.as_str())),
    }
}
