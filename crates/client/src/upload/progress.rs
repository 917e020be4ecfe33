//! Shows the progress of each file on stderr: a bar on a terminal, elsewhere one line per stage.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{files, report::FileReport};
use domain::{State, Status, Step, printable};
use messages::JobView;

const NAME_COLUMNS: usize = 24;
const TICK: Duration = Duration::from_millis(120);
/// A bar's length: tenths of a percent.
const BAR_LENGTH: u64 = 1000;

/// The progress of all files.
pub(super) struct Progress {
    bars: Option<MultiProgress>,
    /// Counts the files that have ended.
    total: Option<ProgressBar>,
}

impl Progress {
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

    /// Adds the file at `path`.
    pub(super) fn add_file(&self, path: &Path) -> FileProgress {
        let name = printable(&files::name_of(path)).into_owned();
        let output = match &self.bars {
            None => Output::Lines { name, last: Arc::default() },
            Some(bars) => {
                let bar = ProgressBar::new(BAR_LENGTH).with_prefix(name).with_style(style(&format!(
                    "{{spinner}} {{prefix:{NAME_COLUMNS}!}} {{bar:16}} {{percent:>3}} %  {{wide_msg}}"
                )));
                let bar = match &self.total {
                    Some(total) => bars.insert_before(total, bar),
                    None => bars.add(bar),
                };
                bar.enable_steady_tick(TICK);
                Output::Bar(bar)
            }
        };
        FileProgress { output, total: self.total.clone() }
    }

    /// Removes the bars; the table replaces them.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // An error means that the terminal is gone.
            drop(bars.clear());
        }
    }
}

/// A test proves that the templates are valid; if one were not, the default bar would do.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_fault| ProgressStyle::default_bar())
}

/// The progress of one file.
#[derive(Clone)]
pub(super) struct FileProgress {
    output: Output,
    total: Option<ProgressBar>,
}

#[derive(Clone)]
enum Output {
    Bar(ProgressBar),
    Lines { name: String, last: Arc<Mutex<String>> },
}

impl FileProgress {
    /// Shows the stage that the file has reached.
    pub(super) fn set_stage(&self, stage: &str) {
        match &self.output {
            Output::Bar(bar) => bar.set_message(printable(stage).into_owned()),
            Output::Lines { name, last } => {
                // The counts in brackets change within a stage.
                let stage = stage.split_once(" (").map_or(stage, |(stage, _)| stage);
                let Ok(mut last) = last.lock() else { return };
                if *last != stage {
                    stage.clone_into(&mut last);
                    write_line(&format!("{name}: {}", printable(stage)));
                }
            }
        }
    }

    /// Shows how much of the job is done.
    pub(super) fn set_percent(&self, percent: f64) {
        if let Output::Bar(bar) = &self.output {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
            bar.set_position((percent.clamp(0.0, 100.0) * 10.0) as u64);
        }
    }

    /// Shows how many bytes are sent.
    pub(super) fn set_sent(&self, sent: u64, of: u64) {
        if let Output::Bar(bar) = &self.output {
            bar.set_position(sent.saturating_mul(BAR_LENGTH) / of.max(1));
        }
    }

    /// Shows the end.
    pub(super) fn end(&self, report: &FileReport) {
        match &self.output {
            Output::Bar(bar) => bar.finish_and_clear(),
            Output::Lines { .. } => self.set_stage(&report.status),
        }
        if let Some(total) = &self.total {
            total.inc(1);
        }
    }
}

fn write_line(line: &str) {
    // A closed stderr is no reason to stop.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// What the job does now, in a few words; counts follow in brackets.
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

/// The work that follows each checkpoint.
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
    fn every_status_of_the_pipeline_has_a_stage() {
        for status in Status::ALL.iter().filter(|status| !status.is_terminal()) {
            assert_ne!(doing(*status), status.as_str());
        }
    }

    #[test]
    fn a_stage_says_what_the_job_waits_for() {
        assert_eq!(stage_of(&job("uploaded", "queued", false)), "waiting for a worker");
        assert_eq!(stage_of(&job("embedding_in_progress", "working", true)), "embedding (3 of 8 passages)");
        assert!(stage_of(&job("uploaded", "retryable", true)).starts_with("parsing failed, to be tried again"));
    }

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in
            ["{pos} of {len} {msg}, {elapsed}", "{spinner} {prefix:32!} {bar:16} {percent:>3} %  {wide_msg}"]
        {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
