//! Finds out what a file is. The content decides; a declared type that contradicts it is a fault.

use file_format::FileFormat;

use super::mail;
use domain::ports::FileKind;
use markup::{epub, text};
use pages::pdf;
use reading::{
    fault::{Fault, Named},
    package::Package,
};

/// A file's content by its real type, as the parser for that type takes it.
#[derive(Debug)]
pub(super) enum Content {
    /// The bytes from the PDF header on.
    Pdf(Vec<u8>),
    /// A document, presentation or workbook of an office program.
    Office(FileKind, Vec<u8>),
    /// Any other file that is no text as a whole.
    Bytes(FileKind, Vec<u8>),
    /// HTML, Markdown, a table of values or plain text.
    Text(FileKind, String),
}

/// What the client declared.
///
/// Types that programs use for anything (`application/octet-stream`, `application/zip`, `application/vnd.ms-excel` for
/// CSV) count as not declared.
#[derive(Debug)]
pub(super) struct Declared {
    by_mime: Option<FileKind>,
    by_extension: Option<FileKind>,
    /// The media type's charset, for text that does not declare its own.
    charset: Option<String>,
}

impl Declared {
    pub(super) fn new(mime: &str, filename: &str) -> Self {
        let (essence, parameters) = mime.split_once(';').unwrap_or((mime, ""));
        Self {
            by_mime: FileKind::from_media_type(essence.trim()).filter(|kind| *kind != FileKind::Xls),
            by_extension: filename.rsplit_once('.').and_then(|(_, extension)| FileKind::from_extension(extension)),
            charset: charset_of(parameters),
        }
    }

    fn kinds(&self) -> impl Iterator<Item = FileKind> {
        self.by_mime.into_iter().chain(self.by_extension)
    }

    /// Whether a kind was declared.
    pub(super) fn is_known(&self) -> bool {
        self.kinds().next().is_some()
    }

    fn is_pdf(&self) -> bool {
        self.kinds().any(|kind| kind == FileKind::Pdf)
    }

    fn is_zip(&self) -> bool {
        use FileKind::{Docx, Epub, Odp, Ods, Odt, Pptx, Xlsx};
        self.kinds().any(|kind| matches!(kind, Docx | Pptx | Xlsx | Odt | Odp | Ods | Epub))
    }

    fn is_page(&self) -> bool {
        self.kinds().any(|kind| kind == FileKind::Html)
    }

    /// Refuses content that contradicts a declared kind. Any text may be declared as any other text. Many programs name
    /// tables in HTML, in CSV or in the newer format `.xls`, and Excel opens them.
    fn check(&self, real: FileKind) -> Result<(), Fault> {
        let contradicts = |kind: &FileKind| {
            let as_excel = *kind == FileKind::Xls && (real == FileKind::Xlsx || real.is_text());
            *kind != real && !(kind.is_text() && real.is_text()) && !as_excel
        };
        self.kinds().find(contradicts).map_or(Ok(()), |declared| Err(mismatch(declared, real.description())))
    }

    /// The fault of content that cannot be read: a mismatch if a kind was declared.
    fn refuse(&self, found: &str) -> Fault {
        self.kinds().next().map_or_else(|| Fault::unsupported(found), |declared| mismatch(declared, found))
    }

    /// Whether the file is a mail: it is declared as one, or as nothing, and begins as one.
    fn is_mail(&self, bytes: &[u8]) -> bool {
        let declared = self.kinds().any(|kind| kind == FileKind::Eml);
        (declared || !self.is_known()) && mail::begins_like_mail(bytes, declared)
    }

    /// The kind of a text: as the extension declares, else the media type, else HTML if it begins as HTML does.
    fn text_kind(&self, text: &str) -> FileKind {
        let mut declared = [self.by_extension, self.by_mime].into_iter().flatten();
        match declared.find(|kind| kind.is_text() && !matches!(kind, FileKind::PlainText | FileKind::Eml)) {
            Some(kind) => kind,
            None if text::begins_like_html(text) => FileKind::Html,
            None => FileKind::PlainText,
        }
    }
}

