//! What a file is: its content decides, its declared type is only held against it.

use file_format::FileFormat;

use super::{
    fault::{Fault, Named},
    office, pdf, text,
};
use crate::ports::FileKind;

/// A file's content, by its real type, ready for that type's parser.
#[derive(Debug)]
pub(super) enum Content {
    /// From the PDF header on.
    Pdf(Vec<u8>),
    /// An Office Open XML file.
    Office(FileKind, Vec<u8>),
    Html(String),
    Markdown(String),
    PlainText(String),
}

/// What the client says the file is.
#[derive(Debug)]
pub(super) struct Declared {
    by_mime: Option<Claim>,
    by_extension: Option<Claim>,
    /// Of the media type, for text that says nothing itself.
    charset: Option<String>,
}

/// A declared type that the content can contradict. Types that programs use for anything
/// (`application/octet-stream`, `application/zip`, `application/vnd.ms-excel` for CSV) claim nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim(FileKind);

impl Declared {
    pub(super) fn new(mime: &str, filename: &str) -> Self {
        let (essence, parameters) = mime.split_once(';').unwrap_or((mime, ""));
        Self {
            by_mime: Claim::of_mime(&essence.trim().to_ascii_lowercase()),
            by_extension: filename.rsplit_once('.').and_then(|(_, ext)| Claim::of_extension(&ext.to_ascii_lowercase())),
            charset: charset_of(parameters),
        }
    }

    fn claims(&self) -> impl Iterator<Item = FileKind> {
        self.by_mime.into_iter().chain(self.by_extension).map(|claim| claim.0)
    }

    fn is_pdf(&self) -> bool {
        self.claims().any(|kind| kind == FileKind::Pdf)
    }

    fn is_office(&self) -> bool {
        self.claims().any(is_office)
    }

    /// Refuses content of a kind that a claim contradicts. Text may be declared as any text.
    fn check(&self, real: FileKind) -> Result<(), Fault> {
        let contradicts = |claim: &FileKind| *claim != real && !(is_text(*claim) && is_text(real));
        self.claims().find(contradicts).map_or(Ok(()), |claim| Err(mismatch(claim, name_of(real))))
    }

    /// Refuses content that is nothing we read: as a contradiction where a type was claimed.
    fn refuse(&self, found: &str) -> Fault {
        self.claims().next().map_or_else(|| Fault::unsupported(found), |claim| mismatch(claim, found))
    }

    /// Which text this is: as declared by name, then by media type; HTML also by its own first words.
    fn text_kind(&self, text: &str) -> FileKind {
        let claim = [self.by_extension, self.by_mime].into_iter().flatten().map(|claim| claim.0);
        match claim.filter(|kind| *kind != FileKind::PlainText).find(|kind| is_text(*kind)) {
            Some(kind) => kind,
            None if text::begins_like_html(text) => FileKind::Html,
            None => FileKind::PlainText,
        }
    }
}

impl Claim {
    fn of_mime(essence: &str) -> Option<Self> {
        Some(Self(match essence {
            "application/pdf" | "application/x-pdf" => FileKind::Pdf,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => FileKind::Docx,
            "application/vnd.openxmlformats-officedocument.presentationml.presentation" => FileKind::Pptx,
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => FileKind::Xlsx,
            "text/html" | "application/xhtml+xml" => FileKind::Html,
            "text/markdown" | "text/x-markdown" => FileKind::Markdown,
            text if text.starts_with("text/") => FileKind::PlainText,
            _ => return None,
        }))
    }

    fn of_extension(extension: &str) -> Option<Self> {
        Some(Self(match extension {
            "pdf" => FileKind::Pdf,
            "docx" | "docm" | "dotx" => FileKind::Docx,
            "pptx" | "pptm" | "ppsx" => FileKind::Pptx,
            "xlsx" | "xlsm" => FileKind::Xlsx,
            "html" | "htm" | "xhtml" => FileKind::Html,
            "md" | "markdown" | "mkd" => FileKind::Markdown,
            "txt" | "text" | "log" | "csv" | "tsv" => FileKind::PlainText,
            _ => return None,
        }))
    }
}

