//! Reads a PDF with PDFium, page by page.
//!
//! PDFium gives the characters with their places; words, lines, columns, tables and headings are made here.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and places on a page are far below the limits of their types, and a float beyond them saturates"
)]

mod annotations;
mod characters;
mod columns;
mod garbage;
mod geometry;
mod graphics;
mod heads;
mod hidden;
mod library;
mod lines;
mod page;
mod render;
mod salvage;
mod structure;
mod tables;
mod words;

use std::path::Path;

use pdfium_render::prelude::{
    PdfDocument, PdfPage, PdfPageIndex, PdfPageRenderRotation, PdfiumError, PdfiumInternalError,
};

use super::{
    bitmap::{Bitmap, Colours},
    building::hyphens,
    fault::Fault,
    protocol::{check_output, check_pages},
};
use domain::{
    document::{AsideKind, Block, BlockKind, Document, LeftOut, Notice},
    ports::ParseLimits,
};
use geometry::Sheet;
pub use library::pdf_library_places;
use page::{Content, Draft};
use structure::Outline;

/// How far into a file the header of a PDF may stand, in bytes: some programs put mail headers before it.
pub(super) const HEADER_WITHIN_BYTES: usize = 1024;
/// How far from the end of the file the end mark of a complete PDF may stand, in bytes.
const END_MARK_WITHIN_BYTES: usize = 2048;
/// A page is a picture if pictures cover at least this share of it; margins are often cropped.
const PICTURE_PAGE_SHARE: f32 = 0.5;
/// A picture with fewer letters has no text: the marks of scanning programs ("Scanned with CamScanner", a date, a file
/// number) stay below 40 letters.
const MIN_LETTERS_OF_PICTURE_PAGE: usize = 40;
/// Pages that a notice lists.
const LISTED_PAGES: usize = 100;
/// Attachments that are named.
const MAX_ATTACHMENTS: usize = 1000;
/// Entries of the outline that are read.
const MAX_OUTLINE: usize = 5000;

/// Reads the document.
pub(super) fn read(bytes: &[u8], library: Option<&Path>, limits: &ParseLimits) -> Result<Document, Fault> {
    let pdfium = library::load(library)?;
    match pdfium.load_pdf_from_byte_slice(bytes, None) {
        Ok(document) => read_document(&document, bytes, limits),
        Err(error) => {
            let fault = fault_of(&error, bytes);
            if fault != Fault::Truncated {
                return Err(fault);
            }
            let whole = salvage::with_new_end(bytes).ok_or_else(|| fault.clone())?;
            let document = pdfium.load_pdf_from_byte_slice(&whole, None).map_err(|_error| fault.clone())?;
            let mut read = read_document(&document, &whole, limits).map_err(|_error| fault)?;
            read.notices.insert(0, Notice::Truncated);
            Ok(read)
        }
    }
}

/// Page `number`, from 1, as a picture.
pub(super) fn picture(bytes: &[u8], library: Option<&Path>, number: u32, dpi: u32) -> Result<Bitmap, Fault> {
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
    render::render(&page, dpi, Colours::Rgb).ok_or(Fault::Corrupt)
}

fn read_document(document: &PdfDocument<'_>, bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let pages = check_pages(limits, usize::try_from(document.pages().len()).unwrap_or(0))?;
    if pages == 0 {
        return Err(damaged(bytes));
    }
    let mut reader = Reader::new(limits, hidden::has_hidden_layers(document, bytes));
    for number in 1..=pages {
        reader.add(document, number)?;
    }
    // The rest of a damaged file must not pass for the whole.
    if reader.failed.len() * 2 > pages as usize {
        return Err(damaged(bytes));
    }
    let attachments = attachments(document);
    reader.check_text(pages)?;
    Ok(reader.finish(&outline(document), attachments, pages))
}

/// The names of the attached files.
fn attachments(document: &PdfDocument<'_>) -> Vec<Block> {
    let block = |by: String| BlockKind::Aside { kind: AsideKind::Attachment, by, blocks: Vec::new() }.into();
    document.attachments().iter().take(MAX_ATTACHMENTS).map(|attachment| block(attachment.name())).collect()
}

/// Collects the pages.
struct Reader<'a> {
    limits: &'a ParseLimits,
    has_layers: bool,
    pages: Vec<Vec<Draft>>,
    comments: Vec<Vec<Block>>,
    bytes: usize,
    letters: usize,
    pictures: Vec<u32>,
    /// Pages whose fonts do not say which letters they draw.
    unreadable: Vec<u32>,
    failed: Vec<u32>,
    /// Pages with text outside their visible part, and with text that is hidden.
    hidden: usize,
    /// Pages with text on layers that are switched off.
    layers: usize,
    /// What is printed on pages as their numbers.
    labels: Vec<(u32, String)>,
}

impl<'a> Reader<'a> {
    fn new(limits: &'a ParseLimits, has_layers: bool) -> Self {
        Self {
            limits,
            has_layers,
            pages: Vec::new(),
            comments: Vec::new(),
            bytes: 0,
            letters: 0,
            pictures: Vec::new(),
            unreadable: Vec::new(),
            failed: Vec::new(),
            hidden: 0,
            layers: 0,
            labels: Vec::new(),
        }
    }

