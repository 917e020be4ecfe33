//! The outcome of a check: what it observed, or a problem with its cause. Causes are declared beside the check.

use domain::{Code, named};
use pg::{DbError, connect_error::advice};

named! {
    /// How serious a cause is.
    Severity {
        /// Something does not work.
        Error = "error",
        /// Everything works, but a person should look at it.
        Warning = "warning",
    }
}

/// Why a check fails. Its stable id is `check/slug`.
#[derive(Debug)]
pub struct Cause {
    /// Its name within the check.
    pub slug: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Whether it can go away by itself, so that `--wait` checks again.
    pub may_pass: bool,
    /// What it means, in one sentence.
    pub why: &'static str,
    /// What to do; empty if each problem states it.
    pub fix: &'static str,
}

impl Cause {
    /// A cause by which something does not work.
    pub(super) const fn error(slug: &'static str, why: &'static str) -> Self {
        Self { slug, severity: Severity::Error, may_pass: false, why, fix: "" }
    }

    /// A cause that a person should look at.
    pub(super) const fn warning(slug: &'static str, why: &'static str) -> Self {
        Self { severity: Severity::Warning, ..Self::error(slug, why) }
    }

    /// A cause of a failed connection, in the words of [`pg::connect_error`].
    pub(super) const fn connection(slug: &'static str, code: Code) -> Self {
        let (why, fix) = advice(code);
        Self::error(slug, why).fix(fix)
    }

    /// Sets what to do.
    pub(super) const fn fix(self, fix: &'static str) -> Self {
        Self { fix, ..self }
    }

    /// Marks the cause as one that can go away by itself.
    pub(super) const fn may_pass(self) -> Self {
        Self { may_pass: true, ..self }
    }

    /// The problem with this cause, `observed`.
    pub(super) fn seen(&'static self, observed: impl Into<String>) -> Problem {
        Problem::Found { cause: self, observed: observed.into(), fix: self.fix.to_owned(), expected: None }
    }
}

/// The outcome of a check: what it observed if all is well, or a problem.
pub(super) type Outcome = Result<String, Problem>;

/// Why a check did not pass. Contains no secret.
#[derive(Debug)]
pub(super) enum Problem {
    /// A declared cause was found.
    Found { cause: &'static Cause, observed: String, fix: String, expected: Option<String> },
    /// There was nothing to check.
    Skipped(String),
    /// The check with this id has to pass first.
    Behind(&'static str),
}

impl Problem {
    /// Replaces the fix that the cause declares.
    pub(super) fn fix(mut self, text: impl Into<String>) -> Self {
        if let Self::Found { fix, .. } = &mut self {
            *fix = text.into();
        }
        self
    }

    /// Sets what should have been observed.
    pub(super) fn expecting(mut self, text: impl Into<String>) -> Self {
        if let Self::Found { expected, .. } = &mut self {
            *expected = Some(text.into());
        }
        self
    }

    /// Puts the place before what was observed.
    pub(super) fn at(mut self, place: &str) -> Self {
        if let Self::Found { observed, .. } = &mut self {
            *observed = format!("{place}: {observed}");
        }
        self
    }

    /// An outcome without anything to check, and the reason.
    pub(super) fn skipped<T>(why: impl Into<String>) -> Result<T, Self> {
        Err(Self::Skipped(why.into()))
    }

    /// What was observed, without cause and fix.
    pub(super) fn observed(self) -> String {
        match self {
            Self::Found { observed, .. } | Self::Skipped(observed) => observed,
            Self::Behind(id) => format!("not checked: see {id}"),
        }
    }
}

/// Only `db.version` reports that the database does not answer; every other check is skipped.
impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        Self::Skipped(format!("the database did not answer: {error}"))
    }
}
