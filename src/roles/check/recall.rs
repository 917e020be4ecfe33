//! `--recall`: search measured as `app eval` does.

use std::path::PathBuf;

use check::{MeasureRecall, Recall};
use client::{
    args::Least,
    eval::{Gate, gate},
};
use config::Sources;
use domain::build_info::BuildInfo;

/// Asks the questions of a file, and compares with `least`.
pub fn measure(least: &[Least], sources: &Sources, build: &BuildInfo) -> MeasureRecall {
    let (least, sources, build) = (least.to_vec(), sources.clone(), build.clone());
    Box::new(move |file: PathBuf| {
        let (least, sources, build) = (least.clone(), sources.clone(), build.clone());
        Box::pin(async move {
            let measured = gate(&file, &least, &sources, &build).await;
            let Gate { questions, measured, missed } = measured.map_err(|error| format!("{error:#}"))?;
            Ok(Recall { measured: format!("{} over {questions} questions", measured.join(", ")), missed })
        })
    })
}
