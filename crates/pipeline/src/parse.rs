//! `uploaded` → `parsed`: turns the verified bytes into markdown.
//!
//! Doing it twice is harmless: each job has one key for its markdown, which the row names before the first byte is
//! written.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{JobMemory, Pipeline, remote::Reading, verify::Found};
use domain::{Code, Failure, Lease, Outcome, Status, Step, StepError, record::ReadingRecord};
use store::{
    jobs::{advance_job, finish_duplicate},
    work::{get_work_document, insert_partly_read},
};

/// How long a PDF waits for a worker that can read it.
const NO_LIBRARY_DELAY: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Parses as part of the step `done`: the collect step parses too if no remote parser has the document.
    pub(super) async fn parse(&self, done: Step, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        if finish_duplicate(&self.db, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let document = get_work_document(&self.db, lease.fence).await?;
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
        // Another worker may have the library, or it may be fetched while this one runs.
        if matches!(&parsed, Err(failure) if failure.code == Code::PdfLibraryMissing) {
            return Ok(Outcome::Snooze { code: Code::PdfLibraryMissing, delay: NO_LIBRARY_DELAY });
        }
        let parsed = match parsed {
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
        let record = ReadingRecord::new(self.parser.name(), &parsed);
        self.save_parsed(lease, parsed.kind.as_str(), &record, &parsed.markdown, &parsed.layout).await?;
        self.advance_parsed(lease, done, &record, began).await?;
        memory.markdown = Some(parsed.markdown);
        Ok(Outcome::Advanced(Status::Parsed))
    }
    /// Writes the checkpoint, and with it a warning if pages could not be read.
    async fn advance_parsed(
        &self,
        lease: &Lease,
        done: Step,
        record: &ReadingRecord,
        began: Instant,
    ) -> Result<(), StepError> {
        let progress = json!({ "pages": record.pages });
        let warning = json!({ "pages": record.pages, "failed": record.failed, "message": record.notices.join(" ") });
        self.db
            .run_tx("advance_parsed", |tx| {
                let (progress, warning) = (&progress, &warning);
                Box::pin(async move {
                    advance_job(&tx, lease, done, Status::Parsed, progress, began.elapsed()).await?;
                    if record.failed > 0 {
                        insert_partly_read(&tx, lease.fence, warning).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}
