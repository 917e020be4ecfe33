//! `uploaded` → `parsed`: turns the verified bytes into markdown.
//!
//! Doing it twice is harmless: each job has one key for its markdown, which the row names before the first byte is
//! written.

use std::time::Instant;

use serde_json::json;

use super::{JobMemory, Pipeline, remote::Reading, verify::Found};
use domain::{Code, Failure, Lease, Outcome, Status, Step, StepError, ports::ParsedDocument};
use store::{
    jobs::{advance_job, finish_duplicate},
    work::get_work_document,
};

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
        let file = match self.find_bytes(lease, &document).await? {
            Found::Verified(file) => file,
            Found::NotYet(delay) => return Ok(Outcome::Snooze { code: Code::WaitingForUpload, delay }),
        };
        let filename = if document.type_stated { "" } else { &document.filename };
        let parsed = self.parser.parse(&file, &document.mime, filename, self.limits).await;
        if let Some(remote) = &self.remote
            && let Some(kind) = remote.wants(document.ocr, &parsed)
        {
            let reading = Reading { file: &file, kind, done, began };
            return self.start_remote_parse(remote, lease, reading, memory).await;
        }
        let ParsedDocument { markdown, pages, kind } = match parsed {
            Ok(parsed) => parsed,
            Err(failure) if failure.code == Code::TypeMismatch => {
                let kept = match self.mismatched_days {
                    0 => "Its bytes are kept.".to_owned(),
                    days => format!("Its bytes are kept for {} hours.", u64::from(days) * 24),
                };
                let message = format!("{} {kept}", failure.message);
                return Err(self.mismatch(lease, Failure { message, ..failure }).await);
            }
            Err(failure) => return Err(failure.into()),
        };
        self.save_parsed(lease, kind.as_str(), self.parser.name(), pages, &markdown).await?;
        memory.markdown = Some(markdown);
        let conn = self.db.get().await?;
        advance_job(&conn, lease, done, Status::Parsed, &json!({ "pages": pages }), began.elapsed()).await?;
        Ok(Outcome::Advanced(Status::Parsed))
    }
}
