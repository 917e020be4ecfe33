//! How one check ended, with its name.

use std::time::Duration;

use serde::Serialize;

use super::cause::{Cause, Outcome, Problem, Severity};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Passed,
    /// Works, but a person should look.
    Warning,
    /// Does not work.
    Failed,
    /// Not checked: an earlier failure explains it, or there is nothing to check.
    Skipped,
}

/// What a check found. Nothing in it is ever a secret.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The group of the check.
    pub group: &'static str,
    /// Stable name of the check.
    pub id: &'static str,
    /// Which of several things of the same kind, such as a variable's name.
    pub subject: Option<String>,
    /// How it ended.
    pub status: CheckStatus,
    /// How long the check took.
    pub took: Duration,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: Option<String>,
    /// The cause, under a failure or a warning.
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

    /// The cause's stable id, under a failure or a warning: `check/slug`.
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

    /// The check that has to pass before anything that needs this one.
    pub(super) fn blocker(&self) -> Option<&'static str> {
        if self.is_failure() { Some(self.id) } else { self.blocked_by }
    }
}
