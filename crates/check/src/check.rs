//! A check, as a value; with what the files that declare checks need.

use futures_util::future::LocalBoxFuture;

pub(super) use super::{
    cause::{Cause, Outcome, Problem, causes},
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
    /// Once for each database URL; what it needs has to have passed for the same URL.
    EachUrl(EachUrl),
    /// Once, with an outcome for each thing that it names.
    Many(Many),
}

/// One check.
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What it verifies: the rest of a sentence.
    pub verifies: &'static str,
    /// Each cause that it can find.
    pub causes: &'static [&'static Cause],
    /// Checks without whose success this one is skipped.
    pub(super) needs: &'static [&'static Check],
    /// Checks that end before this one begins, however they end.
    pub(super) after: &'static [&'static Check],
    /// Whether it stores something, which it removes before it ends, also after INT and TERM.
    pub(super) cleans_up: bool,
    pub(super) run: Run,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Check {
    pub(super) const fn once(id: &'static str, verifies: &'static str, run: Once) -> Self {
        Self::new(id, verifies, Run::Once(run))
    }

    pub(super) const fn each_url(id: &'static str, verifies: &'static str, run: EachUrl) -> Self {
        Self::new(id, verifies, Run::EachUrl(run))
    }

    pub(super) const fn many(id: &'static str, verifies: &'static str, run: Many) -> Self {
        Self::new(id, verifies, Run::Many(run))
    }

    const fn new(id: &'static str, verifies: &'static str, run: Run) -> Self {
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

    /// The checks that end before this one begins.
    pub(super) fn earlier(&self) -> impl Iterator<Item = &'static str> {
        ids(self.needs).chain(ids(self.after))
    }
}

pub(super) fn ids(checks: &'static [&'static Check]) -> impl Iterator<Item = &'static str> {
    checks.iter().map(|check| check.id)
}
