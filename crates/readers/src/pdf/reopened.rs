//! Opens the document a second time, through the parsing crate's lower layers, to correct pages that it read wrongly.
//!
//! Reading a page again costs up to half of the first reading, so [`glued`](super::glued) and
//! [`columns`](super::columns) do it only on pages that show a fault.

use std::{cell::OnceCell, collections::BTreeMap};

use unpdf::parser::backend::{PageId, PdfBackend, RawBackend};

use domain::ports::ParseLimits;

/// Because the document is in memory twice, it may take at most one part in this many of the memory limit.
const MEMORY_PARTS: u64 = 16;

/// The document, opened when a page is first asked for.
pub(super) struct Reopened<'a> {
    bytes: &'a [u8],
    document: OnceCell<Option<Document>>,
}

struct Document {
    backend: RawBackend,
    pages: BTreeMap<u32, PageId>,
}

impl<'a> Reopened<'a> {
    /// Opens nothing yet, and never opens a file that is too large for the memory limit.
    pub(super) fn new(bytes: &'a [u8], limits: &ParseLimits) -> Self {
        let document = OnceCell::new();
        if (bytes.len() as u64).saturating_mul(MEMORY_PARTS) > limits.memory_bytes {
            // The cell is empty, so this cannot fail.
            let _ = document.set(None);
        }
        Self { bytes, document }
    }

    /// The document and the page with this number, counted from 1.
    pub(super) fn page(&self, number: u32) -> Option<(&RawBackend, PageId)> {
        let document = self.document.get_or_init(|| open(self.bytes)).as_ref()?;
        Some((&document.backend, *document.pages.get(&number)?))
    }
}

fn open(bytes: &[u8]) -> Option<Document> {
    let backend = RawBackend::load_bytes_with_password(bytes, None).ok()?;
    let pages = backend.pages();
    Some(Document { backend, pages })
}
