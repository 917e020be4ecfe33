//! The record of a reading: how the pages of a document fared, and what its text does not hold. It quotes no document.

use serde::Serialize;

use crate::{
    document::{LeftOut, Notice, OcrEngine},
    markdown,
    ports::ParsedDocument,
};

/// The readers of this build. One more whenever documents come out better than before, so that they can be read again
/// (`app jobs retry --all --reader-before`). What has no version is of 1.
pub const READER_VERSION: u32 = 5;

/// How a document was read. `read`, `ocr`, `empty` and `failed` add up to `pages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadingRecord {
    /// What read it.
    pub reader: String,
    /// [`READER_VERSION`] when it was read.
    pub reader_version: u32,
    /// Pages, slides or sheets in the file; 0 if the format has none.
    pub pages: u32,
    /// Pages whose text was read from the file.
    pub read: u32,
    /// Pages whose text, or that of a picture on them, was read by OCR.
    pub ocr: u32,
    /// Pages without text.
    pub empty: u32,
    /// Pages that could not be read.
    pub failed: u32,
    /// What read pages by OCR, and which.
    pub by_ocr: Vec<ReadByOcr>,
    /// Why pages failed.
    pub failures: Vec<PageFailure>,
    /// What was left out.
    pub left_out: Vec<Left>,
    /// Whether the file ends too early.
    pub truncated: bool,
    /// The same in sentences.
    pub notices: Vec<String>,
}

/// Pages that one engine has read by OCR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadByOcr {
    /// The engine.
    pub engine: OcrEngine,
    /// How sure it is of their letters, 0 to 100.
    pub sure: u8,
    /// Their numbers, the first 100; none in a format without pages.
    pub pages: Vec<u32>,
    /// How many there are; in a format without pages, of pictures.
    pub count: u32,
}

/// Pages that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageFailure {
    /// `unreadable`; `picture`: they are pictures, and nothing here reads pictures; `ocr`: OCR could not read them.
    pub why: &'static str,
    /// Their numbers, the first 100.
    pub pages: Vec<u32>,
    /// How many there are.
    pub count: u32,
}

/// What was left out, by count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What it is.
    pub what: LeftOut,
    /// How many there are.
    pub count: u32,
}

impl ReadingRecord {
    /// The record of a document that `reader` has read from its file.
    pub fn new(reader: &str, document: &ParsedDocument) -> Self {
        let (mut failures, mut left_out, mut by_ocr, mut truncated) = (Vec::new(), Vec::new(), Vec::new(), false);
        for notice in &document.notices {
            let failure = |why, pages: &[u32], count| PageFailure { why, pages: pages.to_vec(), count };
            match notice {
                Notice::Truncated => truncated = true,
                Notice::PicturePages { pages, count } => failures.push(failure("picture", pages, *count)),
                Notice::FailedPages { pages, count } => failures.push(failure("unreadable", pages, *count)),
                Notice::OcrFailed { pages, count } => failures.push(failure("ocr", pages, *count)),
                Notice::OcrPages { engine, sure, pages, count } => {
                    by_ocr.push(ReadByOcr { engine: *engine, sure: *sure, pages: pages.clone(), count: *count });
                }
                Notice::OcrPictures { engine, sure, count } => {
                    by_ocr.push(ReadByOcr { engine: *engine, sure: *sure, pages: Vec::new(), count: *count });
                }
                // Its sentence stands among the notices.
                Notice::OcrLanguages { .. } => {}
                Notice::LeftOut { what, count } => left_out.push(Left { what: *what, count: *count }),
            }
        }
        let failed = failures.iter().map(|failure| failure.count).fold(0, u32::saturating_add).min(document.pages);
        let with_text = pages_with_text(&document.markdown).min(document.pages - failed);
        let ocr = by_ocr.iter().map(|by: &ReadByOcr| by.count).fold(0, u32::saturating_add).min(with_text);
        Self {
            reader: reader.to_owned(),
            reader_version: READER_VERSION,
            pages: document.pages,
            read: with_text - ocr,
            ocr,
            by_ocr,
            empty: document.pages - failed - with_text,
            failed,
            failures,
            left_out,
            truncated,
            notices: document.notices.iter().map(ToString::to_string).collect(),
        }
    }

    /// The record of a document of which `reader` has read pictures of `pages` pages.
    pub fn of_ocr(reader: &str, pages: u32, markdown: &str) -> Self {
        let ocr = pages_with_text(markdown).min(pages);
        Self {
            reader: reader.to_owned(),
            reader_version: READER_VERSION,
            pages,
            read: 0,
            ocr,
            empty: pages - ocr,
            failed: 0,
            by_ocr: Vec::new(),
            failures: Vec::new(),
            left_out: Vec::new(),
            truncated: false,
            notices: Vec::new(),
        }
    }
}

/// How many pages of parsed markdown hold a letter or a digit.
fn pages_with_text(text: &str) -> u32 {
    let (mut pages, mut open) = (0, false);
    for line in text.lines() {
        if markdown::is_page_marker(line) {
            open = true;
        } else if open && line.contains(char::is_alphanumeric) {
            (pages, open) = (pages + 1, false);
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, ports::FileKind};

    #[test]
    fn pages_add_up() {
        let document = ParsedDocument {
            markdown: "<!-- page 1 -->\n\na\nb\n\n<!-- page 2 -->\n\n---\n<!-- page 3 -->\n<!-- page 4 -->\nc\n<!-- page 5 -->\nd\n"
                .into(),
            pages: 5,
            kind: FileKind::Pdf,
            notices: vec![
                Notice::FailedPages { pages: vec![3], count: 1 },
                Notice::OcrPages { engine: OcrEngine::Tesseract, pages: vec![5], count: 1, sure: 93 },
                Notice::LeftOut { what: LeftOut::HiddenLayers, count: 2 },
            ],
            layout: Layout::default(),
        };
        let record = ReadingRecord::new("local", &document);
        assert_eq!((record.read, record.ocr, record.empty, record.failed), (2, 1, 1, 1));
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["failures"][0], serde_json::json!({ "why": "unreadable", "pages": [3], "count": 1 }));
        let by_ocr = serde_json::json!({ "engine": "tesseract", "sure": 93, "pages": [5], "count": 1 });
        assert_eq!(json["by_ocr"][0], by_ocr);
        assert_eq!(json["left_out"][0], serde_json::json!({ "what": "hidden_layers", "count": 2 }));
        assert_eq!(json["notices"][0], "1 page couldn't be read: 3.");
        let ocr = ReadingRecord::of_ocr("llamaparse", 2, "<!-- page 1 -->\na\n<!-- page 2 -->\n");
        assert_eq!((ocr.read, ocr.ocr, ocr.empty, ocr.failed), (0, 1, 1, 0));
    }
}
