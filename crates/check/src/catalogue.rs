//! Every check and every cause there is: what docs/checks.md, `--only` and the tests go by.

use std::fmt::Write as _;

use super::{
    api, auth, configuration, database, e2e, environment,
    finding::{Cause, Severity},
    network, own, providers, queue, schema, storage, workers,
};

/// Checks that are looked at together, and every cause that they can give.
#[derive(Debug)]
pub struct Group {
    /// What `--only` may say.
    pub name: &'static str,
    /// Id and what it verifies, in the order in which they are looked at.
    pub checks: &'static [(&'static str, &'static str)],
    /// Each cause.
    pub causes: &'static [&'static Cause],
}

/// All groups, in the order in which an early failure explains the later ones.
pub const GROUPS: &[&Group] = &[
    &configuration::GROUP,
    &network::GROUP,
    &database::GROUP,
    &schema::GROUP,
    &environment::GROUP,
    &queue::GROUP,
    &storage::GROUP,
    &auth::GROUP,
    &providers::GROUP,
    &workers::GROUP,
    &api::GROUP,
    &own::GROUP,
    &e2e::GROUP,
];

/// Where a check stands in the order of the catalogue; unknown ones come last.
pub(super) fn position(id: &str) -> usize {
    let mut ids = GROUPS.iter().flat_map(|group| group.checks).map(|(known, _)| *known);
    ids.position(|known| known == id).unwrap_or(usize::MAX)
}

/// The group of a check.
pub fn group_of(id: &str) -> &'static str {
    let group = GROUPS.iter().find(|group| group.checks.iter().any(|(known, _)| *known == id));
    group.map_or("", |group| group.name)
}

/// The body of docs/checks.md: a section a group, a table of its causes.
pub fn render_markdown() -> String {
    let mut page = String::new();
    for group in GROUPS {
        // Writing to a String cannot fail.
        _ = writeln!(page, "\n## {}\n", group.name);
        for (id, what) in group.checks {
            _ = writeln!(page, "- `{id}`: {what}");
        }
        _ = writeln!(page, "\n| cause | severity | what it means |\n| --- | --- | --- |");
        for cause in group.causes {
            let severity = match cause.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let waits = if cause.waitable { ", may pass" } else { "" };
            _ = writeln!(page, "| `{}` | {severity}{waits} | {} |", cause.id(), cause.why);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_each_cause_belongs_to_a_check_of_its_group() {
        let mut ids = BTreeSet::new();
        let mut causes = BTreeSet::new();
        for group in GROUPS {
            for (id, what) in group.checks {
                assert!(ids.insert(*id), "{id} comes twice");
                assert!(id.contains('.') && what.ends_with('.'), "{id}: {what}");
            }
            for cause in group.causes {
                assert!(causes.insert(cause.id()), "{} comes twice", cause.id());
                assert!(group.checks.iter().any(|(id, _)| *id == cause.check), "{} is another group's", cause.id());
                assert!(cause.why.ends_with('.'), "{}: {}", cause.id(), cause.why);
            }
        }
    }
}