/// Finds the content's type and checks it against the declared one.
pub(super) fn content(bytes: Vec<u8>, declared: &Declared) -> Result<Content, Fault> {
    if let Some(start) = pdf_start(&bytes, declared) {
        declared.check(FileKind::Pdf)?;
        return Ok(Content::Pdf(if start == 0 { bytes } else { bytes[start..].to_vec() }));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return zip_content(bytes, declared);
    }
    if bytes.starts_with(&COMPOUND_FILE) {
        if sheets::is_xls(&bytes) {
            declared.check(FileKind::Xls)?;
            return Ok(Content::Office(FileKind::Xls, bytes));
        }
        return compound_content(bytes, declared);
    }
    if let Some(kind) = picture_kind(&bytes) {
        declared.check(kind)?;
        return Ok(Content::Bytes(kind, bytes));
    }
    if bytes.starts_with(b"%!PS") {
        return Err(declared.refuse(&found_name(&bytes)));
    }
    if bytes.trim_ascii_start().starts_with(b"{\\rtf") && !declared.by_extension.is_some_and(FileKind::is_text) {
        declared.check(FileKind::Rtf)?;
        return Ok(Content::Bytes(FileKind::Rtf, bytes));
    }
    if declared.is_mail(&bytes) {
        declared.check(FileKind::Eml)?;
        return Ok(Content::Bytes(FileKind::Eml, bytes));
    }
    let begins = String::from_utf8_lossy(bytes.get(..PAGE_BEGINS_WITHIN_BYTES).unwrap_or(&bytes));
    let page = declared.is_page() || text::begins_like_html(&begins);
    match text::decode(&bytes, declared.charset.as_deref(), page) {
        Some(text) => {
            let kind = declared.text_kind(&text);
            declared.check(kind)?;
            Ok(Content::Text(kind, text))
        }
        None => Err(declared.refuse(&found_name(&bytes))),
    }
}

/// The kind of a picture, by its first bytes.
pub(super) fn picture_kind(bytes: &[u8]) -> Option<FileKind> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(FileKind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(FileKind::Jpeg),
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(FileKind::Tiff),
        _ => None,
    }
}

/// Where a PDF begins. Only in a file that is declared as PDF may other bytes come first.
fn pdf_start(bytes: &[u8], declared: &Declared) -> Option<usize> {
    let within = if declared.is_pdf() { pdf::HEADER_WITHIN_BYTES.min(bytes.len()) } else { 5.min(bytes.len()) };
    bytes[..within].windows(5).position(|window| window == b"%PDF-")
}

/// How far into a file its beginning as HTML is looked for, in bytes.
const PAGE_BEGINS_WITHIN_BYTES: usize = 4096;

fn zip_content(bytes: Vec<u8>, declared: &Declared) -> Result<Content, Fault> {
    let kind = match Package::open(&bytes).and_then(|mut package| kind_of(&mut package)) {
        Ok(kind) => kind,
        Err(fault) if declared.is_zip() || matches!(fault, Fault::ArchiveTooLarge { .. }) => return Err(fault),
        Err(_) => None,
    };
    let Some(kind) = kind else {
        return Err(declared.refuse(&found_name(&bytes)));
    };
    declared.check(kind)?;
    Ok(if kind == FileKind::Epub { Content::Bytes(kind, bytes) } else { Content::Office(kind, bytes) })
}

/// The kind of an archive; a book may lack the part that says so.
fn kind_of(package: &mut Package<'_>) -> Result<Option<FileKind>, Fault> {
    let book = package.has(epub::CONTAINER).then_some(FileKind::Epub);
    Ok(package.kind()?.or(book))
}

