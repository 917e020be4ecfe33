//! `uploaded` → `parsed`: turns the verified bytes into markdown.
//!
//! Doing it twice is harmless: each job has one key for its markdown, which the row names before the first byte is
//! written.

use std::time::Instant;

use serde_json::json;

use super::{JobMemory, Pipeline, remote::Reading, verify::Found};
use domain::{Code, Lease, Outcome, Status, Step, StepError, ports::ParsedDocument};
use store::{
    jobs::{advance_job, finish_duplicate},
    work::get_work_document,
};

impl Pipeline {
    /// Parses as part of the step `done`: the collect step parses too if no remote parser has the document.
    pub(super) async fn parse(&self, done: Step, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        if finish_duplicate(&self.db, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let document = get_work_document(&self.db, lease.fence).await?;
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
        let ParsedDocument { markdown, pages, kind } = parsed.map_err(|failure| {
            if failure.code == Code::TypeMismatch { memory.mismatch(&document, failure) } else { failure.into() }
        })?;
        self.save_parsed(lease, kind.as_str(), self.parser.name(), pages, &markdown).await?;
        memory.markdown = Some(markdown);
        advance_job(&self.db, lease, done, Status::Parsed, &json!({ "pages": pages }), began.elapsed()).await?;
        Ok(Outcome::Advanced(Status::Parsed))
    }
}
