//! Waits for a database that this process may use: it is reachable, has this build's schema, and belongs to the same
//! environment.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use config::Environment;
use domain::{Code, Failure};
use pg::{Db, DbError};
use store::migrations::{SchemaState, get_environment_stamp, schema_state};

/// The pause between two checks. Short, so that the process soon notices a migration.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Waits until the database can be used. Logs each reason once. Returns `false` if `stop` is cancelled first.
///
/// # Errors
///
/// The database belongs to another environment. Nothing was written.
pub(super) async fn wait_until_usable(
    db: &Db,
    environment: Environment,
    stop: &CancellationToken,
) -> Result<bool, Failure> {
    let mut logged = String::new();
    loop {
        let reason = match check_usable(db, environment).await {
            Ok(()) => return Ok(true),
            Err(Unusable::Refused(failure)) => return Err(failure),
            Err(Unusable::NotYet(reason)) => reason,
        };
        if reason != logged {
            tracing::warn!("waiting: {reason}");
            logged = reason;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
    }
}

/// Refuses a database of another environment, without waiting.
///
/// # Errors
///
/// The database belongs to another environment or cannot be reached. Nothing was written.
pub(super) async fn refuse_wrong_environment(db: &Db, environment: Environment) -> anyhow::Result<()> {
    match get_environment_stamp(db).await? {
        Some(stamped) if stamped != environment.as_str() => Err(wrong_environment(&stamped, environment).into()),
        _ => Ok(()),
    }
}

enum Unusable {
    NotYet(String),
    Refused(Failure),
}

impl From<DbError> for Unusable {
    fn from(error: DbError) -> Self {
        Self::NotYet(error.to_string())
    }
}

async fn check_usable(db: &Db, environment: Environment) -> Result<(), Unusable> {
    if let Some(stamped) = get_environment_stamp(db).await?
        && stamped != environment.as_str()
    {
        return Err(Unusable::Refused(wrong_environment(&stamped, environment)));
    }
    match schema_state(db).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Missing => Err(Unusable::NotYet("the database has no schema yet; run `app migrate`".to_owned())),
        SchemaState::Behind(pending) => Err(Unusable::NotYet(format!(
            "the database's schema is behind this build ({} missing); run `app migrate`",
            pending.join(", ")
        ))),
    }
}

/// The failure of a process of environment `own` whose database belongs to another one.
pub(super) fn wrong_environment(stamped: &str, own: Environment) -> Failure {
    Failure::new(
        Code::WrongEnvironment,
        format!(
            "This database belongs to {stamped}, and this process is {own} (ENVIRONMENT): it refuses to start and has written \
             nothing. Check DATABASE_URL: it may be {stamped}'s."
        ),
    )
}
