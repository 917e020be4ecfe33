//! `app upload`: many files, each taken from the disk to `complete`.

mod files;
mod journey;
mod progress;
mod report;

use std::{process::ExitCode, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{connect::connect, http::ApiClient, render};
use crate::args::UploadArgs;
use config::Sources;
use domain::build_info::BuildInfo;
use files::Found;
use journey::{Journey, Way};
use progress::Board;
use report::FileReport;

/// Files whose bytes are on their way at once.
const UPLOADS: usize = 4;
/// Files in hand at once, those included that wait for a worker: it bounds how much is asked of the API.
const IN_HAND: usize = 16;

/// Uploads every file, follows each until it is searchable or has failed, and prints what became of them. One file's
/// failure never stops another.
///
/// # Errors
///
/// Where no API is known, or stdout cannot be written. What befalls a file is in its report.
pub async fn run(args: UploadArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let all_well = upload(connect(sources, build)?, args, build).await?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same on an API that is known already; whether every file came to what was asked for.
///
/// # Errors
///
/// As [`run`].
pub async fn upload(api: ApiClient, args: UploadArgs, build: &BuildInfo) -> anyhow::Result<bool> {
    let found = files::expand(&args.files);
    let board = Board::new(found.len());
    let journey = Journey {
        api,
        signed: ApiClient::without_token(build)?,
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        way: if args.one_step { Way::OneStep } else { Way::TwoSteps },
        wait: !args.no_wait,
    };
    let (journey, shared) = (&journey, &board);
    let mut reports: Vec<(usize, FileReport)> = stream::iter(found.into_iter().enumerate())
        .map(|(place, found)| async move {
            let report = match found {
                Found::File(path) => journey.run(&path, shared.line(&path)).await,
                Found::Unreadable(path, why) => FileReport::failed(&path, "unreadable", why),
            };
            (place, report)
        })
        // Not in order: one slow document must not keep the next ones from starting.
        .buffer_unordered(IN_HAND)
        .collect()
        .await;
    reports.sort_by_key(|(place, _)| *place);
    let reports: Vec<FileReport> = reports.into_iter().map(|(_, report)| report).collect();
    board.clear();
    if args.json {
        render::print_json(&reports)?;
    } else {
        render::print(&report::table(&reports))?;
    }
    Ok(reports.iter().all(|report| report.ok))
}
