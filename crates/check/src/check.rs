//! A check as a value, and what the files that declare checks use.

use futures_util::future::LocalBoxFuture;

pub(super) use super::{
    cause::{Cause, Outcome, Problem},
    context::{Context, Health, Modes, UrlPath},
};

type Once = for<'a> fn(&'a Context<'a>) -> LocalBoxFuture<'a, Outcome>;
type EachUrl = for<'a> fn(&'a Context<'a>, &'a UrlPath<'a>) -> LocalBoxFuture<'a, Outcome>;
type Many = fn(&Context<'_>) -> Vec<(Option<String>, Outcome)>;

/// How a check runs.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Once.
    Once(Once),
    /// Once for each database URL. The checks it needs have to pass for the same URL.
    EachUrl(EachUrl),
    /// Once, with one outcome for each subject.
    Many(Many),
}

/// One check.
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What it verifies, as a clause.
    pub verifies: &'static str,
    /// Each cause that it can find.
    pub causes: &'static [&'static Cause],
    /// Checks that have to pass first; otherwise this one is skipped.
    pub(super) needs: &'static [&'static Check],
    /// Checks that have to end first, whatever their outcome.
    pub(super) after: &'static [&'static Check],
    /// Whether it stores something that it removes at the end, so that INT and TERM must not cancel it.
    pub(super) cleans_up: bool,
    pub(super) run: Run,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Check {
    pub(super) const fn new(id: &'static str, verifies: &'static str, run: Run) -> Self {
        Self { id, verifies, causes: &[], needs: &[], after: &[], cleans_up: false, run }
    }

    pub(super) const fn finds(self, causes: &'static [&'static Cause]) -> Self {
        Self { causes, ..self }
    }

    pub(super) const fn needs(self, needs: &'static [&'static Self]) -> Self {
        Self { needs, ..self }
    }

    pub(super) const fn after(self, after: &'static [&'static Self]) -> Self {
        Self { after, ..self }
    }

    pub(super) const fn cleans_up(self) -> Self {
        Self { cleans_up: true, ..self }
    }

    /// The ids of the checks that end before this one begins.
    pub(super) fn earlier(&self) -> impl Iterator<Item = &'static str> {
        ids(self.needs).chain(ids(self.after))
    }
}

pub(super) fn ids(checks: &'static [&'static Check]) -> impl Iterator<Item = &'static str> {
    checks.iter().map(|check| check.id)
}

/// Declares a check and its causes as statics:
///
/// ```text
/// NAME = once("id", "what it verifies.", function).needs(&[&OTHER]);
/// CAUSE = error("slug", "why", "fix").may_pass();
/// ```
///
/// `once` is a kind of [`Run`] (`each_url`, `many`), followed by builders of [`Check`]; `error` is a constructor of
/// [`Cause`] (`warning`, `connection`). The fix may be left out.
macro_rules! declare {
    (
        $name:ident = $kind:ident($id:expr, $verifies:literal, $run:path)$(.$with:ident($($arg:tt)*))*;
        $($cause:ident = $make:ident($slug:literal, $why:expr $(, $fix:expr)?)$(.$may_pass:ident())?;)+
    ) => {
        pub(crate) static $name: $crate::check::Check =
            $crate::check::Check::new($id, $verifies, declare!(@$kind $run))
                $(.$with($($arg)*))*.finds(&[$(&$cause),+]);
        $(static $cause: $crate::cause::Cause = $crate::cause::Cause::$make($slug, $why)$(.fix($fix))?$(.$may_pass())?;)+
    };
    (@once $run:path) => { $crate::check::Run::Once(|context| Box::pin($run(context))) };
    (@each_url $run:path) => { $crate::check::Run::EachUrl(|context, url| Box::pin($run(context, url))) };
    (@many $run:path) => { $crate::check::Run::Many($run) };
}
pub(crate) use declare;
