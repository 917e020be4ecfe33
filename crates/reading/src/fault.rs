//! Why a parse failed, as data: the child names the fault, the parent writes the sentence.
//!
//! So a child that is controlled by a hostile document can name a wrong fault, but cannot put text into logs and
//! `last_error`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use domain::{Code, ErrorClass, Failure, ports::FileKind};

/// A few words for a sentence, for example “a PNG image”.
///
/// It is made safe to print wherever it comes from, also when it is read from the child's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Named(String);

impl Named {
    /// The longest name, in characters; the program's own names are shorter.
    const MAX_CHARS: usize = 80;

    /// `name` in a form that is safe to print: short, one line, plain ASCII.
    pub fn new(name: &str) -> Self {
        let plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
        Self(name.chars().filter(plain).take(Self::MAX_CHARS).collect())
    }
}

impl From<String> for Named {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a parse failed. The text of each is the failure's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the message of each says what it is")]
pub enum Fault {
    #[error("The file is empty (0 bytes). Upload it again from its source.")]
    Empty,
    #[error("The file ends too early: a part of it is missing. Upload it again from its source.")]
    Truncated,
    #[error("The file is damaged and can't be read. Open it where it was made, save it again and upload that.")]
    Corrupt,
    #[error("The file needs a password to open. Remove the password and upload it again.")]
    Encrypted,
    #[error(
        "The PDF holds next to no text ({letters} letters on {pages} pages): its pages are pictures, or blank, and nothing \
         here reads pictures. Install tesseract-ocr on the worker, or run `scripts/fetch ocr` there (OCR_ENGINE), and retry; or run OCR over the file."
    )]
    NoTextLayer { letters: u64, pages: u32 },
    #[error(
        "The file's text stands in XML entities that it declares itself, and these are not read: they can make a small file endless. Save it again where it was made, and upload that."
    )]
    Entities,
    #[error("OCR read {pages} {}, and found no text. Upload the right file, or a sharper picture.", if *pages == 1 { "page" } else { "pages" })]
    NothingOnPages { pages: u32 },
    #[error(
        "The file is {found}, and nothing here reads pictures. Install tesseract-ocr on the worker, or run `scripts/fetch ocr` there (OCR_ENGINE), and retry."
    )]
    NoOcr { found: Named },
    #[error(
        "OCR read none of the {pages} pages: each took more time or memory than a page may. Scan them at 150 to 300 dpi."
    )]
    OcrFailed { pages: u32 },
    #[error(
        "Tesseract has no data for OCR_LANGUAGES: {names}. Install it (Debian: tesseract-ocr-NAME), or change OCR_LANGUAGES."
    )]
    OcrLanguage { names: Named },
    #[error(
        "Tesseract, which OCR_ENGINE names, can't be used: {why}. Install tesseract-ocr with its language data, or set OCR_ENGINE=off."
    )]
    OcrEngine { why: Named },
    #[error(
        "The models of the built-in OCR, which OCR_ENGINE names, can't be used: {why}. Run `scripts/fetch ocr`, or set OCR_ENGINE=off."
    )]
    OcrModels { why: Named },
    #[error(
        "The text of the PDF can't be read: its fonts don't say which letters they draw. Install tesseract-ocr on the worker, \
         or run `scripts/fetch ocr` there (OCR_ENGINE), and retry; or run OCR over the file."
    )]
    UnreadableFonts,
    #[error(
        "The file was declared as {declared}, but its content is {found}. Upload the right file, or name its real type."
    )]
    TypeMismatch { declared: Named, found: Named },
    #[error("The file holds no text, only blanks. Upload the right file.")]
    Blank,
    #[error("The file is {found}, which can't be read here. Upload one of these: {}.", FileKind::listed())]
    UnsupportedType { found: Named },
    #[error("The document has {actual} pages; the limit is {limit}. Split it, or ask for a higher limit.")]
    PageLimit { limit: u32, actual: u32 },
    #[error("The file unpacks to more than {limit_bytes} bytes, the limit for an archive. Upload a smaller file.")]
    ArchiveTooLarge { limit_bytes: u64 },
    #[error("The document's text is longer than {limit_bytes} bytes, the limit. Split the document.")]
    OutputLimit { limit_bytes: u64 },
    #[error(
        "Parsing took more than {limit_ms} ms of processor time, the limit. Split the document, or save it again in a simpler form."
    )]
    Timeout { limit_ms: u64 },
    #[error("The parser did next to nothing for {limit_ms} ms: the machine is too busy. It will be tried again.")]
    Stalled { limit_ms: u64 },
    #[error(
        "Parsing needed more than {limit_bytes} bytes of memory, the limit. Split the document, or save it again in a simpler form."
    )]
    Memory { limit_bytes: u64 },
    #[error("The system killed the parser, most likely because the machine ran out of memory.")]
    Killed,
    #[error("The parser broke on this file ({how}). The file is probably damaged: save it again and upload that.")]
    Crashed { how: Named },
    #[error("The parser couldn't be started or couldn't read the file ({why}).")]
    Unavailable { why: Named },
    #[error("PDFium, which reads PDFs, can't be used: {why}. Run `scripts/fetch pdfium`, or set PDFIUM_LIBRARY to it.")]
    PdfLibrary { why: Named },
}

