//! Waiting for a database that this process may use: reachable, of its own environment, and with the schema it knows.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    config::Environment,
    db::{
        Db, DbError,
        migrations::{SchemaState, get_environment_stamp, schema_state},
    },
    domain::{Code, Failure},
};

/// Between two looks. Source: ours; a release step that has just migrated is noticed soon.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until the database can be used; says once what it waits for. `Ok(false)`: told to stop before that.
///
/// # Errors
///
/// The database belongs to another environment, which waiting does not change. Nothing was written.
pub(super) async fn wait_until_usable(
    db: &Db,
    environment: Environment,
    stop: &CancellationToken,
) -> Result<bool, Failure> {
    let mut said = String::new();
    loop {
        let missing = match look(db, environment).await {
            Ok(None) => return Ok(true),
            Ok(Some(Obstacle::Wait(reason))) => reason,
            Ok(Some(Obstacle::Refuse(failure))) => return Err(failure),
            Err(error) => error.to_string(),
        };
        if missing != said {
            tracing::warn!("waiting: {missing}");
            said = missing;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// For what does its work at once: refuses a database of another environment.
///
/// # Errors
///
/// The refusal, or the database cannot be reached. Nothing was written.
pub(super) async fn refuse_wrong_environment(db: &Db, environment: Environment) -> anyhow::Result<()> {
    match get_environment_stamp(db).await? {
        Some(stamped) if stamped != environment.as_str() => Err(wrong_environment(&stamped, environment).into()),
        _ => Ok(()),
    }
}

enum Obstacle {
    Wait(String),
    Refuse(Failure),
}

async fn look(db: &Db, environment: Environment) -> Result<Option<Obstacle>, DbError> {
    if let Some(stamped) = get_environment_stamp(db).await?
        && stamped != environment.as_str()
    {
        return Ok(Some(Obstacle::Refuse(wrong_environment(&stamped, environment))));
    }
    Ok(match schema_state(db).await? {
        SchemaState::Current => None,
        SchemaState::Missing => Some(Obstacle::Wait("the database has no schema yet; run `app migrate`".to_owned())),
        SchemaState::Behind(pending) => Some(Obstacle::Wait(format!(
            "the database's schema is behind this build ({} missing); run `app migrate`",
            pending.join(", ")
        ))),
    })
}

/// The refusal of a process whose database is stamped with another environment.
pub(super) fn wrong_environment(stamped: &str, ours: Environment) -> Failure {
    Failure::new(
        Code::WrongEnvironment,
        format!(
            "This database belongs to {stamped}, and this process is {ours} (ENVIRONMENT): it refuses to start and has written \
             nothing. Check DATABASE_URL: it may be {stamped}'s."
        ),
    )
}
