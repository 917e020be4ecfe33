//! Watches a parse page by page: what OCR has read is committed, and a long parse stops after a while, so that other users'
//! documents come in between. The next round goes on behind the pages that are stored.

use std::{
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use domain::{
    Lease, Step, StepError,
    ports::{OcrPage, ParseWatch},
};
use pg::Db;
use store::{jobs::show_progress, ocr_pages::save_ocr_page};

/// How long a parse goes on with OCR before its job looks whether others wait: what it begins with again, a fetch and the pages
/// with text, then takes a few hundredths of it.
const ROUND: Duration = Duration::from_secs(15);
/// How often progress is written for pages that took no OCR.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Writes what is told of pages.
pub(super) struct Pages<'a> {
    db: &'a Db,
    lease: &'a Lease,
    step: Step,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    written: Instant,
    /// The first page of this round that was told.
    first: Option<u32>,
    /// How many there are.
    pages: u32,
    error: Option<StepError>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(db: &'a Db, lease: &'a Lease, step: Step) -> Self {
        let (began, written) = (Instant::now(), Instant::now());
        Self { db, lease, step, began, state: Mutex::new(State { written, first: None, pages: 0, error: None }) }
    }

    /// Why nothing more could be written.
    pub(super) fn error(self) -> Option<StepError> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).error
    }

    /// Pages of the document; 0: none was told of.
    pub(super) fn pages(&self) -> u32 {
        self.with(|state| state.pages)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn progress(&self, read: u32, pages: u32) -> Value {
        let first = self.with(|state| *state.first.get_or_insert(read));
        let per_second = f64::from(read.saturating_sub(first) + 1) / self.began.elapsed().as_secs_f64().max(0.001);
        json!({ "pages": pages, "pages_read": read, "pages_per_second": (per_second * 100.0).round() / 100.0 })
    }

    async fn write(&self, read: u32, pages: u32, ocr: Option<&OcrPage>) -> Result<(), StepError> {
        let progress = self.progress(read, pages);
        let (fence, status) = (self.lease.fence, self.lease.status);
        match ocr {
            Some(page) => save_ocr_page(self.db, fence, self.step, status, page, &progress).await?,
            // Pages with text are read again after a failure.
            None => show_progress(&self.db.get().await?, fence, self.step, status, &progress).await?,
        }
        Ok(())
    }
}

#[async_trait]
impl ParseWatch for Pages<'_> {
    async fn page(&self, read: u32, pages: u32, ocr: Option<OcrPage>) -> ControlFlow<()> {
        // Pages with text are counted with the next that is written.
        let is_due = self.with(|state| {
            state.pages = pages;
            state.written.elapsed() >= WRITE_EVERY
        });
        if ocr.is_none() && !is_due {
            return ControlFlow::Continue(());
        }
        let written = self.write(read, pages, ocr.as_ref()).await;
        self.with(|state| state.written = Instant::now());
        match written {
            Err(error) => {
                self.with(|state| state.error = Some(error));
                ControlFlow::Break(())
            }
            Ok(()) if ocr.is_some() && read < pages && self.began.elapsed() >= ROUND => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
        }
    }
}
