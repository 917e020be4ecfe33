//! `app upload`: uploads files and follows each until it is searchable.

pub(crate) mod files;
mod progress;
mod report;
mod uploader;

use std::{path::PathBuf, process::ExitCode};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{connect::connect, estimate, http::ApiClient, render};
use crate::args::UploadArgs;
use config::Sources;
use domain::build_info::BuildInfo;
use files::Input;
use progress::Progress;
use report::FileReport;
use uploader::Uploader;

/// The most files that are sent at the same time.
const MAX_UPLOADS: usize = 4;
/// The most files that are sent or followed at the same time; it bounds the requests to the API.
const MAX_FILES: usize = 16;

/// Uploads every file, follows each until it is searchable or has failed, and prints a table. A file that fails does
/// not stop the others.
///
/// # Errors
///
/// There is no API to ask, or stdout cannot be written. The failure of a file is in its row of the table.
pub async fn run(args: UploadArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let all_ok = upload(connect(sources, build)?, args, build).await?;
    Ok(if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the same with a given API. Returns whether every file succeeded.
///
/// # Errors
///
/// As [`run`].
pub async fn upload(api: ApiClient, args: UploadArgs, build: &BuildInfo) -> anyhow::Result<bool> {
    let inputs = files::list(&args.files);
    if args.replace.is_some() && inputs.len() != 1 {
        anyhow::bail!("--replace takes one file, and {} are named", inputs.len());
    }
    if args.dry_run {
        let files: Vec<PathBuf> = inputs.into_iter().map(Input::into_path).collect();
        return estimate::dry_run(&api, &files, args.ocr, args.json).await;
    }
    let progress = Progress::new(inputs.len());
    let uploader = Uploader {
        api,
        signed: ApiClient::without_token(build)?,
        uploads: Semaphore::new(MAX_UPLOADS),
        one_step: args.one_step,
        replace: args.replace,
        ocr: args.ocr,
        metadata: args.metadata,
        wait: !args.no_wait,
    };
    let uploader = &uploader;
    let bars = &progress;
    let mut reports: Vec<(usize, FileReport)> = stream::iter(inputs.into_iter().enumerate())
        .map(|(index, input)| async move {
            let report = match input {
                Input::File(path) => uploader.run(&path, bars.add_file(&path)).await,
                Input::Unreadable(path, why) => FileReport::failed(&path, "unreadable", why),
            };
            (index, report)
        })
        // Unordered, so that one slow document does not keep the next files from starting.
        .buffer_unordered(MAX_FILES)
        .collect()
        .await;
    reports.sort_by_key(|(index, _)| *index);
    let reports: Vec<FileReport> = reports.into_iter().map(|(_, report)| report).collect();
    progress.clear();
    if args.json {
        render::print_json(&reports)?;
    } else {
        render::print(&report::table(&reports))?;
        render::print(&report::kept(&reports))?;
    }
    Ok(reports.iter().all(|report| report.ok))
}
