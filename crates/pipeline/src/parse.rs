//! `uploaded` → `parsed`: turns the verified bytes into markdown.
//!
//! Doing it twice is harmless: each job has one key for its markdown, which the row names before the first byte is
//! written. Pages that OCR has read are stored as they come, and are not read again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{JobMemory, Pipeline, pages::Pages, remote::Reading, verify::Found};
use domain::{
    Code, Failure, Lease, Outcome, Status, Step, StepError,
    ports::{ParseJob, ParsedDocument},
    record::ReadingRecord,
};
use store::{
    jobs::{advance_job, finish_duplicate},
    ocr_pages::{delete_ocr_pages, list_ocr_pages},
    work::{WorkDocument, get_work_document, insert_partly_read},
};

/// How long a document waits for a worker that has what reads it.
const NO_LIBRARY_DELAY: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Parses as part of the step `done`: the collect step parses too if no remote parser has the document.
    pub(super) async fn parse(&self, done: Step, lease: &Lease, memory: &mut JobMemory) -> Result<Outcome, StepError> {
        let began = Instant::now();
        if finish_duplicate(&self.db, lease.fence).await? {
            return Ok(Outcome::Finished(Status::Duplicate));
        }
        let document = get_work_document(&self.db, lease.fence).await?;
        let file = match memory.file.take() {
            Some(file) => file,
            None => match self.find_bytes(lease, &document).await? {
                Found::Verified(file) => file,
                Found::NotYet(delay) => return Ok(Outcome::Snooze { code: Code::WaitingForUpload, delay }),
            },
        };
        let Some((parsed, pages)) = self.parse_here(done, lease, &document, &file).await? else {
            // The pages that were read are stored.
            memory.file = Some(file);
            return Ok(Outcome::Advanced(lease.status));
        };
        if let Some(remote) = &self.remote
            && let Some(kind) = remote.wants(&document, &parsed)
        {
            let reading = Reading { file: &file, kind, pages, done, began };
            return self.start_remote_parse(remote, lease, reading, memory).await;
        }
        // Another worker may have the library, or it may be fetched while this one runs.
        if let Err(failure) = &parsed
            && matches!(failure.code, Code::PdfLibraryMissing | Code::OcrLanguageMissing | Code::OcrEngineMissing)
        {
            tracing::warn!(error.code = failure.code.as_str(), "the document waits for another worker: {failure}");
            return Ok(Outcome::Snooze { code: failure.code, delay: NO_LIBRARY_DELAY });
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
        let target = self.target(lease, memory).await?;
        self.save_parsed(lease, target, parsed.kind.as_str(), &record, &parsed.markdown, &parsed.layout).await?;
        self.advance_parsed(lease, done, &record, began).await?;
        memory.markdown = Some(parsed.markdown);
        Ok(Outcome::Advanced(Status::Parsed))
    }

    /// Parses on this machine, and counts the pages, of which there is at least one; `None`: its time is up, and the pages that
    /// were read are stored.
    async fn parse_here(
        &self,
        step: Step,
        lease: &Lease,
        document: &WorkDocument,
        file: &Path,
    ) -> Result<Option<(Result<ParsedDocument, Failure>, u32)>, StepError> {
        let watch = Pages::new(&self.db, lease, step);
        let job = ParseJob {
            path: file,
            mime: &document.mime,
            filename: if document.type_stated { "" } else { &document.filename },
            limits: self.limits,
            // Where a remote parser is set, it reads the documents for which OCR was asked.
            ocr: document.ocr && self.remote.is_none(),
            known: list_ocr_pages(&self.db, lease.fence).await?,
            watch: &watch,
        };
        let parsed = self.parser.parse(job).await;
        let counted =
            parsed.as_ref().ok().and_then(Option::as_ref).map_or_else(|| watch.pages(), ParsedDocument::billed_pages);
        match watch.error() {
            Some(error) => Err(error),
            None => Ok(parsed.transpose().map(|parsed| (parsed, counted.max(1)))),
        }
    }

    /// Writes the checkpoint, and with it a warning if pages could not be read.
    async fn advance_parsed(
        &self,
        lease: &Lease,
        done: Step,
        record: &ReadingRecord,
        began: Instant,
    ) -> Result<(), StepError> {
        let progress = json!({ "pages": record.pages, "pages_read": record.pages });
        let warning = json!({ "pages": record.pages, "failed": record.failed, "message": record.notices.join(" ") });
        self.db
            .run_tx("advance_parsed", |tx| {
                let (progress, warning) = (&progress, &warning);
                Box::pin(async move {
                    advance_job(&tx, lease, done, Status::Parsed, progress, began.elapsed()).await?;
                    if record.ocr + record.empty > 0 {
                        delete_ocr_pages(&tx, lease.fence).await?;
                    }
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
