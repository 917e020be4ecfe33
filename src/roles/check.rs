//! `app check`.

mod dev;
mod junit;
mod text;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::wiring::{model, open_store};
use crate::{
    cli::{CheckArgs, CheckOutput},
    shutdown,
};
use check::{CheckOptions, Finding, Report, Scene, Selection, Verdict, run_checks};
use client::render;
use config::{Config, Sources};
use domain::build_info::BuildInfo;

/// What is wrong could pass by itself, and did not within `--wait`.
const EXIT_NOT_READY: u8 = 3;
/// Between two rounds of `--wait`. Source: ours; a deploy takes minutes, a database's restart seconds.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Looks at everything and prints what it found. A faulty configuration is a finding, not a refusal to run.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn run(args: CheckArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("couldn't start the runtime")?;
    let outcome = runtime.block_on(async {
        let stop = shutdown::listen().context("couldn't listen for signals")?;
        let (config, report) = look(&args, sources, build, &stop).await;
        print(&args, &config, build, &report)?;
        Ok(match report.verdict() {
            // What was not looked at any more has not passed.
            _ if stop.is_cancelled() => ExitCode::FAILURE,
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Failed | Verdict::Interrupted => ExitCode::FAILURE,
            Verdict::NotReady => ExitCode::from(EXIT_NOT_READY),
        })
    });
    // A name that never resolves, or a server that never answers, must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// Rounds of checks until nothing is wrong, what is wrong cannot pass by itself, the wait is over, or `stop`.
async fn look(args: &CheckArgs, sources: &Sources, build: &BuildInfo, stop: &CancellationToken) -> (Config, Report) {
    let (began, started_at) = (Instant::now(), OffsetDateTime::now_utc());
    let (config, faults) = dev::load(sources);
    let options = options(args);
    let store = open_store(&config.storage).map_err(|error| format!("{error:#}"));
    let scene = Scene {
        config: &config,
        faults: &faults,
        build,
        options: &options,
        store,
        model: model(&config),
        runtime: Handle::current(),
        stop,
    };
    let patience = args.wait.map(Duration::from_secs);
    let mut report = loop {
        let findings = run_checks(&scene).await;
        let report = Report {
            findings,
            started_at,
            ms: 0,
            strict: args.strict,
            waited_in_vain: patience.is_some_and(|patience| began.elapsed() >= patience),
            interrupted: false,
        };
        let again = patience.is_some_and(|patience| began.elapsed() < patience)
            && report.verdict() == Verdict::Failed
            && report.may_pass();
        if !again || stop.is_cancelled() {
            break report;
        }
        say_what_is_missing(&report);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    };
    report.interrupted = stop.is_cancelled();
    report.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    drop(scene);
    (config, report)
}

fn options(args: &CheckArgs) -> CheckOptions {
    CheckOptions {
        selection: Selection::new(args.only.clone(), args.pre, args.e2e),
        api_url: args.api_url.clone(),
        expect_commit: args.expect_commit.clone(),
        expect_branch: args.expect_branch.clone(),
    }
}

/// On stderr, so that what is piped stays whole.
fn say_what_is_missing(report: &Report) {
    let missing: Vec<String> = report.problems().filter_map(|finding| finding.cause).map(|cause| cause.id()).collect();
    anstream::eprintln!("waiting: {}", missing.join(", "));
}

fn print(args: &CheckArgs, config: &Config, build: &BuildInfo, report: &Report) -> anyhow::Result<()> {
    match args.output {
        CheckOutput::Text => render::print(&text::whole(report, render::stdout_is_coloured()))?,
        CheckOutput::Short => render::print(&text::problems(report, render::stdout_is_coloured()))?,
        CheckOutput::Json => render::print_json(&report.to_json(config.environment, build))?,
        CheckOutput::Junit => render::print(&junit::render(report))?,
    }
    Ok(())
}

/// The id and, where there are several of the kind, the subject.
fn title(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} ({subject})", finding.id),
        None => finding.id.to_owned(),
    }
}