/// Sorts a file by its content and holds its declared type against it.
pub(super) fn content(bytes: Vec<u8>, declared: &Declared) -> Result<Content, Fault> {
    if let Some(start) = pdf_start(&bytes, declared) {
        declared.check(FileKind::Pdf)?;
        return Ok(Content::Pdf(if start == 0 { bytes } else { bytes[start..].to_vec() }));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return zip_content(bytes, declared);
    }
    if bytes.starts_with(&COMPOUND_FILE) {
        return Err(compound_fault(&bytes, declared));
    }
    if bytes.starts_with(b"{\\rtf") || bytes.starts_with(b"%!PS") {
        return Err(declared.refuse(&found_name(&bytes)));
    }
    match text::decode(&bytes, declared.charset.as_deref()) {
        Some(text) => {
            let kind = declared.text_kind(&text);
            declared.check(kind)?;
            Ok(match kind {
                FileKind::Html => Content::Html(text),
                FileKind::Markdown => Content::Markdown(text),
                _ => Content::PlainText(text),
            })
        }
        None => Err(declared.refuse(&found_name(&bytes))),
    }
}

/// Where a PDF begins. Other bytes may come first only where the file claims to be a PDF.
fn pdf_start(bytes: &[u8], declared: &Declared) -> Option<usize> {
    let within = if declared.is_pdf() { pdf::HEADER_WITHIN_BYTES.min(bytes.len()) } else { 5.min(bytes.len()) };
    bytes[..within].windows(5).position(|window| window == b"%PDF-")
}

fn zip_content(bytes: Vec<u8>, declared: &Declared) -> Result<Content, Fault> {
    let kind = match office::open(&bytes) {
        Ok(archive) => office::kind_of(&archive),
        Err(fault) if declared.is_office() => return Err(fault),
        Err(_) => None,
    };
    let Some(kind) = kind else {
        return Err(declared.refuse(&found_name(&bytes)));
    };
    declared.check(kind)?;
    Ok(Content::Office(kind, bytes))
}

/// First bytes of OLE compound files: Office before 2007, and newer Office files with a password.
const COMPOUND_FILE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

fn compound_fault(bytes: &[u8], declared: &Declared) -> Fault {
    let encrypted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.windows(encrypted.len()).any(|window| window == encrypted) {
        return Fault::Encrypted;
    }
    if declared.is_pdf() || declared.claims().any(is_text) {
        return declared.refuse("an old Office file");
    }
    Fault::unsupported("in Office's format from before 2007 (save it as DOCX, PPTX or XLSX)")
}

fn found_name(bytes: &[u8]) -> String {
    match FileFormat::from_bytes(bytes) {
        FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty => {
            "binary data of no known type".into()
        }
        known => known.name().to_owned(),
    }
}

fn charset_of(parameters: &str) -> Option<String> {
    let charset = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    charset
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .next()
}

fn mismatch(declared: FileKind, found: &str) -> Fault {
    Fault::TypeMismatch { declared: Named::new(name_of(declared)), found: Named::new(found) }
}

fn is_text(kind: FileKind) -> bool {
    matches!(kind, FileKind::Html | FileKind::Markdown | FileKind::PlainText)
}

fn is_office(kind: FileKind) -> bool {
    matches!(kind, FileKind::Docx | FileKind::Pptx | FileKind::Xlsx)
}

