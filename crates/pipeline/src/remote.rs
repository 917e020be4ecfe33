//! `uploaded` → `parse_queued`: gives a document to the remote parser, and decides which documents it gets.
//!
//! Doing it twice costs money, so a row is written before the call. If a row without an end exists, the timeline says that
//! the document may have been paid for twice. Otherwise that is harmless: the job waits for the newer call.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use time::OffsetDateTime;

use super::{JobMemory, Pipeline, parsed::has_text, spend::stopped};
use domain::{
    Code, Failure, JobId, Lease, Outcome, Status, Step, StepError,
    callback::CallbackKey,
    ports::{Callback, FileKind, ParsedDocument, RemoteParser, StartFailed},
};
use store::{
    jobs::advance_job,
    ocr_pages::delete_ocr_pages,
    provider_calls::{CallEnd, ProviderCall, accept_call, begin_call, end_call},
    spending::find_reached_cap,
    work::WorkDocument,
};

/// How long after the remote parser's time is up a webhook is still accepted; its sender repeats it for a while.
const CALLBACK_GRACE: Duration = Duration::from_secs(3600);

/// Below this confidence, from 0 to 100, OCR's text has a wrong letter in most lines (measured: docs/performance.md).
const SURE: u8 = 75;

/// The remote parser and its settings.
pub struct Remote {
    /// The service.
    pub parser: Arc<dyn RemoteParser>,
    /// How thoroughly it reads, which decides its price.
    pub tier: String,
    /// Whether it reads every document that it can, or only those without a text layer and those uploaded with `ocr`.
    pub reads_all: bool,
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// How it reports the end of a job; `None`: it is only polled.
    pub callbacks: Option<Callbacks>,
}

/// The address for a remote parser's reports.
pub struct Callbacks {
    /// The API's address for the provider, with the base path.
    pub base: String,
    /// The key that signs the URLs.
    pub key: CallbackKey,
}

/// A file for the remote parser, and the step that it is read in.
pub(super) struct Reading<'a> {
    pub(super) file: &'a Path,
    pub(super) kind: FileKind,
    /// Its pages, as they were counted here, at least 1.
    pub(super) pages: u32,
    pub(super) done: Step,
    pub(super) began: Instant,
}

impl Remote {
    /// The file's kind, if this parser is to read it.
    pub(super) fn wants(&self, document: &WorkDocument, local: &Result<ParsedDocument, Failure>) -> Option<FileKind> {
        wanted_kind(self.reads_all, (&document.mime, document.ocr), local)
    }

    fn callback(&self, job: JobId) -> Option<Callback> {
        let callbacks = self.callbacks.as_ref()?;
        callbacks.key.callback(&callbacks.base, job, OffsetDateTime::now_utc() + self.timeout + CALLBACK_GRACE)
    }
}

/// The file's kind, if a remote parser is to read it. `local` is the local parser's result: only a document of the declared
/// type and within the limits is sent out. It gets what OCR here could not read, or is not sure of.
pub(super) fn wanted_kind(
    reads_all: bool,
    (mime, ocr): (&str, bool),
    local: &Result<ParsedDocument, Failure>,
) -> Option<FileKind> {
    match local {
        // Only PDFs and pictures have these codes, and the content was compared with what is declared.
        Err(failure) => {
            let declared = FileKind::from_media_type(mime).filter(|kind| kind.is_picture());
            matches!(failure.code, Code::NoTextLayer | Code::OcrFailed).then_some(declared.unwrap_or(FileKind::Pdf))
        }
        Ok(parsed) => {
            let is_unsure = || parsed.ocr_sureness().is_some_and(|sure| sure < SURE);
            let is_wanted = || reads_all || ocr || is_unsure() || !has_text(&parsed.markdown);
            (!parsed.kind.is_text() && is_wanted()).then_some(parsed.kind)
        }
    }
}

impl Pipeline {
    /// Sends the verified file to the remote parser and starts its job there.
    pub(super) async fn start_remote_parse(
        &self,
        remote: &Remote,
        lease: &Lease,
        Reading { file, kind, pages, done, began }: Reading<'_>,
        memory: &mut JobMemory,
    ) -> Result<Outcome, StepError> {
        // The user's file name stays private.
        let name = format!("document.{}", kind.extension());
        let (provider, model, caps) = (remote.parser.name(), remote.tier.as_str(), &self.money.caps);
        let cost = self.money.price_of_page(model)?.map(|price| price.times(pages.into()));
        let call = ProviderCall { provider, model, kind: kind.as_str(), pages, cost };
        // A file that a cap would stop is not sent. What is sent and not read costs nothing, so it is reserved behind.
        if let Some(reached) = find_reached_cap(&self.db, lease, caps, cost).await? {
            return stopped(&reached);
        }
        let file_id = remote.parser.upload(file, &name, kind.media_type()).await?;
        let begun = self
            .db
            .run_tx("begin_call", |tx| Box::pin(async move { begin_call(&tx, lease, caps, call).await }))
            .await?;
        let call_id = match begun {
            Ok(call_id) => call_id,
            Err(reached) => return stopped(&reached),
        };
        let callback = remote.callback(lease.fence.job_id);
        let provider_job = match remote.parser.start(&file_id, callback.as_ref()).await {
            Ok(provider_job) => provider_job,
            Err(StartFailed { failure, uncertain: true }) => return Err(failure.into()),
            Err(StartFailed { failure, uncertain: false }) => {
                self.end_call(lease, call_id, CallEnd::Refused).await?;
                return Err(failure.into());
            }
        };
        self.db
            .run_tx("accept_call", |tx| {
                let provider_job = &provider_job;
                let progress = json!({});
                Box::pin(async move {
                    accept_call(&tx, lease.fence, call_id, provider_job).await?;
                    delete_ocr_pages(&tx, lease.fence).await?;
                    advance_job(&tx, lease, done, Status::ParseQueued, &progress, began.elapsed()).await
                })
            })
            .await?;
        tracing::info!(provider, call.id = %call_id, "{provider} parses job {}", lease.fence.job_id);
        memory.started_remote_parse = true;
        Ok(Outcome::Advanced(Status::ParseQueued))
    }

    pub(super) async fn end_call(&self, lease: &Lease, call_id: uuid::Uuid, end: CallEnd) -> Result<(), StepError> {
        let ended =
            self.db.run_tx("end_call", |tx| Box::pin(async move { end_call(&tx, lease.fence, call_id, end).await }));
        Ok(ended.await?)
    }
}
