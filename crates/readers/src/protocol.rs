//! The messages between parent and child: JSON lines, some with bytes behind them.
//!
//! The child reads the request from stdin, and the pages that were read by OCR before. It tells of pages while it reads them,
//! answers on stdout and ends. Stdin stays open until then; if it closes, the
//! parent is gone.

use std::{
    io::{self, BufRead, Read, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use domain::{
    document::Notice,
    layout::Layout,
    ports::{FileKind, ParseLimits},
};
use pages::ocr::{self, PageText};
use reading::{
    fault::Fault,
    progress::{Header, to_line},
};

/// The longest line that either side reads, in bytes.
pub(super) const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The longest layout that the parent reads, in bytes: several times what [`Layout`] makes at most.
pub(super) const MAX_LAYOUT_BYTES: u64 = 8 << 20;
/// What a page read by OCR may take, in bytes.
pub(super) const MAX_PAGE_BYTES: u64 = 8 << 20;

/// The parent's request. Behind it follow `known_bytes` bytes: the pages read by OCR before, as a JSON list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The absolute path of the file.
    pub(super) path: PathBuf,
    /// The declared media type. Hostile.
    pub(super) mime: String,
    /// The declared file name, or its end. Hostile; never used as a path.
    pub(super) filename: String,
    /// The library that opens PDFs; `None` if there is none.
    pub(super) pdf_library: Option<PathBuf>,
    pub(super) limits: ParseLimits,
    pub(super) ocr: ocr::Settings,
    pub(super) known_bytes: u64,
    /// Pages that crashed another child, or took too much time: they are left out.
    pub(super) skipped: Vec<u32>,
}

/// A parsed document inside the child.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) kind: FileKind,
    pub(super) pages: u32,
    pub(super) markdown: String,
    pub(super) layout: Layout,
    pub(super) notices: Vec<Notice>,
}

/// The child's side: reads the one request, and the pages that are known.
pub(super) fn read_request(mut input: impl BufRead) -> io::Result<(Request, Vec<PageText>)> {
    let mut line = Vec::new();
    (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let request: Request = serde_json::from_slice(&line)?;
    let known = match request.known_bytes {
        0 => Vec::new(),
        bytes => {
            let mut known = Vec::new();
            input.take(bytes).read_to_end(&mut known)?;
            // Pages of another build are read again.
            serde_json::from_slice(&known).unwrap_or_default()
        }
    };
    Ok((request, known))
}

/// The child's side: writes the one answer.
pub(super) fn write_answer(mut output: impl Write, answer: Result<Parsed, Fault>) -> io::Result<()> {
    let (header, markdown, layout) = match answer {
        Ok(Parsed { kind, pages, markdown, layout, notices }) => {
            let layout = if layout.is_empty() { Vec::new() } else { serde_json::to_vec(&layout)? };
            let (bytes, layout_bytes) = (markdown.len() as u64, layout.len() as u64);
            (Header::Parsed { kind, pages, bytes, layout_bytes, notices }, markdown, layout)
        }
        Err(fault) => (Header::Failed(fault), String::new(), Vec::new()),
    };
    output.write_all(&to_line(&header)?)?;
    output.write_all(markdown.as_bytes())?;
    output.write_all(&layout)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_end_of_line_is_refused() {
        assert!(read_request(&b"{\"path\":\"/x\""[..]).is_err());
        let endless = vec![b'x'; 2 * 64 * 1024];
        assert!(read_request(&endless[..]).is_err());
    }
}
