//! The report for a CI system: JUnit's XML, with a test suite for each group and a test case for each finding.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::title;
use check::{CheckStatus, Finding, GROUPS, Report};

/// The XML document. A warning is a failure with `--strict`, else it is in `system-out`.
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let mut junit = quick_junit::Report::new("app check");
    junit.set_time(Duration::from_millis(report.ms));
    for group in &GROUPS {
        let findings: Vec<&Finding> = report.findings.iter().filter(|finding| finding.group == group.name).collect();
        if !findings.is_empty() {
            let mut suite = TestSuite::new(group.name);
            suite.add_test_cases(findings.into_iter().map(|finding| case(finding, report.strict)));
            junit.add_test_suite(suite);
        }
    }
    Ok(junit.to_string()?)
}

fn case(finding: &Finding, strict: bool) -> TestCase {
    let mut system_out = None;
    let status = match finding.cause_id().zip(finding.cause) {
        Some((id, cause)) => {
            let fix = finding.fix.as_deref().unwrap_or_default();
            let body = format!("{}\n{}\nFix: {fix}", finding.observed, cause.why);
            if finding.is_failure() || strict {
                let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
                failure.set_type(id).set_message(&*finding.observed).set_description(body);
                failure
            } else {
                system_out = Some(format!("warning {id}: {body}"));
                TestCaseStatus::success()
            }
        }
        None if finding.status == CheckStatus::Skipped => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(&*finding.observed);
            skipped
        }
        None => {
            system_out = Some(finding.observed.clone());
            TestCaseStatus::success()
        }
    };
    let mut case = TestCase::new(title(finding), status);
    case.set_classname(finding.group).set_time(finding.took);
    if let Some(text) = system_out {
        case.set_system_out(text);
    }
    case
}
