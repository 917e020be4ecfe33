//! `app check`.

use std::process::ExitCode;

use serde_json::json;

use super::{
    client::{self, render},
    wiring::open_db,
};
use crate::{
    build_info::BuildInfo,
    checks::{CheckStatus, Finding, run_checks},
    cli::{CheckArgs, CheckOutput},
    config::{Config, Role, Sources},
};

/// Looks at everything and prints what it found. A faulty configuration is a finding, not a refusal to run.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn run(args: CheckArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let (config, faults) = Config::load_lenient(Role::Check, sources);
    client::run(async move {
        let db = open_db(&config).ok();
        let findings = run_checks(&config, &faults, db.as_ref()).await;
        let failed = findings.iter().any(|finding| finding.status == CheckStatus::Failed);
        match args.output {
            CheckOutput::Text => render::print(&text(&findings))?,
            CheckOutput::Json => render::print_json(&json!({
                "schema_version": 1,
                "ok": !failed,
                "environment": config.environment.as_str(),
                "version": build.version,
                "commit": build.commit,
                "branch": build.branch,
                "checks": findings,
            }))?,
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

fn text(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| {
            let mark = match finding.status {
                CheckStatus::Passed => "✔",
                CheckStatus::Warning => "!",
                CheckStatus::Failed => "✖",
                CheckStatus::Skipped => "-",
            };
            let mut line = format!("{mark} {:<11} {:>6} ms  {}\n", finding.id, finding.ms, finding.observed);
            if let Some(cause) = &finding.cause {
                line.push_str(&format!("    cause: {cause}\n"));
            }
            if let Some(fix) = &finding.fix {
                line.push_str(&format!("    fix:   {fix}\n"));
            }
            line
        })
        .collect()
}
