//! What a check says: passed, or a declared cause with what was observed and what to do.

use std::time::{Duration, Instant};

use serde::Serialize;

/// How bad a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// It works, but somebody should look.
    Warning,
}

/// Why a check failed, declared once; `check/slug` is its stable id.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// The check that finds it.
    pub check: &'static str,
    /// Its name within the check.
    pub slug: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Whether it can pass by itself: `--wait` looks again.
    pub waitable: bool,
    /// What it means, in a sentence.
    pub why: &'static str,
}

impl Cause {
    /// A cause for which something does not work.
    pub const fn error(check: &'static str, slug: &'static str, why: &'static str) -> Self {
        Self { check, slug, severity: Severity::Error, waitable: false, why }
    }

    /// A cause that somebody should look at.
    pub const fn warning(check: &'static str, slug: &'static str, why: &'static str) -> Self {
        Self { severity: Severity::Warning, ..Self::error(check, slug, why) }
    }

    /// The same, as one that can pass by itself.
    #[must_use]
    pub const fn waitable(self) -> Self {
        Self { waitable: true, ..self }
    }

    /// `check/slug`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.check, self.slug)
    }
}

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
    /// Not looked at: an earlier failure explains it, or there is nothing to look at.
    Skipped,
}

/// What a check found. Nothing in it is ever a secret.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Stable name of the check: `group.check`.
    pub id: &'static str,
    /// Which of several things of the same kind, such as a variable's name.
    pub subject: Option<String>,
    /// How it ended.
    pub status: CheckStatus,
    /// How long the look took.
    pub took: Duration,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: Option<String>,
    /// The cause, under a failure or a warning.
    pub cause: Option<&'static Cause>,
    /// What to do about it.
    pub fix: Option<String>,
    /// The failed check for which this one was not looked at.
    pub blocked_by: Option<&'static str>,
}

impl Finding {
    /// Adds what should have been seen.
    #[must_use]
    pub fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// Says which of several things this is about.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Whether the check failed or warned.
    pub fn is_problem(&self) -> bool {
        self.cause.is_some()
    }

    /// Whether the check failed.
    pub fn is_failure(&self) -> bool {
        self.status == CheckStatus::Failed
    }
}

/// One check that is being looked at; its clock runs.
#[derive(Debug)]
pub struct Look {
    id: &'static str,
    began: Instant,
}

impl Look {
    /// Begins.
    pub fn at(id: &'static str) -> Self {
        Self { id, began: Instant::now() }
    }

    /// All is as it should be.
    pub fn passed(self, observed: impl Into<String>) -> Finding {
        self.ended(CheckStatus::Passed, observed.into())
    }

    /// It is not: the declared cause, what was seen, what to do.
    pub fn found(self, cause: &'static Cause, observed: impl Into<String>, fix: impl Into<String>) -> Finding {
        debug_assert_eq!(self.id, cause.check, "the cause belongs to another check");
        let status = match cause.severity {
            Severity::Error => CheckStatus::Failed,
            Severity::Warning => CheckStatus::Warning,
        };
        Finding { cause: Some(cause), fix: Some(fix.into()), ..self.ended(status, observed.into()) }
    }

    /// There was nothing to look at, or something else has to be mended first.
    pub fn skipped(self, because: &str) -> Finding {
        Finding { took: Duration::ZERO, ..self.ended(CheckStatus::Skipped, because.to_owned()) }
    }

    fn ended(self, status: CheckStatus, observed: String) -> Finding {
        Finding {
            id: self.id,
            subject: None,
            status,
            took: self.began.elapsed(),
            observed,
            expected: None,
            cause: None,
            fix: None,
            blocked_by: None,
        }
    }
}

/// Skips all of `ids`, since what the check `blocker` found has to be mended first.
pub(super) fn skip_behind(ids: &[&'static str], blocker: &'static str) -> Vec<Finding> {
    let skip = |id: &&'static str| Finding {
        blocked_by: Some(blocker),
        ..Look::at(id).skipped(&format!("not looked at: see {blocker}"))
    };
    ids.iter().map(skip).collect()
}
