//! The result of one check, with its name.

use std::time::Duration;

use serde::Serialize;

use super::cause::{Cause, Outcome, Problem, Severity};

/// The status of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well.
    Passed,
    /// Everything works, but a person should look at it.
    Warning,
    /// Something does not work.
    Failed,
    /// Not checked: a check that has to pass first failed, or there is nothing to check.
    Skipped,
}

/// The result of a check. Contains no secret.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The group of the check.
    pub group: &'static str,
    /// Stable name of the check.
    pub id: &'static str,
    /// The thing that was checked if there are several of the kind, such as a variable's name.
    pub subject: Option<String>,
    /// The status.
    pub status: CheckStatus,
    /// How long the check took.
    pub took: Duration,
    /// What was observed.
    pub observed: String,
    /// What should have been observed.
    pub expected: Option<String>,
    /// The cause of a failure or a warning.
    pub cause: Option<&'static Cause>,
    /// What to do about it.
    pub fix: Option<String>,
    /// The failed check for which this one was skipped.
    pub blocked_by: Option<&'static str>,
}

impl Finding {
    pub(super) fn new(
        group: &'static str,
        id: &'static str,
        subject: Option<String>,
        took: Duration,
        outcome: Outcome,
    ) -> Self {
        let (status, cause, fix, expected, blocked_by) = match &outcome {
            Ok(_) => (CheckStatus::Passed, None, None, None, None),
            Err(Problem::Found { cause, fix, expected, .. }) => {
                let status = match cause.severity {
                    Severity::Error => CheckStatus::Failed,
                    Severity::Warning => CheckStatus::Warning,
                };
                (status, Some(*cause), Some(fix.clone()), expected.clone(), None)
            }
            Err(Problem::Skipped(_)) => (CheckStatus::Skipped, None, None, None, None),
            Err(Problem::Behind(blocker)) => (CheckStatus::Skipped, None, None, None, Some(*blocker)),
        };
        let took = if status == CheckStatus::Skipped { Duration::ZERO } else { took };
        let observed = outcome.unwrap_or_else(Problem::observed);
        Self { group, id, subject, status, took, observed, expected, cause, fix, blocked_by }
    }

    /// The stable id of the cause, `check/slug`.
    pub fn cause_id(&self) -> Option<String> {
        self.cause.map(|cause| format!("{}/{}", self.id, cause.slug))
    }

    /// Whether the check failed or warned.
    pub fn is_problem(&self) -> bool {
        self.cause.is_some()
    }

    /// Whether the check failed.
    pub fn is_failure(&self) -> bool {
        self.status == CheckStatus::Failed
    }

    /// The failed check that blocks every check that needs this one.
    pub(super) fn blocker(&self) -> Option<&'static str> {
        if self.is_failure() { Some(self.id) } else { self.blocked_by }
    }
}