/// The first bytes of OLE compound files: Office before 2007, and newer Office files with a password.
const COMPOUND_FILE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

fn compound_content(bytes: Vec<u8>, declared: &Declared) -> Result<Content, Fault> {
    let holds = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.windows(name.len()).any(|window| window == name)
    };
    if holds("EncryptedPackage") {
        return Err(Fault::Encrypted);
    }
    if holds("__properties_version1.0") {
        declared.check(FileKind::Msg)?;
        return Ok(Content::Bytes(FileKind::Msg, bytes));
    }
    if declared.kinds().any(|kind| kind == FileKind::Xls) {
        return Err(Fault::Corrupt);
    }
    if declared.is_pdf() || declared.kinds().any(FileKind::is_text) {
        return Err(declared.refuse("an old Office file"));
    }
    let old = [
        ("WordDocument", "a Word document from before 2007 (save it as DOCX or PDF)"),
        ("PowerPoint Document", "a presentation from before 2007 (save it as PPTX or PDF)"),
        ("Workbook", "a workbook from before 2007 (save it as XLSX or CSV)"),
    ];
    let found = old.into_iter().find(|(stream, _)| holds(stream)).map(|(_, found)| found);
    Err(Fault::unsupported(found.unwrap_or("in Office's format from before 2007 (save it as DOCX, PPTX or XLSX)")))
}

