//! The kinds of files that can be read: the one table of their names, media types and extensions.

use serde::{Deserialize, Serialize};

/// What a file is by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// PDF.
    Pdf,
    /// Word (Office Open XML).
    Docx,
    /// PowerPoint (Office Open XML).
    Pptx,
    /// Excel (Office Open XML).
    Xlsx,
    /// A text in OpenDocument.
    Odt,
    /// A presentation in OpenDocument.
    Odp,
    /// Excel before 2007.
    Xls,
    /// An OpenDocument spreadsheet.
    Ods,
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
    /// Any other text.
    PlainText,
    /// Values parted by commas, semicolons, tabs or bars.
    Csv,
    /// Rich Text Format.
    Rtf,
    /// A book (EPUB).
    Epub,
    /// A mail as it was sent.
    Eml,
    /// A mail that Outlook saved.
    Msg,
    /// A picture of a page.
    Png,
    /// A photo of a page.
    Jpeg,
    /// Pictures of pages.
    Tiff,
}

struct Row {
    name: &'static str,
    description: &'static str,
    /// The first is the one to send.
    media_types: &'static [&'static str],
    /// The first is the one to send.
    extensions: &'static [&'static str],
}

const fn row(
    name: &'static str,
    description: &'static str,
    media_types: &'static [&'static str],
    extensions: &'static [&'static str],
) -> Row {
    Row { name, description, media_types, extensions }
}

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const ODT: &str = "application/vnd.oasis.opendocument.text";
const OTT: &str = "application/vnd.oasis.opendocument.text-template";
const ODP: &str = "application/vnd.oasis.opendocument.presentation";
const XLSM: &str = "application/vnd.ms-excel.sheet.macroenabled.12";
const XLTX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.template";
const OTP: &str = "application/vnd.oasis.opendocument.presentation-template";
const ODS: &str = "application/vnd.oasis.opendocument.spreadsheet";
const OTS: &str = "application/vnd.oasis.opendocument.spreadsheet-template";

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::Pdf,
        Self::Docx,
        Self::Pptx,
        Self::Xlsx,
        Self::Odt,
        Self::Odp,
        Self::Xls,
        Self::Ods,
        Self::Html,
        Self::Markdown,
        Self::PlainText,
        Self::Csv,
        Self::Rtf,
        Self::Epub,
        Self::Eml,
        Self::Msg,
        Self::Png,
        Self::Jpeg,
        Self::Tiff,
    ];

    const fn row(self) -> Row {
        match self {
            Self::Pdf => row("pdf", "a PDF", &["application/pdf", "application/x-pdf"], &["pdf"]),
            Self::Docx => row("docx", "a Word document (DOCX)", &[DOCX], &["docx", "docm", "dotx", "dotm"]),
            Self::Pptx => row(
                "pptx",
                "a PowerPoint presentation (PPTX)",
                &[PPTX],
                &["pptx", "pptm", "ppsx", "ppsm", "potx", "potm"],
            ),
            Self::Odt => row("odt", "an OpenDocument text (ODT)", &[ODT, OTT], &["odt", "ott"]),
            Self::Odp => row("odp", "an OpenDocument presentation (ODP)", &[ODP, OTP], &["odp", "otp"]),
            Self::Xlsx => {
                row("xlsx", "an Excel workbook (XLSX)", &[XLSX, XLSM, XLTX], &["xlsx", "xlsm", "xltx", "xltm"])
            }
            Self::Xls => row("xls", "an old Excel workbook (XLS)", &["application/vnd.ms-excel"], &["xls", "xlt"]),
            Self::Ods => row("ods", "an OpenDocument spreadsheet (ODS)", &[ODS, OTS], &["ods", "ots"]),
            Self::Html => row("html", "HTML", &["text/html", "application/xhtml+xml"], &["html", "htm", "xhtml"]),
            Self::Markdown => {
                row("markdown", "Markdown", &["text/markdown", "text/x-markdown"], &["md", "markdown", "mkd"])
            }
            Self::PlainText => row("plain_text", "plain text", &["text/plain"], &["txt", "text", "log"]),
            Self::Csv => row(
                "csv",
                "a table of values (CSV, TSV)",
                &["text/csv", "text/tab-separated-values"],
                &["csv", "tsv", "tab"],
            ),
            Self::Rtf => row("rtf", "rich text (RTF)", &["application/rtf", "text/rtf"], &["rtf"]),
            Self::Epub => row("epub", "a book (EPUB)", &["application/epub+zip"], &["epub"]),
            Self::Eml => row("eml", "a mail (EML)", &["message/rfc822"], &["eml", "mht", "mhtml"]),
            Self::Msg => row("msg", "an Outlook mail (MSG)", &["application/vnd.ms-outlook"], &["msg"]),
            Self::Png => row("png", "a PNG picture, read by OCR", &["image/png"], &["png"]),
            Self::Jpeg => {
                row("jpeg", "a JPEG picture, read by OCR", &["image/jpeg", "image/jpg"], &["jpg", "jpeg", "jpe"])
            }
            Self::Tiff => {
                row("tiff", "a TIFF picture of one or more pages, read by OCR", &["image/tiff"], &["tiff", "tif"])
            }
        }
    }

    /// The name in `documents.kind` and in JSON.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// A few words for a sentence: “a PDF”.
    pub fn description(self) -> &'static str {
        self.row().description
    }

    /// The media type to send.
    pub fn media_type(self) -> &'static str {
        self.row().media_types[0]
    }

    /// The usual extension, without a dot.
    pub fn extension(self) -> &'static str {
        self.row().extensions[0]
    }

    /// All extensions, without a dot; the usual one first.
    pub fn extensions(self) -> &'static [&'static str] {
        self.row().extensions
    }

    /// The extensions of all kinds for a sentence: “PDF, DOCX or TXT”.
    pub fn listed() -> String {
        let names = Self::ALL.map(|kind| kind.extension().to_uppercase());
        match names.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// The kind that a media type without parameters declares. Any unknown `text/…` is plain text.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let media_type = media_type.to_ascii_lowercase();
        let known = Self::ALL.into_iter().find(|kind| kind.row().media_types.contains(&&*media_type));
        known.or_else(|| media_type.starts_with("text/").then_some(Self::PlainText))
    }

    /// The kind that a file name's extension (without its dot) declares.
    pub fn from_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.row().extensions.contains(&&*extension))
    }

    /// Whether the file is a picture.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Tiff)
    }

    /// Whether the file is text itself. Only its name and media type tell one kind of text from another.
    pub fn is_text(self) -> bool {
        match self {
            Self::Html | Self::Markdown | Self::PlainText | Self::Csv | Self::Eml => true,
            Self::Pdf
            | Self::Docx
            | Self::Pptx
            | Self::Xlsx
            | Self::Odt
            | Self::Odp
            | Self::Xls
            | Self::Ods
            | Self::Rtf
            | Self::Epub
            | Self::Msg
            | Self::Png
            | Self::Jpeg
            | Self::Tiff => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileKind;

    #[test]
    fn every_kind_is_found_by_its_name_media_type_and_extension() {
        for kind in FileKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(FileKind::from_media_type(kind.media_type()), Some(kind));
            assert_eq!(FileKind::from_extension(&kind.extension().to_uppercase()), Some(kind));
        }
        assert_eq!(FileKind::from_media_type("text/x-c"), Some(FileKind::PlainText));
        assert_eq!(FileKind::from_media_type("application/zip"), None);
        assert_eq!(FileKind::from_extension("gz"), None);
        assert!(FileKind::listed().ends_with(", JPG or TIFF"), "{}", FileKind::listed());
    }
}