impl Fault {
    /// A crash of the parser.
    pub fn crashed(how: &str) -> Self {
        Self::Crashed { how: Named::new(how) }
    }

    /// The parser took more processor time than `limit`.
    pub fn timeout(limit: Duration) -> Self {
        Self::Timeout { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The parser did next to nothing for `limit` by the clock.
    pub fn stalled(limit: Duration) -> Self {
        Self::Stalled { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The parser could not begin with the document.
    pub fn unavailable(why: &str) -> Self {
        Self::Unavailable { why: Named::new(why) }
    }

    /// A type of file that is not supported.
    pub fn unsupported(found: &str) -> Self {
        Self::UnsupportedType { found: Named::new(found) }
    }

    /// A picture, and nothing to read it with.
    pub fn no_ocr(found: &str) -> Self {
        Self::NoOcr { found: Named::new(found) }
    }

    /// The engine lacks the data of languages.
    pub fn ocr_language(names: &str) -> Self {
        Self::OcrLanguage { names: Named::new(names) }
    }

    /// The library for PDFs cannot be used.
    pub fn pdf_library(why: &str) -> Self {
        Self::PdfLibrary { why: Named::new(why) }
    }

    /// Whether one page may have caused it, so that the others can be read without it.
    pub fn may_be_of_a_page(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Memory { .. } | Self::Crashed { .. })
    }

    fn code(&self) -> Code {
        match self {
            Self::Empty => Code::FileEmpty,
            Self::Blank | Self::Entities | Self::NothingOnPages { .. } => Code::TextEmpty,
            Self::Truncated => Code::FileTruncated,
            Self::Corrupt => Code::FileCorrupt,
            Self::Encrypted => Code::FileEncrypted,
            Self::NoTextLayer { .. } | Self::NoOcr { .. } | Self::UnreadableFonts => Code::NoTextLayer,
            Self::OcrFailed { .. } => Code::OcrFailed,
            Self::OcrLanguage { .. } => Code::OcrLanguageMissing,
            Self::OcrEngine { .. } | Self::OcrModels { .. } => Code::OcrEngineMissing,
            Self::TypeMismatch { .. } => Code::TypeMismatch,
            Self::UnsupportedType { .. } => Code::UnsupportedType,
            Self::PageLimit { .. } => Code::PageLimit,
            Self::ArchiveTooLarge { .. } => Code::ArchiveTooLarge,
            Self::OutputLimit { .. } => Code::ParseOutputLimit,
            Self::Timeout { .. } => Code::ParseTimeout,
            Self::Stalled { .. } => Code::ParseStalled,
            Self::Memory { .. } | Self::Killed => Code::ParseMemory,
            Self::Crashed { .. } => Code::ParseCrashed,
            Self::Unavailable { .. } => Code::ParserUnavailable,
            Self::PdfLibrary { .. } => Code::PdfLibraryMissing,
        }
    }

    /// A child that was killed may be the victim of another process, so another try may succeed.
    pub fn class(&self) -> ErrorClass {
        if *self == Self::Killed { ErrorClass::Transient } else { self.code().class() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::of_class(fault.class(), fault.code(), fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_the_child_is_one_short_plain_line() {
        let hostile = format!("secret\n\u{1b}[31m{}", "x".repeat(500));
        let fault: Fault = serde_json::from_value(serde_json::json!({ "crashed": { "how": hostile } })).unwrap();
        let failure = Failure::from(fault);
        assert!(failure.message.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{}", failure.message);
        assert!(failure.message.len() < 250, "{}", failure.message);
    }

    #[test]
    fn only_faults_of_the_machine_are_retried() {
        assert!(Failure::from(Fault::unavailable("no memory")).class.is_retryable());
        assert!(Failure::from(Fault::Killed).class.is_retryable());
        assert!(Failure::from(Fault::Stalled { limit_ms: 1 }).class.is_retryable());
        assert!(!Failure::from(Fault::Memory { limit_bytes: 1 }).class.is_retryable());
        assert!(!Failure::from(Fault::Timeout { limit_ms: 1 }).class.is_retryable());
    }

    #[test]
    fn a_limit_is_named_with_the_actual_value() {
        let failure = Failure::from(Fault::PageLimit { limit: 500, actual: 812 });
        assert_eq!(failure.code, Code::PageLimit);
        assert!(failure.message.contains("812") && failure.message.contains("500"), "{}", failure.message);
    }
}
