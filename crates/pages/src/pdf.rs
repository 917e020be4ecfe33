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
mod render;
mod salvage;
mod scan;
mod structure;
mod tables;
mod words;

use std::{path::Path, time::Duration};

use pdfium_render::prelude::{
    PdfDocument, PdfPage, PdfPageIndex, PdfPageRenderRotation, PdfiumError, PdfiumInternalError,
};

use super::{bitmap::Bitmap, ocr::Ocr};
use domain::{
    document::{AsideKind, Block, BlockKind, Document, LeftOut, Notice},
    ports::ParseLimits,
};
use geometry::{POINTS_PER_INCH, Sheet};
use graphics::Graphics;
pub use library::pdf_library_places;
use page::Content;
pub(crate) use page::Draft;
use reading::{
    fault::Fault,
    limits::{check_output, check_pages, limit_processor_time},
    progress::tell,
};
pub(crate) use scan::parts as parts_of_picture;
use structure::Outline;

/// How far into a file the header of a PDF may stand, in bytes: some programs put mail headers before it.
pub const HEADER_WITHIN_BYTES: usize = 1024;
/// How far from the end of the file the end mark of a complete PDF may stand, in bytes.
const END_MARK_WITHIN_BYTES: usize = 2048;
/// A page is a picture if pictures cover at least this share of it; margins are often cropped.
const PICTURE_PAGE_SHARE: f32 = 0.5;
/// A picture with fewer letters has no text: the marks of scanning programs ("Scanned with CamScanner", a date, a file
/// number) stay below 40 letters.
const MIN_LETTERS_OF_PICTURE_PAGE: usize = 40;
/// The size of a picture for OCR, in pixels per inch, where the page's own pictures say nothing: letters of ten points are then
/// as high as Tesseract likes them.
const OCR_DPI: f32 = 200.0;
/// The least and the most for pages that are pictures; between them a picture is rendered as it is stored. A finer picture of one with 150 finds
/// a hundredth more of the words, for a tenth more time (measured: docs/performance.md).
const PICTURE_DPI: [f32; 2] = [200.0, 300.0];
/// A page of fewer pixels may be rendered finer: some files give their pictures the size of a stamp.
const SMALL_PICTURE: f32 = 4e6;
/// A page without text and with fewer drawn objects holds rules or a logo, and no outlined letters.
const MIN_OBJECTS_OF_OUTLINES: usize = 10;
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

/// A page as its text layer has it.
struct Found {
    drafts: Vec<Draft>,
    comments: Vec<Block>,
    /// Letters and digits in both.
    letters: usize,
    /// Why its text is not all there.
    missing: Option<Missing>,
    /// The size for a picture of it, in pixels per inch.
    dpi: u32,
}

/// Why a page's text is not all there.
#[derive(Clone, Copy)]
enum Missing {
    /// It is a picture.
    Picture,
    /// Its fonts do not say which letters they draw.
    Fonts,
}

/// Blocks of a document of which only pictures are known.
pub(crate) fn blocks_of_pictures(mut pages: Vec<Vec<Draft>>) -> Vec<Block> {
    heads::keep_once(&mut pages);
    let texts = structure::blocks(pages, &Outline::default());
    (1..).zip(texts).flat_map(|(number, page)| std::iter::once(Block::page(number)).chain(page)).collect()
}

/// How finely a page is rendered for OCR, in pixels per inch.
fn ocr_dpi(graphics: &Graphics, sheet: &Sheet) -> u32 {
    let (width, height) = sheet.size();
    let small = (SMALL_PICTURE / (width * height / POINTS_PER_INCH.powi(2)).max(f32::MIN_POSITIVE)).sqrt();
    let dpi = graphics.dpi.unwrap_or(OCR_DPI).clamp(PICTURE_DPI[0], PICTURE_DPI[1].max(small));
    dpi.round() as u32
}

