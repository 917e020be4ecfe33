//! What the child that reads a document tells its parent.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use domain::{document::Notice, ports::FileKind};

/// A line of the child. After [`Header::Parsed`] follow `bytes` bytes of markdown and `layout_bytes` of its layout as JSON, after
/// [`Header::Page`] `bytes` of the page's text, if it was read by OCR. All but pages end the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// The document is read.
    Parsed {
        /// What the file is.
        kind: FileKind,
        /// Its pages; 0 if the format has none.
        pages: u32,
        /// The length of the markdown.
        bytes: u64,
        /// The length of the layout.
        layout_bytes: u64,
        /// What its reader must know.
        notices: Vec<Notice>,
    },
    /// It can't be read.
    Failed(Fault),
    /// `read` of `pages` pages are read.
    Page {
        /// Pages read by now.
        read: u32,
        /// Pages of the file.
        pages: u32,
        /// The length of the text of page `read`.
        bytes: u64,
    },
}

/// `message` as one line.
pub fn to_line<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The child's side: tells that `read` of `pages` pages are read.
pub fn tell(read: u32, pages: u32) -> Result<(), Fault> {
    write_page(io::stdout().lock(), read, pages, &[]).map_err(|error| Fault::unavailable(&error.kind().to_string()))
}

/// The child's side: tells that page `read` of `pages` is read, and what OCR read on it, as JSON.
pub fn write_page(mut output: impl Write, read: u32, pages: u32, text: &[u8]) -> io::Result<()> {
    output.write_all(&to_line(&Header::Page { read, pages, bytes: text.len() as u64 })?)?;
    output.write_all(text)?;
    output.flush()
}