fn found_name(bytes: &[u8]) -> String {
    match FileFormat::from_bytes(bytes) {
        FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty => {
            "binary data of no known type".into()
        }
        // Its first words look like one, the rest does not.
        known if known.media_type().starts_with("text/") => "text that is damaged, or binary data".into(),
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
    Fault::TypeMismatch { declared: Named::new(declared.description()), found: Named::new(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Code;

    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

    fn found(bytes: &[u8], mime: &str, filename: &str) -> Result<FileKind, Fault> {
        content(bytes.to_vec(), &Declared::new(mime, filename)).map(|content| match content {
            Content::Pdf(_) => FileKind::Pdf,
            Content::Office(kind, _) | Content::Bytes(kind, _) | Content::Text(kind, _) => kind,
        })
    }

    fn code(result: Result<FileKind, Fault>) -> Code {
        domain::Failure::from(result.unwrap_err()).code
    }

    #[test]
    fn the_kind_of_a_text_is_the_declared_one() {
        assert_eq!(found(b"# A", "text/markdown", "a"), Ok(FileKind::Markdown));
        assert_eq!(found(b"# A", "text/plain; charset=utf-8", "a.md"), Ok(FileKind::Markdown));
        assert_eq!(found(b"# A", "", "a.log"), Ok(FileKind::PlainText));
        assert_eq!(found(b"a,b", "text/csv", "a.tsv"), Ok(FileKind::Csv));
        let mail = b"Received: by x\r\nFrom: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n\r\nHello";
        assert_eq!(found(mail, "", "a.eml"), Ok(FileKind::Eml));
        assert_eq!(found(mail, "", "no name"), Ok(FileKind::Eml));
        assert_eq!(found(mail, "", "a.txt"), Ok(FileKind::PlainText));
        assert_eq!(found(b"no mail", "", "a.eml"), Ok(FileKind::PlainText));
        assert_eq!(found(b"<p>A", "text/html", "a"), Ok(FileKind::Html));
        assert_eq!(found(b"hello", "application/octet-stream", "no name"), Ok(FileKind::PlainText));
    }

    #[test]
    fn rich_text_is_known_by_its_beginning() {
        assert_eq!(found(b"{\\rtf1 hello}", "", "x.doc"), Ok(FileKind::Rtf));
        assert_eq!(found(b"{\\rtf1 hello}", "application/rtf", "x.rtf"), Ok(FileKind::Rtf));
        assert_eq!(found(b"{\\rtf1 hello}", "", "x.txt"), Ok(FileKind::PlainText));
    }

    #[test]
    fn damaged_html_is_not_refused_as_html() {
        let mut bytes = b"<!DOCTYPE html><html><p>".to_vec();
        bytes.extend((0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]));
        let fault = found(&bytes, "text/html", "a.html").unwrap_err().to_string();
        assert!(fault.contains("declared as HTML") && !fault.contains("Markup"), "{fault}");
    }

    #[test]
    fn undeclared_html_is_found_by_its_beginning() {
        assert_eq!(found(b"\n <!-- hi --><!DocType html><p>A", "", ""), Ok(FileKind::Html));
        assert_eq!(found(b"the <html> tag", "", ""), Ok(FileKind::PlainText));
    }

    #[test]
    fn a_wrong_declared_type_is_refused() {
        assert_eq!(code(found(b"just text", DOCX, "letter.docx")), Code::TypeMismatch);
        assert_eq!(code(found(b"just text", "text/plain", "letter.docx")), Code::TypeMismatch);
        assert_eq!(code(found(b"%PDF-1.7\n", "text/html", "x")), Code::TypeMismatch);
        assert_eq!(code(found(PNG, "application/pdf", "x.pdf")), Code::TypeMismatch);
        // Excel opens what many programs export under its old name.
        assert_eq!(found(b"<table><tr><td>1</table>", "application/vnd.ms-excel", "x.xls"), Ok(FileKind::PlainText));
        assert_eq!(found(b"a,b", "application/vnd.ms-excel", "x.csv"), Ok(FileKind::Csv));
        let fault = found(PNG, "application/pdf", "x.pdf").unwrap_err();
        assert!(fault.to_string().contains("a PDF") && fault.to_string().contains("a PNG picture"), "{fault}");
    }

    #[test]
    fn an_unsupported_type_is_named() {
        let fault = found(b"GIF89a\x01\0\x01\0\0\0\0;", "image/gif", "x.gif").unwrap_err();
        assert!(matches!(&fault, Fault::UnsupportedType { .. }), "{fault}");
        assert!(fault.to_string().contains("Graphics Interchange Format"), "{fault}");
        assert!(fault.to_string().contains("PDF, DOCX,"), "{fault}");
        assert_eq!(code(found(b"PK\x03\x04", "application/zip", "x.zip")), Code::UnsupportedType);
    }

    #[test]
    fn a_picture_is_known_by_its_beginning() {
        assert_eq!(found(PNG, "image/png", "x.png"), Ok(FileKind::Png));
        assert_eq!(found(b"\xff\xd8\xff\xe0", "", "scan"), Ok(FileKind::Jpeg));
        assert_eq!(found(b"MM\0*", "image/tiff", "x.tif"), Ok(FileKind::Tiff));
        assert_eq!(code(found(PNG, "image/jpeg", "x.jpg")), Code::TypeMismatch);
    }

    #[test]
    fn bytes_before_the_header_are_allowed_only_in_a_declared_pdf() {
        assert_eq!(found(b"junk\n%PDF-1.7\n", "application/pdf", "x.pdf"), Ok(FileKind::Pdf));
        assert_eq!(found(b"A file begins with %PDF-1.7.", "text/plain", "x.txt"), Ok(FileKind::PlainText));
    }

    #[test]
    fn half_a_word_document_is_truncated() {
        assert_eq!(code(found(b"PK\x03\x04half", DOCX, "letter.docx")), Code::FileTruncated);
    }

    #[test]
    fn an_encrypted_file_and_an_old_format_have_different_codes() {
        let mut bytes = COMPOUND_FILE.to_vec();
        bytes.resize(600, 0);
        assert_eq!(code(found(&bytes, "", "old.doc")), Code::UnsupportedType);
        assert_eq!(code(found(&bytes, "", "damaged.xls")), Code::FileCorrupt);
        bytes.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(code(found(&bytes, DOCX, "secret.docx")), Code::FileEncrypted);
    }
}