/// Collects the pages.
struct Reader<'a> {
    limits: &'a ParseLimits,
    has_layers: bool,
    ocr: &'a mut Ocr,
    /// Pages of the document.
    count: u32,
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
    fn new(limits: &'a ParseLimits, has_layers: bool, ocr: &'a mut Ocr, count: u32) -> Self {
        Self {
            limits,
            has_layers,
            ocr,
            count,
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

    /// Leaves out a page that cannot be read.
    fn fail(&mut self, number: u32) {
        self.failed.push(number);
        self.pages.push(Vec::new());
        self.comments.push(Vec::new());
    }

    fn add(&mut self, document: &PdfDocument<'_>, number: u32) -> Result<(), Fault> {
        let index = PdfPageIndex::try_from(number - 1).unwrap_or(PdfPageIndex::MAX);
        let mut page = document.pages().get(index).ok();
        if let Some(label) = page.as_ref().and_then(|page| page.label()).filter(|label| !label.is_empty()) {
            self.labels.push((number, label.to_owned()));
        }
        let found = page.as_mut().and_then(|page| self.read_page(page, number));
        let (drafts, comments) = match (found, page) {
            (Some(found), Some(page)) => self.with_ocr(&page, number, found)?,
            _ => {
                self.failed.push(number);
                Default::default()
            }
        };
        self.bytes += drafts.iter().map(text_bytes).sum::<usize>();
        self.pages.push(drafts);
        self.comments.push(comments);
        check_output(self.limits, self.bytes)
    }

    /// Reads the page's picture, if its text is missing or if that is asked for. What is missing is counted.
    fn with_ocr(
        &mut self,
        page: &PdfPage<'_>,
        number: u32,
        mut found: Found,
    ) -> Result<(Vec<Draft>, Vec<Block>), Fault> {
        let missing = found.missing;
        if self.ocr.is_on() && (missing.is_some() || self.ocr.is_for_every_page()) {
            let picture = || render::render(page, found.dpi);
            match self.ocr.read(number, self.count, picture)? {
                Some(text) if !text.lines.is_empty() => {
                    self.letters = self.letters - found.letters + text.letters();
                    found.drafts = scan::parts(&text, number);
                }
                // There is nothing to read.
                Some(_) => {}
                None if missing.is_some() => self.ocr.fail(number),
                None => {}
            }
        } else {
            match missing {
                Some(Missing::Picture) => self.pictures.push(number),
                Some(Missing::Fonts) => self.unreadable.push(number),
                None => {}
            }
        }
        Ok((found.drafts, found.comments))
    }

    fn read_page(&mut self, page: &mut PdfPage<'_>, number: u32) -> Option<Found> {
        let sheet = sheet_of(page)?;
        let graphics = graphics::read(page, &sheet);
        if !graphics.flat_texts.is_empty() {
            graphics::slant_flat_texts(page, &graphics);
        }
        let text = page.text().ok()?;
        let found = characters::read(&text, &sheet);
        let (outside, unknown, numbers) = (found.outside, found.unknown, found.numbers);
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
        let is_garbage = garbage::is_garbage(&chars, unknown);
        if is_garbage {
            chars.clear();
        }
        let annotations = annotations::read(page, &sheet, number, chars.len());
        let letters = chars.iter().filter(|char| char.c.is_alphanumeric()).count();
        let missing = match () {
            () if is_garbage => Some(Missing::Fonts),
            () if is_picture && letters < MIN_LETTERS_OF_PICTURE_PAGE => Some(Missing::Picture),
            // A small picture, letters that are drawn as outlines, or a few of an unknown font. Without OCR such a page counts as
            // empty.
            () if self.ocr.is_on()
                && letters == 0
                && (!graphics.pictures.is_empty() || graphics.objects >= MIN_OBJECTS_OF_OUTLINES || unknown > 0) =>
            {
                Some(Missing::Picture)
            }
            // Without OCR the lines in other fonts are the page's text.
            () if self.ocr.is_on() && garbage::is_partial(&chars, numbers) => Some(Missing::Fonts),
            () => None,
        };
        let letters = letters + annotations.pieces.iter().map(|piece| piece.chars).sum::<usize>();
        self.letters += letters;
        self.hidden += usize::from(annotations.hidden > 0);
        let drafts = page::drafts(&chars, annotations.pieces, &graphics, &sheet, number);
        let dpi = ocr_dpi(&graphics, &sheet);
        Some(Found { drafts, comments: annotations.comments, letters, missing, dpi })
    }

    /// Refuses a document whose pages are pictures or blank: their words would be missing from the text without notice.
    fn check_text(&self) -> Result<(), Fault> {
        let (pages, unreadable) = (self.count, self.unreadable.len());
        if self.letters == 0 && self.ocr.has_read() {
            return Err(self.ocr.nothing(pages));
        }
        if unreadable > 0 && (unreadable + self.pictures.len() >= pages as usize || self.letters == 0) {
            return Err(Fault::UnreadableFonts);
        }
        if self.letters == 0 || self.pictures.len() == pages as usize {
            return Err(Fault::NoTextLayer { letters: self.letters as u64, pages });
        }
        Ok(())
    }

    fn finish(mut self, outline: &Outline, attachments: Vec<Block>) -> Document {
        let pages = self.count;
        let running = heads::keep_once(&mut self.pages);
        let mut blocks = Vec::new();
        let comments = std::mem::take(&mut self.comments);
        let texts = structure::blocks(std::mem::take(&mut self.pages), outline);
        for (number, (page, comments)) in (1..).zip(texts.into_iter().zip(comments)) {
            blocks.push(Block::page(number));
            blocks.extend(page);
            blocks.extend(comments);
        }
        let mut notices = self.notices();
        notices.extend(Notice::left_out(LeftOut::RunningHeads, running));
        notices.extend(Notice::left_out(LeftOut::Attachments, attachments.len()));
        blocks.extend(attachments);
        Document { blocks, pages, notices, labels: self.labels }
    }

    fn notices(&self) -> Vec<Notice> {
        let listed = |pages: &[u32]| (pages.iter().copied().take(Notice::LISTED_PAGES).collect(), pages.len() as u32);
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
        notices.extend(self.ocr.notices());
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
