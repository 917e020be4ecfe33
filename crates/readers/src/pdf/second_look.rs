//! A second look at single pages, where what the parsing crate made of them shows a fault of its reading.
//!
//! It reads the page again through the crate's own lower layers. That costs up to half of the first look, so
//! [`glued`](super::glued) and [`folio`](super::folio) ask for it only on pages that show the fault.

use std::{cell::OnceCell, collections::BTreeMap};

use unpdf::parser::backend::{PageId, PdfBackend, RawBackend};

use super::Limits;

/// The document is held a second time, so it may take no more than this share of the memory limit.
const MAX_SHARE_OF_MEMORY: u64 = 16;

/// The document, opened again as soon as somebody asks.
pub(super) struct SecondLook<'a> {
    bytes: &'a [u8],
    document: OnceCell<Option<Reopened>>,
}

struct Reopened {
    backend: RawBackend,
    pages: BTreeMap<u32, PageId>,
}

impl<'a> SecondLook<'a> {
    /// Opens nothing yet, and never opens a file that is large for the memory limit.
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Self {
        let document = OnceCell::new();
        if (bytes.len() as u64).saturating_mul(MAX_SHARE_OF_MEMORY) > limits.memory_bytes {
            // A fresh cell takes its first value.
            let _ = document.set(None);
        }
        Self { bytes, document }
    }

    /// The document and the page with this number, counted from 1.
    pub(super) fn page(&self, number: u32) -> Option<(&RawBackend, PageId)> {
        let document = self.document.get_or_init(|| reopen(self.bytes)).as_ref()?;
        Some((&document.backend, *document.pages.get(&number)?))
    }
}

fn reopen(bytes: &[u8]) -> Option<Reopened> {
    let backend = RawBackend::load_bytes_with_password(bytes, None).ok()?;
    let pages = backend.pages();
    Some(Reopened { backend, pages })
}
