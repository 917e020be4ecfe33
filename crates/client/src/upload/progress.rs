//! Shows the progress of each file on stderr: a bar on a terminal, elsewhere one line per stage.

use std::{io::Write, path::Path, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{files, report::FileReport};
use domain::{State, Status, Step, printable};
use messages::JobView;

const TOTAL: &str = "{pos} of {len} {msg}, {elapsed}";
const FILE: &str = "{spinner} {prefix:24!} {bar:16} {percent:>3} %  {wide_msg}";
const TICK: Duration = Duration::from_millis(120);
/// A bar's length: tenths of a percent.
const BAR_LENGTH: u64 = 1000;

/// The progress of all files.
pub(super) struct Progress {
    /// Hidden unless stderr is a terminal.
    bars: MultiProgress,
    /// Counts the files that have ended.
    total: ProgressBar,
}

impl Progress {
    pub(super) fn new(files: usize) -> Self {
        let bars = MultiProgress::new();
        let total = match files {
            1 => ProgressBar::hidden(),
            _ => bars.add(ProgressBar::new(files as u64).with_message("files done").with_style(style(TOTAL))),
        };
        tick(&total);
        Self { bars, total }
    }

    /// Adds the file at `path`.
    pub(super) fn add_file(&self, path: &Path) -> FileProgress {
        let name = printable(&files::name_of(path)).into_owned();
        let bar = ProgressBar::new(BAR_LENGTH).with_prefix(name).with_style(style(FILE));
        // Above the total.
        let bar = self.bars.insert_from_back(1, bar);
        tick(&bar);
        FileProgress { bar, total: self.total.clone() }
    }

    /// Removes the bars; the table replaces them.
    pub(super) fn clear(&self) {
        // An error means that the terminal is gone.
        drop(self.bars.clear());
    }
}

/// A ticking bar has a thread, which a hidden one does not need.
fn tick(bar: &ProgressBar) {
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
}

/// A test proves that the templates are valid; if one were not, the default bar would do.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_fault| ProgressStyle::default_bar())
}

/// The progress of one file.
#[derive(Clone)]
pub(super) struct FileProgress {
    bar: ProgressBar,
    total: ProgressBar,
}

impl FileProgress {
    /// Shows the stage that the file has reached; without bars, as a line.
    pub(super) fn set_stage(&self, stage: &str) {
        let stage = printable(stage).into_owned();
        if !self.bar.is_hidden() {
            return self.bar.set_message(stage);
        }
        // The counts in brackets change within a stage.
        let stage = stage.split_once(" (").map_or(&*stage, |(stage, _)| stage);
        if self.bar.message() != stage {
            self.bar.set_message(stage.to_owned());
            // A closed stderr is no reason to stop.
            drop(writeln!(std::io::stderr(), "{}: {stage}", self.bar.prefix()));
        }
    }

    /// Shows how much of the job is done.
    pub(super) fn set_percent(&self, percent: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
        self.bar.set_position((percent.clamp(0.0, 100.0) * 10.0) as u64);
    }

    /// Shows how many bytes are sent.
    pub(super) fn set_sent(&self, sent: u64, of: u64) {
        self.bar.set_position(sent.saturating_mul(BAR_LENGTH) / of.max(1));
    }

    /// Shows the end.
    pub(super) fn end(&self, report: &FileReport) {
        if self.bar.is_hidden() {
            self.set_stage(&report.status);
        }
        self.bar.finish_and_clear();
        self.total.inc(1);
    }
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
        Some(State::Queued) if job.upload_expires_at.is_some() => return "waiting for the bytes".to_owned(),
        Some(State::Queued) if job.started_at.is_none() => return "waiting for a worker".to_owned(),
        Some(State::Queued | State::Working | State::Done | State::Deadletter | State::Cancelled) | None => {}
    }
    if let (Some(read), Some(pages)) = (job.progress.pages_read, job.progress.pages)
        && pages > 0
        && status.and_then(Step::after) == Some(Step::Parse)
    {
        return format!("parsing ({read} of {pages} pages)");
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
        let announced =
            JobView { upload_expires_at: Some(time::OffsetDateTime::UNIX_EPOCH), ..job("uploaded", "queued", true) };
        assert_eq!(stage_of(&announced), "waiting for the bytes");
        assert_eq!(stage_of(&job("embedding_in_progress", "working", true)), "embedding (3 of 8 passages)");
        assert!(stage_of(&job("uploaded", "retryable", true)).starts_with("parsing failed, to be tried again"));
    }

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in [TOTAL, FILE] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
