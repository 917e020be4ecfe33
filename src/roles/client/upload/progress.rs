//! Where each file is: live bars on a terminal, a line a stage elsewhere. All of it on stderr.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{files, report::FileReport};
use crate::{
    api::messages::JobView,
    domain::{State, Status, Step},
    roles::client::render::printable,
};

const NAME_COLUMNS: usize = 24;
const TICK: Duration = Duration::from_millis(120);
/// Bars count in tenths of a percent.
const FULL: u64 = 1000;

/// All files' progress.
pub(super) struct Board {
    bars: Option<MultiProgress>,
    /// How many files have ended.
    total: Option<ProgressBar>,
}

impl Board {
    pub(super) fn new(files: usize) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        let total = bars.as_ref().filter(|_| files > 1).map(|bars| {
            let bar = ProgressBar::new(files as u64).with_message("files done");
            let bar = bars.add(bar.with_style(style("{pos} of {len} {msg}, {elapsed}")));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bars, total }
    }

    /// A line for the file at `path`, shown from its first stage on.
    pub(super) fn line(&self, path: &Path) -> Line {
        let name = printable(&files::name_of(path)).into_owned();
        let shown = match &self.bars {
            None => Shown::Lines { name, last: Arc::default() },
            Some(bars) => {
                let bar = ProgressBar::new(FULL).with_prefix(name).with_style(style(&format!(
                    "{{spinner}} {{prefix:{NAME_COLUMNS}!}} {{bar:16}} {{percent:>3}} %  {{wide_msg}}"
                )));
                let bar = match &self.total {
                    Some(total) => bars.insert_before(total, bar),
                    None => bars.add(bar),
                };
                bar.enable_steady_tick(TICK);
                Shown::Bar(bar)
            }
        };
        Line { shown, total: self.total.clone() }
    }

    /// Takes the bars away; the table says it all.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone has nothing to clear.
            drop(bars.clear());
        }
    }
}

/// A wrong template is a fault of this file, which a test would show; a bar without style still works.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_fault| ProgressStyle::default_bar())
}

/// One file's progress.
#[derive(Clone)]
pub(super) struct Line {
    shown: Shown,
    total: Option<ProgressBar>,
}

#[derive(Clone)]
enum Shown {
    Bar(ProgressBar),
    Lines { name: String, last: Arc<Mutex<String>> },
}

impl Line {
    /// The file is at `stage` now.
    pub(super) fn stage(&self, stage: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_message(printable(stage).into_owned()),
            Shown::Lines { name, last } => {
                // Counts within a stage are no change of stage.
                let stage = stage.split_once(" (").map_or(stage, |(stage, _)| stage);
                let Ok(mut last) = last.lock() else { return };
                if *last != stage {
                    stage.clone_into(&mut last);
                    write_line(&format!("{name}: {}", printable(stage)));
                }
            }
        }
    }

    /// The job is at `percent` of its way.
    pub(super) fn at(&self, percent: f64) {
        if let Shown::Bar(bar) = &self.shown {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
            bar.set_position((percent.clamp(0.0, 100.0) * 10.0) as u64);
        }
    }

    /// `sent` of `of` bytes have been read for the network.
    pub(super) fn sent(&self, sent: u64, of: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_position(sent.saturating_mul(FULL) / of.max(1));
        }
    }

    /// The file's way has ended.
    pub(super) fn end(&self, report: &FileReport) {
        match &self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines { .. } => self.stage(&report.status),
        }
        if let Some(total) = &self.total {
            total.inc(1);
        }
    }
}

fn write_line(line: &str) {
    // Progress that nobody can read is no reason to stop.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// What the job does now, in a word or two; counts follow in brackets.
pub(super) fn stage_of(job: &JobView) -> String {
    let status = job.known_status();
    // A server of another build may know more statuses.
    let doing = match status {
        Some(status) => doing(status),
        None => &job.status,
    };
    match job.known_state() {
        Some(State::Retryable) => {
            return format!("{doing} failed, to be tried again ({} tries so far)", job.retry_count);
        }
        Some(State::Queued) if job.started_at.is_none() => return "waiting for a worker".to_owned(),
        Some(State::Queued | State::Working | State::Done | State::Deadletter | State::Cancelled) | None => {}
    }
    match (job.progress.embedded, job.progress.chunks) {
        (Some(embedded), Some(chunks)) if chunks > 0 && status.and_then(Step::after) == Some(Step::Embed) => {
            format!("embedding ({embedded} of {chunks} passages)")
        }
        _ => doing.to_owned(),
    }
}

/// What follows after each checkpoint.
fn doing(status: Status) -> &'static str {
    match Step::after(status) {
        Some(Step::Parse) => "parsing",
        Some(Step::Collect) => "parsing elsewhere",
        Some(Step::Validate) => "checking the text",
        Some(Step::Chunk) => "cutting",
        Some(Step::Embed) => "embedding",
        Some(Step::Finish) => "last check",
        None => status.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, state: &str, started: bool) -> JobView {
        serde_json::from_value(serde_json::json!({
            "job_id": uuid::Uuid::nil(), "document_id": uuid::Uuid::nil(), "filename": "a.pdf", "status": status,
            "state": state, "terminal": false, "retry_count": 2,
            "progress": { "stage_pct": 0.0, "total_pct": 12.4, "chunks": 8, "embedded": 3 }, "cost_cents": 0.0,
            "last_error": null, "priority": 0, "started_at": started.then_some("2026-11-22T01:02:03Z"),
            "created_at": "2026-11-22T01:02:03Z", "updated_at": "2026-11-22T01:02:04Z"
        }))
        .unwrap()
    }

    #[test]
    fn every_status_of_the_pipeline_has_words() {
        for status in Status::ALL.iter().filter(|status| !status.is_terminal()) {
            assert_ne!(doing(*status), status.as_str());
        }
    }

    #[test]
    fn a_stage_tells_who_is_waited_for() {
        assert_eq!(stage_of(&job("uploaded", "queued", false)), "waiting for a worker");
        assert_eq!(stage_of(&job("embedding_in_progress", "working", true)), "embedding (3 of 8 passages)");
        assert!(stage_of(&job("uploaded", "retryable", true)).starts_with("parsing failed, to be tried again"));
    }

    #[test]
    fn the_templates_of_the_bars_are_well_formed() {
        for template in
            ["{pos} of {len} {msg}, {elapsed}", "{spinner} {prefix:32!} {bar:16} {percent:>3} %  {wide_msg}"]
        {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
