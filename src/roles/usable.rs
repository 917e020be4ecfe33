//! Waits for a database that this process may use: it is reachable, has this build's schema, and belongs to the same
//! environment.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use config::Environment;
use domain::{Code, Failure};
use pg::Db;
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
        let Some(reason) = find_obstacle(db, environment).await? else { return Ok(true) };
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

/// Why the database cannot be used yet; `None` if it can.
///
/// # Errors
///
/// The database belongs to another environment.
async fn find_obstacle(db: &Db, environment: Environment) -> Result<Option<String>, Failure> {
    match get_environment_stamp(db).await {
        Ok(Some(stamped)) if stamped != environment.as_str() => return Err(wrong_environment(&stamped, environment)),
        Ok(_) => {}
        Err(error) => return Ok(Some(error.to_string())),
    }
    Ok(match schema_state(db).await {
        Ok(SchemaState::Current) => None,
        Ok(SchemaState::Missing) => Some("the database has no schema yet; run `app migrate`".to_owned()),
        Ok(SchemaState::Behind(pending)) => Some(format!(
            "the database's schema is behind this build ({} missing); run `app migrate`",
            pending.join(", ")
        )),
        Err(error) => Some(error.to_string()),
    })
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
