//! All findings of one run, their verdict, and the JSON of `--output json`.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::finding::{CheckStatus, Finding};
use config::Environment;
use domain::build_info::BuildInfo;

/// Version of the JSON's shape (docs/check-output.schema.json). A new key does not change the version.
const SCHEMA_VERSION: u32 = 2;

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No finding counts as wrong.
    Passed,
    /// A finding counts as wrong.
    Failed,
    /// Everything that is wrong could go away by itself, and did not within `--wait`.
    NotReady,
    /// INT or TERM arrived before all checks had ended.
    Interrupted,
}

/// The number of findings by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Passed.
    pub passed: usize,
    /// With a warning.
    pub warnings: usize,
    /// Failed.
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
    /// Duration in milliseconds, including `--wait`.
    pub ms: u64,
    /// Whether warnings count as failures.
    pub strict: bool,
    /// Whether the time of `--wait` ran out.
    pub timed_out: bool,
    /// Whether INT or TERM arrived.
    pub interrupted: bool,
}

impl Report {
    /// The number of findings by status.
    pub fn summary(&self) -> Summary {
        let count = |status| self.findings.iter().filter(|finding| finding.status == status).count();
        Summary {
            passed: count(CheckStatus::Passed),
            warnings: count(CheckStatus::Warning),
            failed: count(CheckStatus::Failed),
            skipped: count(CheckStatus::Skipped),
        }
    }

    /// The findings that count as wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_failure() || (self.strict && finding.is_problem()))
    }

    /// The result.
    pub fn verdict(&self) -> Verdict {
        if self.interrupted {
            Verdict::Interrupted
        } else if self.problems().next().is_none() {
            Verdict::Passed
        } else if self.timed_out && self.may_pass() {
            Verdict::NotReady
        } else {
            Verdict::Failed
        }
    }

    /// Whether everything that is wrong could go away by itself.
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

/// One element of `checks`. Fields without a value are left out.
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

    fn report(causes: &[&'static Cause], strict: bool, timed_out: bool) -> Report {
        let finding = |cause: &&'static Cause| {
            Finding::new("database", "db.login", None, Duration::ZERO, Err(cause.seen("seen")))
        };
        let findings = causes.iter().map(finding).collect();
        Report { findings, started_at: OffsetDateTime::UNIX_EPOCH, ms: 0, strict, timed_out, interrupted: false }
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
