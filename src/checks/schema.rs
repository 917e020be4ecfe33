//! `db.schema`: whether every migration of this build is applied and unaltered; `env.stamp`: whether the database is
//! this environment's.

use std::time::Instant;

use super::{CheckStatus, Finding};
use crate::{
    config::Config,
    db::{
        Db, DbError,
        migrations::{MigrationStatus, get_environment_stamp, list_migrations},
    },
};

pub(super) async fn check(config: &Config, db: &Db) -> Vec<Finding> {
    vec![migrations(db).await, stamp(config, db).await]
}

async fn migrations(db: &Db) -> Finding {
    const ID: &str = "db.schema";
    let began = Instant::now();
    let all = match list_migrations(db).await {
        Ok(all) => all,
        Err(error) => return broken(ID, began, &error),
    };
    let names = |of: &dyn Fn(&MigrationStatus) -> bool| {
        all.iter().filter(|m| of(m)).map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let altered = names(&|m| m.altered);
    if !altered.is_empty() {
        return Finding::failed(
            ID,
            began,
            format!("applied with another text than this build's: {altered}"),
            "migration_altered",
            "A migration is never edited once it was applied: build from the commit that was deployed, or restore its file.",
        );
    }
    let pending = names(&|m| m.applied_on.is_none());
    if !pending.is_empty() {
        return Finding::failed(
            ID,
            began,
            format!("not applied: {pending}"),
            "migrations_missing",
            "Run `app migrate`.",
        );
    }
    let newer = names(&|m| m.sql.is_none());
    if !newer.is_empty() {
        return Finding {
            status: CheckStatus::Warning,
            ..Finding::failed(
                ID,
                began,
                format!("a newer build has applied: {newer}"),
                "schema_newer",
                "Fine while it is additive, as during a deploy; otherwise deploy the newer build.",
            )
        };
    }
    Finding::passed(ID, began, format!("{} migrations applied, none pending", all.len()))
}

async fn stamp(config: &Config, db: &Db) -> Finding {
    const ID: &str = "env.stamp";
    let began = Instant::now();
    let ours = config.environment;
    match get_environment_stamp(db).await {
        Err(error) => broken(ID, began, &error),
        Ok(None) => Finding {
            status: CheckStatus::Warning,
            ..Finding::failed(
                ID,
                began,
                "the database is not stamped with an environment yet",
                "environment_not_stamped",
                "Run `app migrate`.",
            )
        },
        Ok(Some(stamped)) if stamped == ours.as_str() => {
            Finding::passed(ID, began, format!("the database belongs to {stamped}"))
        }
        Ok(Some(stamped)) => Finding::failed(
            ID,
            began,
            format!("the database belongs to {stamped}, and ENVIRONMENT is {ours}"),
            "wrong_environment",
            format!("Check DATABASE_URL: it is {stamped}'s. api, worker and migrate refuse to start with it."),
        ),
    }
}

fn broken(id: &'static str, began: Instant, error: &DbError) -> Finding {
    Finding::failed(id, began, error.to_string(), error.code(), "See the message; the database's own log has more.")
}