fn name_of(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pdf => "a PDF",
        FileKind::Docx => "a Word document (DOCX)",
        FileKind::Pptx => "a PowerPoint presentation (PPTX)",
        FileKind::Xlsx => "an Excel workbook (XLSX)",
        FileKind::Html => "HTML",
        FileKind::Markdown => "Markdown",
        FileKind::PlainText => "plain text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Code;

    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

    fn found(bytes: &[u8], mime: &str, filename: &str) -> Result<FileKind, Fault> {
        content(bytes.to_vec(), &Declared::new(mime, filename)).map(|content| match content {
            Content::Pdf(_) => FileKind::Pdf,
            Content::Office(kind, _) => kind,
            Content::Html(_) => FileKind::Html,
            Content::Markdown(_) => FileKind::Markdown,
            Content::PlainText(_) => FileKind::PlainText,
        })
    }

    fn code(result: Result<FileKind, Fault>) -> Code {
        crate::domain::Failure::from(result.unwrap_err()).code
    }

    #[test]
    fn text_is_what_it_is_declared_to_be() {
        assert_eq!(found(b"# A", "text/markdown", "a"), Ok(FileKind::Markdown));
        assert_eq!(found(b"# A", "text/plain; charset=utf-8", "a.md"), Ok(FileKind::Markdown));
        assert_eq!(found(b"# A", "", "a.csv"), Ok(FileKind::PlainText));
        assert_eq!(found(b"<p>A", "text/html", "a"), Ok(FileKind::Html));
        assert_eq!(found(b"hello", "application/octet-stream", "no name"), Ok(FileKind::PlainText));
    }

    #[test]
    fn undeclared_html_is_known_by_its_first_words() {
        assert_eq!(found(b"\n <!-- hi --><!DocType html><p>A", "", ""), Ok(FileKind::Html));
        assert_eq!(found(b"the <html> tag", "", ""), Ok(FileKind::PlainText));
    }

    #[test]
    fn a_lie_about_the_type_is_refused() {
        assert_eq!(code(found(b"just text", DOCX, "letter.docx")), Code::TypeMismatch);
        assert_eq!(code(found(b"just text", "text/plain", "letter.docx")), Code::TypeMismatch);
        assert_eq!(code(found(b"%PDF-1.7\n", "text/html", "x")), Code::TypeMismatch);
        assert_eq!(code(found(PNG, "application/pdf", "x.pdf")), Code::TypeMismatch);
        let fault = found(PNG, "application/pdf", "x.pdf").unwrap_err();
        assert!(fault.to_string().contains("a PDF") && fault.to_string().contains("Portable Network"), "{fault}");
    }

    #[test]
    fn what_is_not_read_is_named() {
        let fault = found(PNG, "image/png", "x.png").unwrap_err();
        assert!(matches!(&fault, Fault::UnsupportedType { .. }), "{fault}");
        assert!(fault.to_string().contains("Portable Network Graphics"), "{fault}");
        assert_eq!(code(found(b"{\\rtf1 hello}", "", "x.rtf")), Code::UnsupportedType);
        assert_eq!(code(found(b"PK\x03\x04", "application/zip", "x.zip")), Code::UnsupportedType);
    }

    #[test]
    fn bytes_before_the_header_are_allowed_only_in_a_declared_pdf() {
        assert_eq!(found(b"junk\n%PDF-1.7\n", "application/pdf", "x.pdf"), Ok(FileKind::Pdf));
        assert_eq!(found(b"A file begins with %PDF-1.7.", "text/plain", "x.txt"), Ok(FileKind::PlainText));
    }

    #[test]
    fn half_a_word_document_ends_too_early() {
        assert_eq!(code(found(b"PK\x03\x04half", DOCX, "letter.docx")), Code::FileTruncated);
    }

    #[test]
    fn a_password_is_told_from_an_old_format() {
        let mut bytes = COMPOUND_FILE.to_vec();
        bytes.resize(600, 0);
        assert_eq!(code(found(&bytes, "", "old.doc")), Code::UnsupportedType);
        bytes.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(code(found(&bytes, DOCX, "secret.docx")), Code::FileEncrypted);
    }
}
