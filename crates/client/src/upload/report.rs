//! The result for each file.

use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use crate::{jobs::error_of, render};
use domain::{State, Status};
use messages::JobView;

/// One row of the table, one object of `--json`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct FileReport {
    /// The path as it was named, or found in a folder.
    pub(super) file: String,
    /// Whether the file was uploaded and, unless `--no-wait` is given, is searchable.
    pub(super) ok: bool,
    /// The job's status, or `already there`, `handed over`, `failed`.
    pub(super) status: String,
    pub(super) job_id: Option<Uuid>,
    document_id: Option<Uuid>,
    pages: Option<i64>,
    chunks: Option<i64>,
    /// Of a file that replaces another: chunks that kept their vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<i64>,
    /// The whole time, in seconds.
    pub(super) seconds: f64,
    code: Option<String>,
    error: Option<String>,
}

impl FileReport {
    fn new(path: &Path, ok: bool, status: &str) -> Self {
        Self { file: path.display().to_string(), ok, status: status.to_owned(), ..Self::default() }
    }

    pub(super) fn failed(path: &Path, code: &str, message: String) -> Self {
        Self { code: Some(code.to_owned()), error: Some(message), ..Self::new(path, false, "failed") }
    }

    /// The result of a file that was uploaded, or existed before, without following its job.
    pub(super) fn uploaded(path: &Path, status: &str, job_id: Option<Uuid>) -> Self {
        Self { job_id, ..Self::new(path, true, status) }
    }

    /// The result of a job that has ended.
    pub(super) fn of_job(path: &Path, job: &JobView) -> Self {
        let state = job.known_state();
        let ok = matches!(job.known_status(), Some(Status::Complete | Status::Duplicate)) && state == Some(State::Done);
        let (code, error) = error_of(job).filter(|_| !ok).unzip();
        let status = if ok || state == Some(State::Deadletter) { &job.status } else { &job.state };
        Self {
            job_id: Some(job.job_id),
            document_id: Some(job.document_id),
            pages: job.progress.pages,
            chunks: job.progress.chunks,
            kept: job.progress.kept,
            error,
            code,
            ..Self::new(path, ok, status)
        }
    }

    /// Marks a document that existed before this upload, if it is searchable.
    pub(super) fn of_existing_document(mut self) -> Self {
        if self.ok {
            "already there".clone_into(&mut self.status);
        }
        self
    }
}

/// The results as a table.
pub(super) fn table(reports: &[FileReport]) -> String {
    let count = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let rows = reports.iter().map(|report| {
        let error = match (&report.error, &report.code) {
            // An error of the API ends with the code; an error of a job does not contain it.
            (Some(error), Some(code)) if !error.contains(code.as_str()) => format!("{error} [{code}]"),
            (Some(error), _) => error.clone(),
            (None, _) => String::new(),
        };
        vec![
            report.file.clone(),
            report.status.clone(),
            count(report.pages),
            count(report.chunks),
            format!("{:.1}", report.seconds),
            error,
        ]
    });
    render::table(&["FILE", "STATUS", "PAGES", "CHUNKS", "SECONDS", "ERROR"], rows)
}

/// How many passages of a file that took another's place were not embedded again; empty if none did.
pub(super) fn kept(reports: &[FileReport]) -> String {
    let of_it = reports.iter().filter(|report| report.ok).filter_map(|report| Some((report.kept?, report.chunks?)));
    of_it.map(|(kept, chunks)| format!("{kept} of {chunks} passages kept their vectors\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, state: &str) -> JobView {
        serde_json::from_value(serde_json::json!({
            "job_id": Uuid::nil(), "document_id": Uuid::nil(), "filename": "a.pdf", "status": status, "state": state,
            "terminal": true, "retry_count": 0, "cost_cents": 0.0, "priority": 0,
            "progress": { "stage_pct": 0.0, "total_pct": 0.0, "pages": 3, "chunks": 9 },
            "last_error": { "code": "encrypted", "message": "It needs a password." },
            "created_at": "2026-11-22T01:02:03Z", "updated_at": "2026-11-22T01:02:04Z"
        }))
        .unwrap()
    }

    #[test]
    fn only_a_searchable_document_is_a_success() {
        let ok = |status, state| FileReport::of_job(Path::new("a.pdf"), &job(status, state)).ok;
        assert!(ok("complete", "done") && ok("duplicate", "done"));
        assert!(!ok("failed_parse", "deadletter") && !ok("parsed", "cancelled"));
    }

    #[test]
    fn a_failed_job_shows_message_and_code_and_a_cancelled_one_its_state() {
        let failed = FileReport::of_job(Path::new("a.pdf"), &job("failed_parse", "deadletter"));
        let cancelled = FileReport::of_job(Path::new("b.pdf"), &job("parsed", "cancelled"));
        let text = table(&[failed, cancelled]);
        assert!(text.contains("failed_parse") && text.contains("It needs a password. [encrypted]"), "{text}");
        assert!(text.lines().any(|line| line.contains("b.pdf") && line.contains("cancelled")), "{text}");
    }

    #[test]
    fn an_existing_document_is_marked_and_is_a_success() {
        let before = FileReport::of_job(Path::new("a.pdf"), &job("complete", "done")).of_existing_document();
        assert_eq!((before.ok, &*before.status), (true, "already there"));
        let failed = FileReport::of_job(Path::new("a.pdf"), &job("failed_parse", "deadletter")).of_existing_document();
        assert_eq!((failed.ok, &*failed.status), (false, "failed_parse"));
    }
}
