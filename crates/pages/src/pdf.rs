//! Reads a PDF with PDFium, page by page.
//!
//! PDFium gives the characters with their places; words, lines, columns, tables and headings are made here.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and places on a page are far below the limits of their types, and a float beyond them saturates"
)]

mod aligned;
mod annotations;
mod characters;
mod columns;
mod garbage;
mod geometry;
mod glyphs;

mod graphics;
mod heads;
mod hidden;
mod library;
mod lines;
mod page;
mod parting;
mod reader;
mod render;
mod salvage;
mod scan;
mod structure;
mod tables;
mod twins;
mod words;

use std::{path::Path, time::Duration};

use pdfium_render::prelude::{PdfDocument, PdfPageIndex, PdfiumError, PdfiumInternalError};

use super::{bitmap::Bitmap, ocr::Ocr};
use domain::{
    document::{AsideKind, Block, BlockKind, Document, Notice},
    ports::ParseLimits,
};
pub use library::pdf_library_places;
pub(crate) use page::Draft;
use reader::Reader;
use reading::{
    fault::Fault,
    limits::{check_pages, limit_processor_time},
    progress::tell,
};
pub(crate) use scan::parts as parts_of_picture;
use structure::Outline;

/// How far into a file the header of a PDF may stand, in bytes: some programs put mail headers before it.
pub const HEADER_WITHIN_BYTES: usize = 1024;
/// How far from the end of the file the end mark of a complete PDF may stand, in bytes.
const END_MARK_WITHIN_BYTES: usize = 2048;
/// Processor time for one page, OCR apart: a hundred times that of the slowest page of the samples.
const PAGE_TIME: Duration = Duration::from_secs(10);
/// Attachments that are named.
const MAX_ATTACHMENTS: usize = 1000;
/// Entries of the outline that are read.
const MAX_OUTLINE: usize = 5000;

/// Reads the document.
pub fn read(
    bytes: &[u8],
    library: Option<&Path>,
    (limits, skipped): (&ParseLimits, &[u32]),
    ocr: &mut Ocr,
) -> Result<Document, Fault> {
    let pdfium = library::load(library)?;
    match pdfium.load_pdf_from_byte_slice(bytes, None) {
        Ok(document) => read_document(&document, bytes, (limits, skipped), ocr),
        Err(error) => {
            let fault = fault_of(&error, bytes);
            if fault != Fault::Truncated {
                return Err(fault);
            }
            let whole = salvage::with_new_end(bytes).ok_or_else(|| fault.clone())?;
            let document = pdfium.load_pdf_from_byte_slice(&whole, None).map_err(|_error| fault.clone())?;
            let mut read = read_document(&document, &whole, (limits, skipped), ocr).map_err(|_error| fault)?;
            read.notices.insert(0, Notice::Truncated);
            Ok(read)
        }
    }
}

/// Page `number`, from 1, as a picture.
pub fn picture(bytes: &[u8], library: Option<&Path>, number: u32, dpi: u32) -> Result<Bitmap, Fault> {
    // In a declared PDF, other bytes may come first.
    let begin = bytes.windows(5).take(HEADER_WITHIN_BYTES).position(|window| window == b"%PDF-").unwrap_or(0);
    let bytes = &bytes[begin..];
    let pdfium = library::load(library)?;
    let whole;
    let document = match pdfium.load_pdf_from_byte_slice(bytes, None) {
        Ok(document) => document,
        Err(error) => {
            let fault = fault_of(&error, bytes);
            whole = salvage::with_new_end(bytes).filter(|_| fault == Fault::Truncated).ok_or_else(|| fault.clone())?;
            pdfium.load_pdf_from_byte_slice(&whole, None).map_err(|_error| fault)?
        }
    };
    let index = number.checked_sub(1).and_then(|index| PdfPageIndex::try_from(index).ok()).ok_or(Fault::Corrupt)?;
    let page = document.pages().get(index).map_err(|_error| Fault::Corrupt)?;
    render::render(&page, dpi).ok_or(Fault::Corrupt)
}

fn read_document(
    document: &PdfDocument<'_>,
    bytes: &[u8],
    (limits, skipped): (&ParseLimits, &[u32]),
    ocr: &mut Ocr,
) -> Result<Document, Fault> {
    let pages = check_pages(limits, usize::try_from(document.pages().len()).unwrap_or(0))?;
    if pages == 0 {
        return Err(damaged(bytes));
    }
    let mut reader = Reader::new(limits, hidden::has_hidden_layers(document, bytes), ocr, pages);
    for number in 1..=pages {
        if skipped.contains(&number) {
            reader.fail(number);
            continue;
        }
        begin_page(number, pages, limits)?;
        reader.add(document, number)?;
    }
    tell(pages, pages)?;
    // The rest of a damaged file must not pass for the whole.
    if reader.failed.len() * 2 > pages as usize {
        return Err(damaged(bytes));
    }
    let attachments = attachments(document);
    reader.check_text()?;
    Ok(reader.finish(&outline(document), attachments))
}

/// Tells which page is next, and gives it its share of processor time: if it crashes this process or takes more, it alone is left
/// out of the next try.
fn begin_page(number: u32, pages: u32, limits: &ParseLimits) -> Result<(), Fault> {
    tell(number - 1, pages)?;
    limit_processor_time(PAGE_TIME.min(limits.time));
    Ok(())
}

/// The names of the attached files.
fn attachments(document: &PdfDocument<'_>) -> Vec<Block> {
    let block = |by: String| BlockKind::Aside { kind: AsideKind::Attachment, by, blocks: Vec::new() }.into();
    document.attachments().iter().take(MAX_ATTACHMENTS).map(|attachment| block(attachment.name())).collect()
}

/// Blocks of a document of which only pictures are known.
pub(crate) fn blocks_of_pictures(mut pages: Vec<Vec<Draft>>) -> Vec<Block> {
    heads::keep_once(&mut pages);
    let texts = structure::blocks(pages, &Outline::default());
    (1..).zip(texts).flat_map(|(number, page)| std::iter::once(Block::page(number)).chain(page)).collect()
}

fn outline(document: &PdfDocument<'_>) -> Outline {
    let mut outline = Outline::default();
    let mut waiting: Vec<_> = document.bookmarks().root().into_iter().map(|bookmark| (bookmark, 1_u8)).collect();
    for _ in 0..MAX_OUTLINE {
        let Some((bookmark, level)) = waiting.pop() else { break };
        outline.add(&bookmark.title().unwrap_or_default(), level);
        waiting.extend(bookmark.next_sibling().map(|next| (next, level)));
        waiting.extend(bookmark.first_child().map(|child| (child, level.saturating_add(1))));
    }
    outline
}

fn fault_of(error: &PdfiumError, bytes: &[u8]) -> Fault {
    match error {
        PdfiumError::PdfiumLibraryInternalError(
            PdfiumInternalError::PasswordError | PdfiumInternalError::SecurityError,
        ) => Fault::Encrypted,
        _ => damaged(bytes),
    }
}

/// A PDF without an end mark is truncated.
fn damaged(bytes: &[u8]) -> Fault {
    let tail = &bytes[bytes.len().saturating_sub(END_MARK_WITHIN_BYTES)..];
    if tail.windows(5).any(|window| window == b"%%EOF") { Fault::Corrupt } else { Fault::Truncated }
}
