//! The report for a person: a line for each finding; below a problem, its meaning and what to do.

use std::{fmt::Write as _, time::Duration};

use super::title;
use check::{CheckStatus, Finding, Report, Verdict};
use domain::printable;

/// The findings, or those that are a problem, and the totals.
pub(super) fn render(report: &Report, only_problems: bool, coloured: bool) -> String {
    let shown: Vec<&Finding> =
        report.findings.iter().filter(|finding| !only_problems || finding.is_problem()).collect();
    let width = shown.iter().map(|finding| title(finding).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in shown {
        line(&mut text, finding, width, coloured);
    }
    totals(&mut text, report);
    text
}

fn line(text: &mut String, finding: &Finding, width: usize, coloured: bool) {
    let (mark, colour) = match finding.status {
        CheckStatus::Passed => ("✔", "32"),
        CheckStatus::Warning => ("!", "33"),
        CheckStatus::Failed => ("✖", "31"),
        CheckStatus::Skipped => ("-", "2"),
    };
    let mark = if coloured { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
    let took = match finding.status {
        CheckStatus::Skipped => "-".to_owned(),
        _ => format!("{} ms", finding.took.as_millis()),
    };
    // Writing to a String cannot fail.
    _ = writeln!(text, "{mark} {:<width$} {took:>8}  {}", title(finding), printable(&finding.observed));
    let Some(cause) = finding.cause else { return };
    if let Some(expected) = &finding.expected {
        _ = writeln!(text, "    expected: {}", printable(expected));
    }
    _ = writeln!(text, "    cause:    {} - {}", finding.cause_id().unwrap_or_default(), cause.why);
    if let Some(fix) = &finding.fix {
        _ = writeln!(text, "    fix:      {}", printable(fix));
    }
}

fn totals(text: &mut String, report: &Report) {
    let summary = report.summary();
    let verdict = match report.verdict() {
        Verdict::Passed if summary.warnings > 0 => "passed, with warnings",
        Verdict::Passed => "passed",
        Verdict::Failed if summary.failed == 0 => "failed: warnings count (--strict)",
        Verdict::Failed => "failed",
        Verdict::NotReady => "not ready in time",
        Verdict::Interrupted => "interrupted",
    };
    let counts = [
        (summary.passed, "passed"),
        (summary.warnings, "warnings"),
        (summary.failed, "failed"),
        (summary.skipped, "skipped"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let seconds = Duration::from_millis(report.ms).as_secs_f64();
    // Writing to a String cannot fail.
    _ = writeln!(text, "{verdict}: {} in {seconds:.1} s", counts.join(", "));
}
