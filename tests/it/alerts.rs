//! The alert rules are valid, each is tested firing and silent, they use metrics that exist, and each has a runbook section.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    support::{db::TestDb, fleet::Fleet},
    watching::wait_until,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The text after `key: ` on each line that has it.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(": "))
}

fn alerts() -> BTreeSet<String> {
    values(&read("monitoring/alerts.yaml"), "alert").map(str::to_owned).collect()
}

fn promtool(args: &[&str]) {
    let tool = std::env::var("APP_PROMTOOL").expect("APP_PROMTOOL names promtool; scripts/test sets it");
    let output = Command::new(tool).args(args).current_dir(root().join("monitoring")).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {args:?}:\n{}", String::from_utf8_lossy(&printed));
}

#[test]
fn the_rules_and_the_example_configuration_are_valid() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["check", "config", "prometheus.yaml"]);
}

#[test]
fn each_alert_fires_on_its_fault_and_is_silent_without_it() {
    promtool(&["test", "rules", "alerts_test.yaml"]);
    let text = read("monitoring/alerts_test.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let tested = |name: &str, expects: &str| {
        lines.windows(2).any(|pair| pair[0] == format!("alertname: {name}") && pair[1] == expects)
    };
    let alerts = alerts();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for name in alerts {
        assert!(tested(&name, "exp_alerts:"), "no test in which {name} fires");
        assert!(tested(&name, "exp_alerts: []"), "no test in which {name} is silent");
    }
}

#[test]
fn each_alert_has_a_severity_a_summary_and_a_section_of_the_operations_page() {
    let rules = read("monitoring/alerts.yaml");
    let count = |key| values(&rules, key).count();
    assert_eq!(
        (count("alert"), count("severity"), count("summary")),
        (count("runbook"), count("runbook"), count("runbook"))
    );
    assert!(values(&rules, "severity").all(|severity| ["critical", "warning"].contains(&severity)));
    for (alert, runbook) in values(&rules, "alert").zip(values(&rules, "runbook")) {
        let (page, anchor) = runbook.split_once('#').unwrap();
        assert_eq!(anchor, alert.to_lowercase(), "{alert}");
        assert!(Path::new(page).is_relative());
        let heading = format!("### {alert}");
        assert!(read(page).lines().any(|line| line == heading), "{page} has no heading {heading:?}");
    }
}

#[tokio::test]
async fn every_sql_statement_in_the_watching_section_runs() {
    let test = TestDb::new().await;
    let page = read("docs/operations.md");
    let section = page.split_once("\n## Watching\n").unwrap().1.split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 7, "{blocks:?}");
    for sql in blocks {
        test.run(sql).await;
    }
}

/// Every word in the rules that has the form of an `app` metric, matchers included.
fn metrics_in(rules: &str) -> BTreeSet<String> {
    let code = rules.lines().filter(|line| !line.trim_start().starts_with(['#']) && !line.contains("summary:"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let metrics = words.filter(|word| ["app_", "upload_", "postgres_", "process_"].iter().any(|p| word.starts_with(p)));
    let base = |word: &str| {
        let suffix = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
        suffix.unwrap_or(word).to_owned()
    };
    metrics.map(base).collect()
}

fn types_in(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_in_a_rule_or_on_the_operations_page_is_exported() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let port = fleet.set_worker_port();
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let up = |_: u16, text: &str| text.contains("\napp_database_up 1\n");
    let api = types_in(&wait_until(&format!("{}/metrics", client.root), up).await);
    let worker = types_in(&wait_until(&format!("http://127.0.0.1:{port}/metrics"), up).await);
    let named = metrics_in(&read("monitoring/alerts.yaml"));
    assert!(named.len() >= 10, "{named:?}");
    // No alert may depend on scraping a worker, which is impossible on Render.
    let missing: Vec<_> = named.difference(&api).collect();
    assert!(missing.is_empty(), "the API's /metrics lacks {missing:?}");

    let documented = documented(&read("docs/operations.md"));
    let all: BTreeSet<_> = api.union(&worker).cloned().collect();
    let differ: Vec<_> = all.symmetric_difference(&documented).collect();
    assert!(differ.is_empty(), "docs/operations.md and /metrics differ in {differ:?}");
}

/// The metrics that the page's table lists in its first column.
fn documented(page: &str) -> BTreeSet<String> {
    let (_, table) = page.split_once("| metric | meaning |").expect("the page has a table of metrics");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.filter_map(|name| name.split('{').next()).map(str::to_owned).collect()
}
