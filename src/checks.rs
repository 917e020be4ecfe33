//! What `app check` looks at, one check a file: what it asks, and under a failure the cause and the fix.
//!
//! A check never changes anything. An early failure explains later ones: what cannot be looked at is skipped and says so.

mod configuration;
mod database;
mod schema;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{config::Config, config::Fault, db::Db};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Passed,
    /// Works, but somebody should look.
    Warning,
    /// Does not work.
    Failed,
    /// Could not be looked at, because of an earlier failure.
    Skipped,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Stable name: `group.check`.
    pub id: &'static str,
    /// How it ended.
    pub status: CheckStatus,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What was seen. Never a secret.
    pub observed: String,
    /// Stable name of the cause; under a failure or a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn passed(id: &'static str, began: Instant, observed: impl Into<String>) -> Self {
        Self {
            id,
            status: CheckStatus::Passed,
            ms: millis(began.elapsed()),
            observed: observed.into(),
            cause: None,
            fix: None,
        }
    }

    fn failed(
        id: &'static str,
        began: Instant,
        observed: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            status: CheckStatus::Failed,
            cause: Some(cause.into()),
            fix: Some(fix.into()),
            ..Self::passed(id, began, observed)
        }
    }

    fn skipped(id: &'static str, because: &str) -> Self {
        Self {
            id,
            status: CheckStatus::Skipped,
            ms: 0,
            observed: format!("not looked at: {because}"),
            cause: None,
            fix: None,
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// Runs every check, in the order in which an early failure explains the later ones. `db` is `None` where the
/// configuration names no database that could be connected to.
pub async fn run_checks(config: &Config, faults: &[Fault], db: Option<&Db>) -> Vec<Finding> {
    let mut findings = configuration::check(config, faults);
    let Some(db) = db else {
        findings.push(Finding::skipped("db.connect", "DATABASE_URL cannot be used"));
        findings.push(Finding::skipped("db.schema", "there is no database to look at"));
        findings.push(Finding::skipped("env.stamp", "there is no database to look at"));
        return findings;
    };
    let database = database::check(db).await;
    let reachable = database.iter().all(|finding| finding.status != CheckStatus::Failed);
    findings.extend(database);
    if reachable {
        findings.extend(schema::check(config, db).await);
    } else {
        findings.push(Finding::skipped("db.schema", "the database does not answer"));
        findings.push(Finding::skipped("env.stamp", "the database does not answer"));
    }
    findings
}