    fn add(&mut self, document: &PdfDocument<'_>, number: u32) -> Result<(), Fault> {
        let index = PdfPageIndex::try_from(number - 1).unwrap_or(PdfPageIndex::MAX);
        let found = document.pages().get(index).ok().and_then(|mut page| {
            self.labels.extend(page.label().filter(|label| !label.is_empty()).map(|label| (number, label.to_owned())));
            self.read_page(&mut page, number)
        });
        if found.is_none() {
            self.failed.push(number);
        }
        let (drafts, comments) = found.unwrap_or_default();
        self.bytes += drafts.iter().map(text_bytes).sum::<usize>();
        self.pages.push(drafts);
        self.comments.push(comments);
        check_output(self.limits, self.bytes)
    }

    fn read_page(&mut self, page: &mut PdfPage<'_>, number: u32) -> Option<(Vec<Draft>, Vec<Block>)> {
        let sheet = sheet_of(page)?;
        let graphics = graphics::read(page, &sheet);
        if !graphics.flat_texts.is_empty() {
            graphics::slant_flat_texts(page, &graphics);
        }
        let text = page.text().ok()?;
        let found = characters::read(&text, &sheet);
        let (outside, unknown) = (found.outside, found.unknown);
        let mut chars = found.chars;
        let is_picture = graphics.picture_share(&sheet) >= PICTURE_PAGE_SHARE;
        // Invisible text over a picture is what was read from it; elsewhere it is hidden from the reader.
        let before = chars.len();
        if !is_picture && chars.iter().any(|char| !char.look.invisible) {
            chars.retain(|char| !char.look.invisible);
        }
        self.hidden += usize::from(outside > 0 || chars.len() < before);
        if self.has_layers && !is_picture {
            self.layers += usize::from(hidden::remove(&mut chars, page, &sheet));
        }
        if garbage::is_garbage(&chars, unknown) {
            self.unreadable.push(number);
            chars.clear();
        }
        let annotations = annotations::read(page, &sheet, number, chars.len());
        let letters = chars.iter().filter(|char| char.c.is_alphanumeric()).count();
        if is_picture && letters < MIN_LETTERS_OF_PICTURE_PAGE && self.unreadable.last() != Some(&number) {
            self.pictures.push(number);
        }
        self.letters += letters + annotations.pieces.iter().map(|piece| piece.chars).sum::<usize>();
        self.hidden += usize::from(annotations.hidden > 0);
        let drafts = page::drafts(&chars, annotations.pieces, &graphics, &sheet, number);
        Some((drafts, annotations.comments))
    }

    /// Refuses a document whose pages are pictures or blank: their words would be missing from the text without notice.
    fn check_text(&self, pages: u32) -> Result<(), Fault> {
        let unreadable = self.unreadable.len();
        if unreadable > 0 && (unreadable + self.pictures.len() >= pages as usize || self.letters == 0) {
            return Err(Fault::UnreadableFonts);
        }
        if self.letters == 0 || self.pictures.len() == pages as usize {
            return Err(Fault::NoTextLayer { letters: self.letters as u64, pages });
        }
        Ok(())
    }

    fn finish(mut self, outline: &Outline, attachments: Vec<Block>, pages: u32) -> Document {
        heads::keep_once(&mut self.pages);
        let mut blocks = Vec::new();
        let comments = std::mem::take(&mut self.comments);
        let texts = structure::blocks(std::mem::take(&mut self.pages), outline);
        for (number, (page, comments)) in (1..).zip(texts.into_iter().zip(comments)) {
            blocks.push(Block::page(number));
            blocks.extend(page);
            blocks.extend(comments);
        }
        let mut notices = self.notices();
        notices.extend(Notice::left_out(LeftOut::Attachments, attachments.len()));
        blocks.extend(attachments);
        hyphens::resolve(&mut blocks);
        Document { blocks, pages, notices, labels: self.labels }
    }

    fn notices(&self) -> Vec<Notice> {
        let listed = |pages: &[u32]| (pages.iter().copied().take(LISTED_PAGES).collect(), pages.len() as u32);
        let mut notices = Vec::new();
        if !self.pictures.is_empty() {
            let (pages, count) = listed(&self.pictures);
            notices.push(Notice::PicturePages { pages, count });
        }
        let mut failed = [&self.failed[..], &self.unreadable[..]].concat();
        failed.sort_unstable();
        if !failed.is_empty() {
            let (pages, count) = listed(&failed);
            notices.push(Notice::FailedPages { pages, count });
        }
        notices.extend(Notice::left_out(LeftOut::HiddenText, self.hidden));
        notices.extend(Notice::left_out(LeftOut::HiddenLayers, self.layers));
        notices
    }
}

/// The visible part of the page, and how it is turned.
fn sheet_of(page: &PdfPage<'_>) -> Option<Sheet> {
    let crop = page.boundaries().bounding().ok()?.bounds;
    let crop = [crop.left().value, crop.bottom().value, crop.right().value, crop.top().value];
    let rotation = match page.rotation().unwrap_or(PdfPageRenderRotation::None) {
        PdfPageRenderRotation::None => 0,
        PdfPageRenderRotation::Degrees90 => 1,
        PdfPageRenderRotation::Degrees180 => 2,
        PdfPageRenderRotation::Degrees270 => 3,
    };
    crop.iter().all(|value| value.is_finite()).then(|| Sheet::new(crop, rotation))
}

fn text_bytes(draft: &Draft) -> usize {
    match &draft.content {
        Content::Paragraph(paragraph) => paragraph.bits.iter().map(|bit| bit.text().len()).sum(),
        Content::Table(table) => table.rows.iter().map(Vec::len).sum(),
    }
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
