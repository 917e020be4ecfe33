//! All findings of one run, as `--output json` prints them, and what they come to.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::finding::{CheckStatus, Finding};
use config::Environment;
use domain::build_info::BuildInfo;

/// Version of the JSON's shape: docs/check-output.schema.json. Keys may be added within a version.
const SCHEMA_VERSION: u32 = 2;

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong that counts.
    Passed,
    /// Something is.
    Failed,
    /// What is wrong could pass by itself and did not within `--wait`.
    NotReady,
    /// INT or TERM came before everything was checked.
    Interrupted,
}

/// How many findings ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As they should be.
    pub passed: usize,
    /// A person should look.
    pub warnings: usize,
    /// Do not work.
    pub failed: usize,
    /// Not checked.
    pub skipped: usize,
}

/// All findings of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the catalogue.
    pub findings: Vec<Finding>,
    /// When the run began.
    pub started_at: OffsetDateTime,
    /// How long it took, in milliseconds, waiting included.
    pub ms: u64,
    /// Whether warnings count as failures.
    pub strict: bool,
    /// Whether `--wait` ran out.
    pub waited_in_vain: bool,
    /// Whether INT or TERM came.
    pub interrupted: bool,
}

impl Report {
    /// How many ended how.
    pub fn summary(&self) -> Summary {
        let count = |status| self.findings.iter().filter(|finding| finding.status == status).count();
        Summary {
            passed: count(CheckStatus::Passed),
            warnings: count(CheckStatus::Warning),
            failed: count(CheckStatus::Failed),
            skipped: count(CheckStatus::Skipped),
        }
    }

    /// What counts as wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_failure() || (self.strict && finding.is_problem()))
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        if self.interrupted {
            Verdict::Interrupted
        } else if self.problems().next().is_none() {
            Verdict::Passed
        } else if self.waited_in_vain && self.may_pass() {
            Verdict::NotReady
        } else {
            Verdict::Failed
        }
    }

    /// Whether all that is wrong could pass by itself.
    pub fn may_pass(&self) -> bool {
        self.problems().all(|finding| finding.cause.is_some_and(|cause| cause.may_pass))
    }

    /// The JSON document.
    pub fn to_json(&self, environment: Environment, build: &BuildInfo) -> Value {
        let checks: Vec<_> = self.findings.iter().map(to_json).collect();
        json!({
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict(),
            "environment": environment.as_str(),
            "version": build.version,
            "commit": build.commit,
            "branch": build.branch,
            "started_at": self.started_at.format(&time::format_description::well_known::Rfc3339).ok(),
            "ms": self.ms,
            "strict": self.strict,
            "summary": self.summary(),
            "checks": checks,
        })
    }
}

/// One element of `checks`; what there is nothing to say of is left out.
fn to_json(finding: &Finding) -> Value {
    let mut value = json!({
        "id": finding.id,
        "group": finding.group,
        "subject": finding.subject,
        "status": finding.status,
        "ms": u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX),
        "observed": finding.observed,
        "expected": finding.expected,
        "cause": finding.cause_id(),
        "why": finding.cause.map(|cause| cause.why),
        "fix": finding.fix,
    });
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cause::Cause;

    static BROKEN: Cause = Cause::error("broken", "It is broken.");
    static SLOW: Cause = Cause::error("slow", "It is slow.").may_pass();
    static ODD: Cause = Cause::warning("odd", "It is odd.");

    fn report(causes: &[&'static Cause], strict: bool, waited_in_vain: bool) -> Report {
        let finding = |cause: &&'static Cause| {
            Finding::new("database", "db.login", None, Duration::ZERO, Err(cause.seen("seen")))
        };
        let findings = causes.iter().map(finding).collect();
        Report { findings, started_at: OffsetDateTime::UNIX_EPOCH, ms: 0, strict, waited_in_vain, interrupted: false }
    }

    #[test]
    fn a_warning_counts_only_when_strict_and_never_hides_an_error() {
        assert_eq!(report(&[&ODD], false, false).verdict(), Verdict::Passed);
        assert_eq!(report(&[&ODD], true, false).verdict(), Verdict::Failed);
        assert_eq!(report(&[&ODD, &BROKEN], false, false).verdict(), Verdict::Failed);
    }

    #[test]
    fn not_ready_means_that_all_that_is_wrong_could_have_passed() {
        assert_eq!(report(&[&SLOW], false, true).verdict(), Verdict::NotReady);
        assert_eq!(report(&[&SLOW, &BROKEN], false, true).verdict(), Verdict::Failed);
        assert_eq!(report(&[&SLOW], false, false).verdict(), Verdict::Failed);
    }
}
