//! `app check`.

mod bundle;
mod dev;
mod junit;
mod recall;
mod text;

pub use dev::sources;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::wiring::{local_parser, model_to_check, open_store, parse_memory, reranker};
use crate::{
    cli::{CheckAction, CheckArgs, CheckOutput},
    shutdown,
};
use check::{Finding, Report, Setup, Surroundings, Verdict, get_surroundings, run_checks};
use client::render;
use config::{Config, Role, Sources, list_fingerprints};
use domain::build_info::BuildInfo;

/// Everything that is wrong could go away by itself, and did not within `--wait`.
const EXIT_NOT_READY: u8 = 3;
/// Between two rounds of `--wait`; a deploy takes minutes, a database's restart seconds.
const ROUND_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the checks and prints their findings. A faulty configuration is a finding, and does not stop the command.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn run(args: CheckArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    if let Some(CheckAction::Explain { explained }) = &args.action {
        render::print(explained)?;
        return Ok(ExitCode::SUCCESS);
    }
    let bundle = args.bundle.as_deref().map(bundle::create).transpose()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("couldn't start the runtime")?;
    let outcome = runtime.block_on(async {
        let stop = shutdown::listen().context("couldn't listen for signals")?;
        let (config, report, surroundings) = check(&args, sources, build, &stop).await;
        print(&args, &config, build, &report)?;
        if let Some((file, surroundings)) = bundle.zip(surroundings) {
            let settings = list_fingerprints(Role::Check, &dev::sources(sources));
            bundle::write(file, &report.to_json(config.environment, build), &settings, &surroundings)?;
        }
        Ok(match report.verdict() {
            // The checks that were not run have not passed.
            _ if stop.is_cancelled() => ExitCode::FAILURE,
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Failed | Verdict::Interrupted => ExitCode::FAILURE,
            Verdict::NotReady => ExitCode::from(EXIT_NOT_READY),
        })
    });
    // The process must not wait for a name lookup or a server that never answers.
    runtime.shutdown_background();
    outcome
}

/// Repeats the checks until nothing is wrong, something cannot go away by itself, the time is over, or `stop`.
async fn check(
    args: &CheckArgs,
    sources: &Sources,
    build: &BuildInfo,
    stop: &CancellationToken,
) -> (Config, Report, Option<Surroundings>) {
    let (began, started_at) = (Instant::now(), OffsetDateTime::now_utc());
    let (config, faults) = dev::load(sources);
    let setup = Setup {
        config: &config,
        faults: &faults,
        build,
        options: &args.options,
        store: open_store(&config.storage).map_err(|error| format!("{error:#}")),
        model: model_to_check(&config),
        reranker: reranker(&config).map_err(|error| format!("{error:#}")),
        pdf_library: Box::new(|| local_parser(&config.parser).pdf_library()),
        ocr: Box::new(|| local_parser(&config.parser).check_ocr()),
        recall: recall::measure(&args.at_least, sources, build),
        memory: parse_memory(&config),
        runtime: Handle::current(),
        stop,
    };
    let deadline = args.wait.map(|seconds| began + Duration::from_secs(seconds));
    let mut report =
        Report { findings: Vec::new(), started_at, ms: 0, strict: args.strict, timed_out: false, interrupted: false };
    loop {
        report.findings = run_checks(&setup).await;
        report.timed_out = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let is_worth_waiting = deadline.is_some() && report.verdict() == Verdict::Failed && report.may_pass();
        if report.timed_out || !is_worth_waiting || stop.is_cancelled() {
            break;
        }
        print_missing(&report);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(ROUND_INTERVAL) => {}
        }
    }
    report.interrupted = stop.is_cancelled();
    report.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let surroundings = match args.bundle {
        Some(_) => Some(get_surroundings(&setup).await),
        None => None,
    };
    drop(setup);
    (config, report, surroundings)
}

/// On stderr, so that a piped report stays valid.
fn print_missing(report: &Report) {
    let missing: Vec<String> = report.problems().filter_map(Finding::cause_id).collect();
    anstream::eprintln!("waiting: {}", missing.join(", "));
}

fn print(args: &CheckArgs, config: &Config, build: &BuildInfo, report: &Report) -> anyhow::Result<()> {
    match args.output {
        CheckOutput::Text => render::print(&text::render(report, false, render::stdout_is_coloured()))?,
        CheckOutput::Short => render::print(&text::render(report, true, render::stdout_is_coloured()))?,
        CheckOutput::Json => render::print_json(&report.to_json(config.environment, build))?,
        CheckOutput::Junit => render::print(&junit::render(report)?)?,
    }
    Ok(())
}

/// The id, and the subject if there is one.
fn title(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} ({subject})", finding.id),
        None => finding.id.to_owned(),
    }
}
