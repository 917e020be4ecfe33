//! Every check there is, top down: what docs/checks.md, `--only` and the tests go by.

use std::fmt::Write as _;

use super::{
    cause::Severity,
    check::Check,
    configuration,
    context::CheckOptions,
    database::{budget, environment, login, network, queue, schema, server, session_mode, workers},
    outside::{api, e2e, keys, llamaparse, model, own, project, storage, webhook},
};

/// Checks that have a name in common.
#[derive(Debug)]
pub struct Group {
    /// What `--only` may say.
    pub name: &'static str,
    /// In the order in which an early failure explains the later ones.
    pub checks: &'static [&'static Check],
    /// Whether only a running deployment can answer: `--pre` leaves it out.
    after_deploy: bool,
    /// Whether it runs only where it is asked for by name.
    on_request: bool,
}

impl Group {
    const fn new(name: &'static str, checks: &'static [&'static Check]) -> Self {
        Self { name, checks, after_deploy: false, on_request: false }
    }

    const fn after_deploy(self) -> Self {
        Self { after_deploy: true, ..self }
    }

    const fn on_request(self) -> Self {
        Self { on_request: true, ..self }
    }

    /// Whether `check`, one of this group's, was asked for.
    pub(super) fn wants(&self, check: &Check, options: &CheckOptions) -> bool {
        let named = options.only.iter().any(|name| name == self.name || name == check.id);
        let asked = match self.on_request {
            true => named || (options.e2e && self.name == "e2e"),
            false => named || options.only.is_empty(),
        };
        asked && !(options.pre && self.after_deploy)
    }
}

/// Every check; each stands behind those that it needs.
pub static GROUPS: [Group; 13] = [
    Group::new("configuration", &[&configuration::SETTINGS, &configuration::PORT]),
    Group::new("network", &[&network::NAME, &network::FAMILY, &network::PORT, &network::PROTOCOL, &login::ENCRYPTION]),
    Group::new(
        "database",
        &[
            &login::LOGIN,
            &server::VERSION,
            &server::WRITABLE,
            &session_mode::MODE,
            &session_mode::LISTEN,
            &budget::BUDGET,
            &server::EXTENSION,
            &server::ROLE,
            &server::CLOCK,
            &server::OLDEST_TRANSACTION,
        ],
    ),
    Group::new("schema", &[&schema::MIGRATIONS, &schema::STATUSES, &schema::SHAPE, &schema::VECTORS]),
    Group::new("environment", &[&environment::STAMP]),
    Group::new("queue", &[&queue::ROUND_TRIP, &queue::REFUSAL, &queue::BACKLOG]),
    Group::new("storage", &[&storage::READ_WRITE]),
    Group::new("auth", &[&project::PROJECT, &keys::KEYS]),
    Group::new("providers", &[&model::MODEL, &llamaparse::PARSER, &webhook::WEBHOOK]),
    Group::new("workers", &[&workers::ALIVE, &workers::COMMIT, &workers::ENVIRONMENT]).after_deploy(),
    Group::new("api", &[&api::REACH, &api::READY, &api::ENVIRONMENT, &api::COMMIT]).after_deploy(),
    Group::new("self", &[&own::ALIVE]).after_deploy().on_request(),
    Group::new("e2e", &[&e2e::DOCUMENT]).after_deploy().on_request(),
];

/// Each check with its group, top down.
pub(super) fn all() -> impl DoubleEndedIterator<Item = (&'static Group, &'static Check)> {
    GROUPS.iter().flat_map(|group| group.checks.iter().map(move |check| (group, *check)))
}

/// A name that `--only` takes.
///
/// # Errors
///
/// Any other; the text lists the groups.
pub fn parse_name(name: &str) -> Result<String, String> {
    if all().any(|(group, check)| group.name == name || check.id == name) {
        return Ok(name.to_owned());
    }
    let groups: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
    Err(format!("there is no check of this name; groups are {}; docs/checks.md has the ids", groups.join(", ")))
}

/// The body of docs/checks.md: a section a group, a table of its causes.
pub fn render_markdown() -> String {
    let mut page = String::new();
    for group in &GROUPS {
        // Writing to a String cannot fail.
        _ = writeln!(page, "\n## {}\n", group.name);
        for check in group.checks {
            _ = writeln!(page, "- `{}`: {}", check.id, check.verifies);
        }
        _ = writeln!(page, "\n| cause | severity | what it means |\n| --- | --- | --- |");
        for (check, cause) in group.checks.iter().flat_map(|check| check.causes.iter().map(move |cause| (check, cause)))
        {
            let severity = match cause.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let may_pass = if cause.may_pass { ", may pass" } else { "" };
            _ = writeln!(page, "| `{}/{}` | {severity}{may_pass} | {} |", check.id, cause.slug, cause.why);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn wanted(only: &[&str], pre: bool) -> BTreeSet<&'static str> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let options = CheckOptions { only, pre, ..CheckOptions::default() };
        all().filter(|(group, check)| group.wants(check, &options)).map(|(_, check)| check.id).collect()
    }

    #[test]
    fn a_group_stands_for_its_checks_and_a_check_for_itself() {
        assert!(wanted(&["database"], false).contains("db.version"));
        assert_eq!(wanted(&["db.version"], false), BTreeSet::from(["db.version"]));
    }

    #[test]
    fn before_a_deploy_what_does_not_run_yet_is_left_out() {
        assert!(wanted(&[], true).contains("db.schema") && !wanted(&[], true).contains("workers.alive"));
        assert!(wanted(&[], false).contains("workers.alive") && !wanted(&[], false).contains("self.alive"));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        assert!(parse_name("db.nothing").unwrap_err().contains("database"));
        assert_eq!(parse_name("database").unwrap(), "database");
    }

    #[test]
    fn ids_are_unique_and_what_a_check_needs_stands_before_it() {
        let mut ids = BTreeSet::new();
        for (_, check) in all() {
            assert!(check.earlier().all(|earlier| ids.contains(earlier)), "{check:?} needs what comes later");
            assert!(ids.insert(check.id), "{check:?} comes twice");
            assert!(check.id.contains('.') && check.verifies.ends_with('.'), "{check:?}: {}", check.verifies);
            let slugs: BTreeSet<_> = check.causes.iter().map(|cause| cause.slug).collect();
            assert_eq!(slugs.len(), check.causes.len(), "{check:?} has a cause twice");
            assert!(check.causes.iter().all(|cause| cause.why.ends_with('.')), "{check:?}");
        }
    }
}
