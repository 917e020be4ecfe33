//! All checks, top down: the source of docs/checks.md and of the names that `--only` takes.

use std::{fmt::Write as _, str::FromStr};

use super::{
    check::{Check, ids},
    configuration,
    context::CheckOptions,
    database::{
        budget, environment, indexes, login, money, network, packed, queue, reembed, replica, schema, server,
        session_mode, settings, workers,
    },
    outside::{
        api, bucket, e2e, embeddings, keys, llamaparse, model, objects, ocr, own, pdf, project, recall, rerank,
        storage, webhook,
    },
};

/// A group of checks.
#[derive(Debug)]
pub struct Group {
    /// Its name, which `--only` takes.
    pub name: &'static str,
    /// In the order in which an early failure explains the later ones.
    pub checks: &'static [&'static Check],
    runs: Runs,
}

/// When the checks of a group run.
#[derive(Debug, Clone, Copy)]
enum Runs {
    /// Always, unless `--only` names others.
    Always,
    /// The same, but not with `--pre`: they need a running deployment.
    AfterDeploy,
    /// Only if `--only` names them.
    Named,
    /// Only with `--e2e`, or if `--only` names them.
    EndToEnd,
    /// Only with `--recall`, or if `--only` names them.
    Recall,
}

impl Group {
    const fn new(name: &'static str, runs: Runs, checks: &'static [&'static Check]) -> Self {
        Self { name, checks, runs }
    }

    /// Whether `options` ask for `check`, which belongs to this group.
    pub(super) fn wants(&self, check: &Check, options: &CheckOptions) -> bool {
        let named = options.only.iter().any(|CheckName(name)| *name == self.name || *name == check.id);
        let by_default = named || options.only.is_empty();
        match self.runs {
            Runs::Always => by_default,
            Runs::AfterDeploy => by_default && !options.pre,
            Runs::Named => named && !options.pre,
            Runs::EndToEnd => (named || options.e2e) && !options.pre,
            Runs::Recall => (named || options.recall.is_some()) && !options.pre,
        }
    }
}

/// All checks. Each one is after the checks that it needs.
pub static GROUPS: [Group; 15] = [
    Group::new(
        "configuration",
        Runs::Always,
        &[&configuration::SETTINGS, &configuration::PORT, &configuration::MEMORY, &configuration::DISK],
    ),
    Group::new(
        "network",
        Runs::Always,
        &[&network::NAME, &network::FAMILY, &network::PORT, &network::PROTOCOL, &login::ENCRYPTION],
    ),
    Group::new(
        "database",
        Runs::Always,
        &[
            &login::LOGIN,
            &server::VERSION,
            &server::WRITABLE,
            &session_mode::MODE,
            &session_mode::LISTEN,
            &budget::BUDGET,
            &server::EXTENSION,
            &settings::SETTINGS,
            &server::ROLE,
            &server::CLOCK,
            &server::OLDEST_TRANSACTION,
            &settings::SLOTS,
            &replica::REPLICA,
        ],
    ),
    Group::new(
        "schema",
        Runs::Always,
        &[
            &schema::MIGRATIONS,
            &schema::STATUSES,
            &schema::SHAPE,
            &schema::VECTORS,
            &schema::WORDS,
            &packed::PACKED,
            &reembed::REEMBED,
            &indexes::VACUUM,
            &indexes::PGVECTOR,
            &indexes::INDEXES,
        ],
    ),
    Group::new("environment", Runs::Always, &[&environment::STAMP]),
    Group::new("queue", Runs::Always, &[&queue::ROUND_TRIP, &queue::REFUSAL, &queue::BACKLOG]),
    Group::new(
        "storage",
        Runs::Always,
        &[&storage::READ_WRITE, &bucket::VERSIONS, &bucket::CORS, &objects::SAMPLE, &objects::DELETED],
    ),
    Group::new("auth", Runs::Always, &[&project::PROJECT, &keys::KEYS]),
    Group::new(
        "providers",
        Runs::Always,
        &[
            &model::MODEL,
            &embeddings::SERVICE,
            &pdf::LIBRARY,
            &ocr::ENGINE,
            &llamaparse::PARSER,
            &webhook::WEBHOOK,
            &rerank::RERANKER,
        ],
    ),
    Group::new("money", Runs::Always, &[&money::PRICES, &money::CAPS]),
    Group::new("workers", Runs::AfterDeploy, &[&workers::ALIVE, &workers::COMMIT, &workers::ENVIRONMENT]),
    Group::new("api", Runs::AfterDeploy, &[&api::REACH, &api::READY, &api::ENVIRONMENT, &api::COMMIT]),
    Group::new("self", Runs::Named, &[&own::ALIVE]),
    Group::new("e2e", Runs::EndToEnd, &[&e2e::DOCUMENT]),
    Group::new("search", Runs::Recall, &[&recall::RECALL]),
];

/// Each check with its group, top down.
pub(super) fn all() -> impl DoubleEndedIterator<Item = (&'static Group, &'static Check)> {
    GROUPS.iter().flat_map(|group| group.checks.iter().map(move |check| (group, *check)))
}

/// What is known of a group, a check or a cause (`db.login/wrong_password`), for people.
///
/// # Errors
///
/// There is no such id.
pub fn explain(id: &str) -> Result<String, String> {
    let (name, slug) = id.split_once('/').map_or((id, None), |(name, slug)| (name, Some(slug)));
    let mut text = String::new();
    for (group, check) in all().filter(|(group, check)| check.id == name || (group.name == name && slug.is_none())) {
        let causes: Vec<_> = check.causes.iter().filter(|cause| slug.is_none_or(|slug| cause.slug == slug)).collect();
        if causes.is_empty() {
            break;
        }
        let needs: Vec<_> = ids(check.needs).collect();
        let needs = if needs.is_empty() { String::new() } else { format!(" Needs {}.", needs.join(", ")) };
        // Writing to a String cannot fail.
        _ = writeln!(text, "{} (group {}): {}{needs}\n", check.id, group.name, check.verifies);
        for cause in causes {
            let may_pass = if cause.may_pass { "; may pass by itself" } else { "" };
            let fix = if cause.fix.is_empty() { "The finding says what to do." } else { cause.fix };
            _ = writeln!(
                text,
                "  {}/{} ({}{may_pass})\n    {}\n    {fix}\n",
                check.id, cause.slug, cause.severity, cause.why
            );
        }
    }
    match text.is_empty() {
        false => Ok(text.trim_end().to_owned()),
        true => Err("there is no group, check or cause with this id; docs/checks.md lists them".to_owned()),
    }
}

/// The name of a group or the id of a check, as `--only` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckName(&'static str);

impl FromStr for CheckName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || all().flat_map(|(group, check)| [group.name, check.id]);
        let groups = || GROUPS.iter().map(|group| group.name).collect::<Vec<_>>().join(", ");
        names().find(|name| *name == text).map(Self).ok_or_else(|| {
            format!("there is no check with this name; the groups are {}; docs/checks.md lists the ids", groups())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn wanted(only: &[&str], pre: bool) -> BTreeSet<&'static str> {
        let only = only.iter().map(|name| name.parse().unwrap()).collect();
        let options = CheckOptions { only, pre, ..CheckOptions::default() };
        all().filter(|(group, check)| group.wants(check, &options)).map(|(_, check)| check.id).collect()
    }

    #[test]
    fn a_group_stands_for_its_checks_and_a_check_for_itself() {
        assert!(wanted(&["database"], false).contains("db.version"));
        assert_eq!(wanted(&["db.version"], false), BTreeSet::from(["db.version"]));
    }

    #[test]
    fn before_a_deploy_the_checks_of_running_services_are_left_out() {
        assert!(wanted(&[], true).contains("db.schema") && !wanted(&[], true).contains("workers.alive"));
        assert!(wanted(&[], false).contains("workers.alive") && !wanted(&[], false).contains("self.alive"));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        assert!("db.nothing".parse::<CheckName>().unwrap_err().contains("database"));
        assert_eq!("database".parse(), Ok(CheckName("database")));
    }

    #[test]
    fn a_group_a_check_and_a_cause_can_be_explained() {
        let check = explain("db.extension").unwrap();
        assert!(
            check.starts_with("db.extension (group database): pgvector is installed. Needs db.version.\n"),
            "{check}"
        );
        assert!(
            check.contains("db.extension/not_created (error; may pass by itself)") && check.contains("app migrate")
        );
        let cause = explain("db.extension/missing").unwrap();
        assert!(cause.contains("pgvector") && !cause.contains("not_created"), "{cause}");
        assert!(explain("database").unwrap().contains("db.clock"));
        for unknown in ["db.nothing", "db.extension/nothing", "database/missing", ""] {
            assert!(explain(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn ids_are_unique_and_each_check_is_after_those_it_needs() {
        let mut ids = BTreeSet::new();
        for (_, check) in all() {
            assert!(check.earlier().all(|earlier| ids.contains(earlier)), "{check:?} needs a later check");
            assert!(ids.insert(check.id), "{check:?} is there twice");
            assert!(check.id.contains('.') && check.verifies.ends_with('.'), "{check:?}: {}", check.verifies);
            let slugs: BTreeSet<_> = check.causes.iter().map(|cause| cause.slug).collect();
            assert_eq!(slugs.len(), check.causes.len(), "{check:?} has a cause twice");
            assert!(check.causes.iter().all(|cause| cause.why.ends_with('.')), "{check:?}");
        }
    }

    /// The generated part of docs/checks.md: a section for each group, with a table of its causes.
    fn render_markdown() -> String {
        let mut page = String::new();
        for group in &GROUPS {
            // Writing to a String cannot fail.
            _ = writeln!(page, "\n## {}\n", group.name);
            for check in group.checks {
                _ = writeln!(page, "- `{}`: {}", check.id, check.verifies);
            }
            _ = writeln!(page, "\n| cause | severity | what it means |\n| --- | --- | --- |");
            for check in group.checks {
                for cause in check.causes {
                    let severity = cause.severity;
                    let may_pass = if cause.may_pass { ", may pass" } else { "" };
                    _ = writeln!(page, "| `{}/{}` | {severity}{may_pass} | {} |", check.id, cause.slug, cause.why);
                }
            }
        }
        page
    }

    #[test]
    fn docs_checks_lists_every_cause_of_app_check() {
        const MARKER: &str = "<!-- from the catalogue in crates/check; UPDATE_DOCS=1 writes it -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
        let page = fs::read_to_string(&path).unwrap();
        let (introduction, _) = page.split_once(MARKER).unwrap();
        let wanted = format!("{introduction}{MARKER}{}", render_markdown());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, wanted).unwrap();
        } else {
            assert!(page == wanted, "docs/checks.md is out of date: run this test once with UPDATE_DOCS=1");
        }
    }
}
