//! Why a check fails, declared once beside the check that finds it; and what a check says.

use pg::DbError;

/// How bad a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// It works, but a person should look.
    Warning,
}

/// Why a check fails. Its stable id is `check/slug`.
#[derive(Debug)]
pub struct Cause {
    /// Its name within the check.
    pub slug: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Whether it can pass by itself: `--wait` checks again.
    pub may_pass: bool,
    /// What it means, in a sentence.
    pub why: &'static str,
    /// What to do about it, where that is always the same.
    pub fix: &'static str,
}

impl Cause {
    /// A cause for which something does not work.
    pub(super) const fn error(slug: &'static str, why: &'static str) -> Self {
        Self { slug, severity: Severity::Error, may_pass: false, why, fix: "" }
    }

    /// A cause that a person should look at.
    pub(super) const fn warning(slug: &'static str, why: &'static str) -> Self {
        Self { severity: Severity::Warning, ..Self::error(slug, why) }
    }

    /// What to do about it.
    pub(super) const fn fix(self, fix: &'static str) -> Self {
        Self { fix, ..self }
    }

    /// The same, as one that can pass by itself.
    pub(super) const fn may_pass(self) -> Self {
        Self { may_pass: true, ..self }
    }

    /// The cause was found, by this observation.
    pub(super) fn seen(&'static self, observed: impl Into<String>) -> Problem {
        Problem::Found { cause: self, observed: observed.into(), fix: self.fix.to_owned(), expected: None }
    }
}

/// Declares the causes of one check and their list: name, severity, slug, what it means, what to do, whether it may pass.
macro_rules! causes {
    ($list:ident: $($name:ident = $severity:ident($slug:literal, $why:literal $(, $fix:expr)?)$(.$may_pass:ident())?;)+) => {
        $(pub(crate) static $name: Cause = Cause::$severity($slug, $why)$(.fix($fix))?$(.$may_pass())?;)+
        pub(crate) const $list: &[&Cause] = &[$(&$name),+];
    };
}
pub(crate) use causes;

/// What a check says: that all is well and what it saw, or a problem.
pub(super) type Outcome = Result<String, Problem>;

/// Why a check did not pass. Nothing in it is ever a secret.
#[derive(Debug)]
pub(super) enum Problem {
    /// A declared cause, what was seen, what to do, and what should have been seen.
    Found { cause: &'static Cause, observed: String, fix: String, expected: Option<String> },
    /// There was nothing to check.
    Skipped(String),
    /// The check of this id has to pass first.
    Behind(&'static str),
}

impl Problem {
    /// Another fix than the one that the cause declares.
    pub(super) fn fix(mut self, text: impl Into<String>) -> Self {
        if let Self::Found { fix, .. } = &mut self {
            *fix = text.into();
        }
        self
    }

    /// What should have been seen.
    pub(super) fn expecting(mut self, text: impl Into<String>) -> Self {
        if let Self::Found { expected, .. } = &mut self {
            *expected = Some(text.into());
        }
        self
    }

    /// Where it was seen, before what was seen.
    pub(super) fn at(mut self, place: &str) -> Self {
        if let Self::Found { observed, .. } = &mut self {
            *observed = format!("{place}: {observed}");
        }
        self
    }

    /// Nothing to check, and why.
    pub(super) fn skipped<T>(why: impl Into<String>) -> Result<T, Self> {
        Err(Self::Skipped(why.into()))
    }

    /// What was seen, without cause and fix.
    pub(super) fn observed(self) -> String {
        match self {
            Self::Found { observed, .. } | Self::Skipped(observed) => observed,
            Self::Behind(id) => format!("not checked: see {id}"),
        }
    }
}

/// That the database answers at all is `db.version`'s to say.
impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        Self::Skipped(format!("the database did not answer: {error}"))
    }
}
