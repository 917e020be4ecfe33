//! `env.stamp`: whether the database is this environment's.

use super::{
    Scene,
    catalogue::Group,
    database::or_no_answer,
    finding::{Cause, Finding, Look, skip_behind},
    schema::MISSING,
};
use pg::{Db, DbError};
use store::migrations::get_environment_stamp;

static WRONG_ENVIRONMENT: Cause = Cause::error(
    "env.stamp",
    "wrong_environment",
    "The database belongs to another environment: api, worker and migrate refuse to start on it, and write nothing.",
);
static NOT_STAMPED: Cause = Cause::error(
    "env.stamp",
    "not_stamped",
    "The database is not stamped with an environment yet, so that nothing keeps another one's processes away.",
)
.waitable();

pub(super) const GROUP: Group = Group {
    name: "environment",
    checks: &[("env.stamp", "the database belongs to this environment.")],
    causes: &[&WRONG_ENVIRONMENT, &NOT_STAMPED],
};

/// `earlier`: what was found of the schema, without which there is no stamp.
pub(super) async fn check(scene: &Scene<'_>, db: &Db, earlier: &[Finding]) -> Finding {
    if earlier.iter().any(|finding| finding.cause == Some(&MISSING)) {
        return skip_behind(&["env.stamp"], "db.schema").remove(0);
    }
    or_no_answer("env.stamp", stamp(scene, db).await)
}

async fn stamp(scene: &Scene<'_>, db: &Db) -> Result<Finding, DbError> {
    let look = Look::at("env.stamp");
    let ours = scene.config.environment;
    Ok(match get_environment_stamp(db).await? {
        None => look.found(&NOT_STAMPED, "the database has no stamp", "Run `app migrate`.").expecting(ours.as_str()),
        Some(stamped) if stamped == ours.as_str() => look.passed(format!("the database belongs to {stamped}")),
        Some(stamped) => look
            .found(
                &WRONG_ENVIRONMENT,
                format!("the database belongs to {stamped}, and ENVIRONMENT is {ours}"),
                format!(
                    "Check DATABASE_URL: it is {stamped}'s. If this database was copied or renamed on purpose: \
                     `app migrate --move-stamp {stamped}`."
                ),
            )
            .expecting(ours.as_str()),
    })
}
