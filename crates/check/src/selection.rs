//! Which checks were asked for: `--only`, `--pre`, `--e2e`.

use super::{
    catalogue::{GROUPS, group_of},
    finding::Finding,
};

/// Groups that tell about a deployment that runs already.
const AFTER_DEPLOY: [&str; 4] = ["workers", "api", "self", "e2e"];
/// Groups that are looked at only when they are named.
const ON_REQUEST: [&str; 2] = ["self", "e2e"];
/// Groups that cannot do without the database.
const OF_DATABASE: [&str; 7] = ["network", "database", "schema", "environment", "queue", "workers", "e2e"];

/// Which checks to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    only: Vec<String>,
    pre: bool,
    e2e: bool,
}

impl Selection {
    /// `only`: ids or names of groups, all when empty; `pre`: leave out what only a running deployment can answer;
    /// `e2e`: send a document through.
    pub fn new(only: Vec<String>, pre: bool, e2e: bool) -> Self {
        Self { only, pre, e2e }
    }

    /// A name that `--only` takes.
    ///
    /// # Errors
    ///
    /// Any other; the text lists the groups.
    pub fn parse_name(name: &str) -> Result<String, String> {
        let known = GROUPS.iter().any(|group| group.name == name || group.checks.iter().any(|(id, _)| *id == name));
        if known {
            return Ok(name.to_owned());
        }
        let groups: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        Err(format!("there is no check of this name; groups are {}; docs/checks.md has the ids", groups.join(", ")))
    }

    /// Whether the check is to be looked at.
    pub fn wants(&self, id: &str) -> bool {
        let group = group_of(id);
        self.allows(group) && (self.only.is_empty() || self.only.iter().any(|name| name == id || name == group))
    }

    /// Whether any check of the group is.
    pub fn wants_group(&self, name: &str) -> bool {
        self.allows(name) && (self.only.is_empty() || self.only.iter().any(|one| one == name || group_of(one) == name))
    }

    fn allows(&self, group: &str) -> bool {
        let named = self.only.iter().any(|name| name == group || group_of(name) == group);
        let requested = named || (group == "e2e" && self.e2e) || !ON_REQUEST.contains(&group);
        requested && !(self.pre && AFTER_DEPLOY.contains(&group))
    }

    /// Whether only what can be known before the services run is looked at.
    pub(super) fn is_before_deploy(&self) -> bool {
        self.pre
    }

    pub(super) fn needs_database(&self) -> bool {
        OF_DATABASE.iter().any(|group| self.wants_group(group))
    }

    /// Keeps what was asked for, and each failure for which something of that could not be looked at.
    pub(super) fn keep(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let wanted = |finding: &Finding| self.wants(finding.id);
        let blockers: Vec<_> = findings.iter().filter(|f| wanted(f)).filter_map(|f| f.blocked_by).collect();
        let blocks = |finding: &Finding| finding.is_failure() && blockers.contains(&finding.id);
        findings.into_iter().filter(|finding| wanted(finding) || blocks(finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> Selection {
        Selection::new(names.iter().map(|name| (*name).to_owned()).collect(), false, false)
    }

    #[test]
    fn a_group_stands_for_its_checks_and_a_check_for_itself() {
        assert!(only(&["database"]).wants("db.version") && only(&["database"]).needs_database());
        assert!(only(&["db.version"]).wants("db.version") && !only(&["db.version"]).wants("db.clock"));
        assert!(only(&["db.version"]).wants_group("database") && !only(&["cfg.parse"]).needs_database());
    }

    #[test]
    fn before_a_deploy_nothing_is_asked_of_what_does_not_run_yet() {
        let pre = Selection::new(Vec::new(), true, false);
        assert!(pre.wants("db.schema") && !pre.wants("workers.alive"));
        assert!(Selection::default().wants("workers.alive"));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        assert!(Selection::parse_name("db.nothing").unwrap_err().contains("database"));
        assert_eq!(Selection::parse_name("database").unwrap(), "database");
    }
}
