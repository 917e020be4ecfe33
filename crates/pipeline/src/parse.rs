//! `uploaded` → `parsed`: turns the verified bytes into markdown.
//!
//! Doing it twice is harmless: each job has one key for its markdown, which the row names before the first byte is
//! written.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{JobMemory, Pipeline, remote::Reading, verify::Found};
use domain::{Code, Lease, Outcome, Status, Step, StepError, ports::ParsedDocument};
use store::{
    jobs::{advance_job, finish_duplicate},
    work::get_work_document,
};

/// How long a PDF waits for a worker that can read it.
const NO_LIBRARY_DELAY: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Parses as part of the step `done`: the collect step parses too if no remote parser has the document.
    pub(super) async fn parse(&self, done: Step, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        let conn = self.db.get().await?;
        if finish_duplicate(&conn, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let document = get_work_document(&conn, lease.fence).await?;
        drop(conn);
        let file = match self.find_bytes(&document, memory).await? {
            Found::Verified(file) => file,
            Found::NotYet(delay) => return Ok(Outcome::Snooze { code: Code::WaitingForUpload, delay }),
        };
        let parsed = self.parser.parse(&file, &document.mime, &document.filename, self.limits).await;
        if let Some(remote) = &self.remote
            && let Some(kind) = remote.wants(document.ocr, &parsed)
        {
            let reading = Reading { file: &file, kind, done, began };
            return self.start_remote_parse(remote, lease, reading, memory).await;
        }
        // Another worker may have the library, or it may be fetched while this one runs.
        if matches!(&parsed, Err(failure) if failure.code == Code::PdfLibraryMissing) {
            return Ok(Outcome::Snooze { code: Code::PdfLibraryMissing, delay: NO_LIBRARY_DELAY });
        }
        let ParsedDocument { markdown, pages, kind, notices } = parsed.map_err(|failure| {
            if failure.code == Code::TypeMismatch { memory.mismatch(&document, failure) } else { failure.into() }
        })?;
        self.save_parsed(lease, kind.as_str(), self.parser.name(), pages, &markdown).await?;
        memory.markdown = Some(markdown);
        let conn = self.db.get().await?;
        advance_job(
            &conn,
            lease,
            done,
            Status::Parsed,
            &json!({ "pages": pages, "notices": notices }),
            began.elapsed(),
        )
        .await?;
        Ok(Outcome::Advanced(Status::Parsed))
    }
}
