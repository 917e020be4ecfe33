//! The report for a CI: JUnit's XML, a test suite a group, a test case a check.

use std::fmt::Write as _;

use super::title;
use check::{CheckStatus, Finding, GROUPS, Report, group_of};

/// The XML document. A warning is a failure only where warnings count (`--strict`), else it is in `system-out`.
pub(super) fn render(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failures = report.problems().count();
    // Writing to a String cannot fail.
    _ = writeln!(
        xml,
        "<testsuites name=\"app check\" tests=\"{}\" failures=\"{failures}\" time=\"{:.3}\">",
        report.findings.len(),
        std::time::Duration::from_millis(report.ms).as_secs_f64()
    );
    for group in GROUPS {
        let of_group: Vec<&Finding> = report.findings.iter().filter(|f| group_of(f.id) == group.name).collect();
        if !of_group.is_empty() {
            suite(&mut xml, group.name, &of_group, report.strict);
        }
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, name: &str, findings: &[&Finding], strict: bool) {
    let counts = |finding: &&&Finding| finding.is_failure() || (strict && finding.is_problem());
    let failures = findings.iter().filter(counts).count();
    let skipped = findings.iter().filter(|finding| finding.status == CheckStatus::Skipped).count();
    // Writing to a String cannot fail.
    _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
        findings.len()
    );
    for finding in findings {
        case(xml, name, finding, strict);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, group: &str, finding: &Finding, strict: bool) {
    let name = escape(&title(finding));
    let seconds = finding.took.as_secs_f64();
    _ = writeln!(xml, "    <testcase classname=\"{group}\" name=\"{name}\" time=\"{seconds:.3}\">");
    let observed = escape(&finding.observed);
    match finding.cause {
        Some(cause) => {
            let fix = escape(finding.fix.as_deref().unwrap_or_default());
            let body = format!("{observed}\n{}\nFix: {fix}", escape(cause.why));
            if finding.is_failure() || strict {
                _ = writeln!(xml, "      <failure type=\"{}\" message=\"{observed}\">{body}</failure>", cause.id());
            } else {
                _ = writeln!(xml, "      <system-out>warning {}: {body}</system-out>", cause.id());
            }
        }
        None if finding.status == CheckStatus::Skipped => {
            _ = writeln!(xml, "      <skipped message=\"{observed}\"/>");
        }
        None => _ = writeln!(xml, "      <system-out>{observed}</system-out>"),
    }
    xml.push_str("    </testcase>\n");
}

/// Text within XML 1.0, which has no way to write most control characters.
fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' => "&#10;".to_owned(),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "\u{fffd}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_attribute() {
        assert_eq!(escape("a\"b<c>&\u{1}\n"), "a&quot;b&lt;c&gt;&amp;\u{fffd}&#10;");
    }
}
