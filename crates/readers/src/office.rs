//! Converts Word, PowerPoint and Excel files (Office Open XML) to markdown. Slides and sheets count as pages.

use std::{
    collections::HashMap,
    io::{self, Cursor, Read},
};

use undoc::{
    Document, Error, ErrorKind, FormatType,
    docx::DocxParser,
    pptx::PptxParser,
    render::{self, RenderOptions},
    xlsx::XlsxParser,
};
use zip::{ZipArchive, result::ZipError};

use super::{
    fault::Fault,
    protocol::{check_output, check_pages},
};
use domain::{
    markdown,
    ports::{FileKind, ParseLimits, page_marker},
};

/// The most bytes that an office file may unpack to: eight times the largest upload, well below the memory limit.
const MAX_UNPACKED_BYTES: u64 = 200 << 20;
/// The most parts that an office file may have; a large presentation has a few thousand.
const MAX_PARTS: usize = 20_000;

/// An office file's parts, by name.
pub(super) fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, Fault> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| match error {
        // The directory of a zip archive stands at its end.
        ZipError::InvalidArchive(_) | ZipError::Io(_) => Fault::Truncated,
        _ => Fault::Corrupt,
    })
}

/// The office format of the archive, told by the folder of its main part; `None` for any other archive.
pub(super) fn kind_of<R: Read + io::Seek>(archive: &ZipArchive<R>) -> Option<FileKind> {
    archive.index_for_name("[Content_Types].xml")?;
    let holds = |folder: &str| archive.file_names().any(|name| name.starts_with(folder));
    [("word/", FileKind::Docx), ("ppt/", FileKind::Pptx), ("xl/", FileKind::Xlsx)]
        .into_iter()
        .find(|(folder, _)| holds(folder))
        .map(|(_, kind)| kind)
}

/// The document's markdown and its number of slides or sheets (0 for a text document).
pub(super) fn to_markdown(bytes: Vec<u8>, kind: FileKind, limits: &ParseLimits) -> Result<(String, u32), Fault> {
    check_unpacked_size(&bytes)?;
    let mut document = match kind {
        FileKind::Pptx => PptxParser::from_bytes(bytes).and_then(|mut parser| parser.parse()),
        FileKind::Xlsx => XlsxParser::from_bytes(bytes).and_then(|mut parser| parser.parse()),
        _ => DocxParser::from_bytes(bytes).and_then(|mut parser| parser.parse()),
    }
    .map_err(|error| fault_of(&error))?;
    if kind == FileKind::Pptx {
        // The name is only "Slide 3", which the page marker says already. The title is part of the slide.
        document.sections.iter_mut().for_each(|slide| slide.name = None);
    }
    match document.format {
        FormatType::Pptx | FormatType::Xlsx => render_pages(&document, limits),
        _ => {
            let markdown = render::to_markdown(&document, &options()).map_err(|error| fault_of(&error))?;
            Ok((markdown::tidy(&markdown), 0))
        }
    }
}

/// Without pictures: they are not stored, so no link to them would work.
fn options() -> RenderOptions {
    RenderOptions::new().with_images(false).with_max_heading(6)
}

fn render_pages(document: &Document, limits: &ParseLimits) -> Result<(String, u32), Fault> {
    let pages = check_pages(limits, document.sections.len())?;
    let options = options();
    let no_pictures = HashMap::new();
    let mut markdown = String::new();
    for (number, section) in (1..).zip(&document.sections) {
        // Rendered as section 0, because a later one would begin with a horizontal rule.
        let text = render::render_section_to_string(section, 0, document.format, &options, &no_pictures);
        markdown::push_paragraphs(&mut markdown, &page_marker(number));
        markdown::push_paragraphs(&mut markdown, &markdown::tidy(&text));
        check_output(limits, markdown.len())?;
    }
    Ok((markdown, pages))
}

/// Refuses an archive that unpacks to too much: by its directory, and then by unpacking it. The directory may be
/// wrong, and its entries may share the same bytes.
fn check_unpacked_size(bytes: &[u8]) -> Result<(), Fault> {
    let too_large = Fault::ArchiveTooLarge { limit_bytes: MAX_UNPACKED_BYTES };
    let mut archive = open(bytes)?;
    if archive.len() > MAX_PARTS {
        return Err(too_large);
    }
    let mut declared = 0_u64;
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(|error| part_fault(&error))?;
        declared = declared.saturating_add(part.size());
    }
    if declared > MAX_UNPACKED_BYTES {
        return Err(too_large);
    }
    let mut left = MAX_UNPACKED_BYTES;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| part_fault(&error))?;
        let size = io::copy(&mut part.take(left + 1), &mut io::sink()).map_err(|_unreadable| Fault::Corrupt)?;
        left = left.checked_sub(size).ok_or_else(|| too_large.clone())?;
    }
    Ok(())
}

fn part_fault(error: &ZipError) -> Fault {
    match error {
        ZipError::UnsupportedArchive(reason) if *reason == ZipError::PASSWORD_REQUIRED => Fault::Encrypted,
        ZipError::InvalidPassword => Fault::Encrypted,
        _ => Fault::Corrupt,
    }
}

fn fault_of(error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::Encrypted => Fault::Encrypted,
        _ => Fault::Corrupt,
    }
}
