//! What a reader makes of a file, before it is rendered.

use super::{building::hyphens, render};
use domain::{
    document::{Document, Notice},
    layout::Layout,
};

/// A reader's result.
#[derive(Debug)]
pub enum Reading {
    /// Blocks, which are still to be rendered.
    Blocks(Document),
    /// Text that is markdown already.
    Markdown {
        /// The tidy text.
        text: String,
        /// Pages; 0 if the format has none.
        pages: u32,
    },
}

impl Reading {
    /// The tidy markdown, where its lines stand, the number of pages, and the notices.
    pub fn rendered(self) -> (String, Layout, u32, Vec<Notice>) {
        match self {
            Self::Markdown { text, pages } => (text, Layout::default(), pages, Vec::new()),
            Self::Blocks(mut document) => {
                hyphens::resolve(&mut document.blocks);
                let (text, layout) = render::laid_out(&document);
                (text, layout, document.pages, document.notices)
            }
        }
    }
}

impl From<Document> for Reading {
    fn from(document: Document) -> Self {
        Self::Blocks(document)
    }
}
