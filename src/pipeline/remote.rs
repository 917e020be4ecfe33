//! `uploaded` → `parse_queued` where a remote parser is to read the document, and which documents those are.
//!
//! Doing it twice costs money, so a row is written before the call: a run that finds one without an end says in the timeline
//! that the document may have been bought twice. Nothing else comes of it: the job waits for the newer of the two.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use time::OffsetDateTime;

use super::{JobMemory, Pipeline, parse::kind_name, validate::has_text};
use crate::{
    callback::CallbackKey,
    db::{
        jobs::advance_job,
        provider_calls::{CallEnd, accept_call, begin_call, end_call},
    },
    domain::{Failure, JobId, Lease, Outcome, Status, Step, StepError},
    ports::{Callback, FileKind, ParsedDocument, RemoteParser, StartFailed},
};

/// After the last answer is due, a webhook still counts. Source: ours; its sender tries again for a while.
const LATE: Duration = Duration::from_secs(3600);

/// A parser that is somebody else's service, and what it is for.
pub struct Remote {
    /// The service.
    pub parser: Arc<dyn RemoteParser>,
    /// Whether it reads every document that it can, or only those that cannot be read here or were uploaded with `ocr`.
    pub reads_all: bool,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// How it calls back; `None`: it is asked only.
    pub callbacks: Option<Callbacks>,
}

/// Where a remote parser calls us back.
pub struct Callbacks {
    /// The API's base path, at the address at which the provider reaches it.
    pub base: String,
    /// What URLs are made with.
    pub key: CallbackKey,
}

impl Remote {
    /// What the file is, where this parser is to read it. `local`: what came of reading it here, so that only a document
    /// that was found to be what it says, within its limits, ever leaves.
    pub(super) fn wants(&self, ocr: bool, local: &Result<ParsedDocument, Failure>) -> Option<FileKind> {
        match local {
            // Only of PDFs is it said that their pages are pictures.
            Err(failure) => (failure.code == "no_text_layer").then_some(FileKind::Pdf),
            Ok(document) => match document.kind {
                FileKind::Pdf | FileKind::Docx | FileKind::Pptx | FileKind::Xlsx => {
                    (self.reads_all || ocr || !has_text(&document.markdown)).then_some(document.kind)
                }
                FileKind::Html | FileKind::Markdown | FileKind::PlainText => None,
            },
        }
    }

    fn callback(&self, job: JobId) -> Option<Callback> {
        let callbacks = self.callbacks.as_ref()?;
        callbacks.key.callback(&callbacks.base, job, OffsetDateTime::now_utc() + self.patience + LATE)
    }
}

impl Pipeline {
    /// Hands the verified file to the remote parser. `done`: the step in hand.
    pub(super) async fn hand_over(
        &self,
        remote: &Remote,
        lease: &Lease,
        (file, kind): (&Path, FileKind),
        (done, began): (Step, Instant),
        memory: &mut JobMemory,
    ) -> Result<Outcome, StepError> {
        let (extension, mime) = wire_type(kind);
        // The name that the user gave it is nobody else's business.
        let file_id = remote.parser.upload(file, &format!("document.{extension}"), mime).await?;
        let (provider, kind) = (remote.parser.name(), kind_name(kind));
        let call_id = self
            .db
            .run_tx("begin_call", |tx| Box::pin(async move { begin_call(&tx, lease, provider, kind).await }))
            .await?;
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
                let (provider_job, progress) = (&provider_job, json!({}));
                Box::pin(async move {
                    accept_call(&tx, lease.fence, call_id, provider_job).await?;
                    advance_job(&tx, lease, done, Status::ParseQueued, &progress, began.elapsed()).await
                })
            })
            .await?;
        tracing::info!(provider, call.id = %call_id, "job {} is with {provider}", lease.fence.job_id);
        memory.handed_over = true;
        Ok(Outcome::Advanced(Status::ParseQueued))
    }

    pub(super) async fn end_call(&self, lease: &Lease, call_id: uuid::Uuid, end: CallEnd) -> Result<(), StepError> {
        let ended =
            self.db.run_tx("end_call", |tx| Box::pin(async move { end_call(&tx, lease.fence, call_id, end).await }));
        Ok(ended.await?)
    }
}

/// What a provider is told that a file is.
fn wire_type(kind: FileKind) -> (&'static str, &'static str) {
    const OFFICE: [&str; 3] = [
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ];
    match kind {
        FileKind::Pdf => ("pdf", "application/pdf"),
        FileKind::Docx => ("docx", OFFICE[0]),
        FileKind::Pptx => ("pptx", OFFICE[1]),
        FileKind::Xlsx => ("xlsx", OFFICE[2]),
        FileKind::Html => ("html", "text/html"),
        FileKind::Markdown => ("md", "text/markdown"),
        FileKind::PlainText => ("txt", "text/plain"),
    }
}
