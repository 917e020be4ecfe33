//! Collects the pages of a document, and decides which of them OCR reads.

use pdfium_render::prelude::{PdfDocument, PdfPage, PdfPageIndex, PdfPageRenderRotation};

use super::{
    annotations,
    characters::{self, Char},
    garbage,
    geometry::{POINTS_PER_INCH, Rect, Sheet, median},
    graphics::{self, Graphics},
    heads, hidden,
    page::{self, Content, Draft},
    render, scan,
    structure::{self, Outline},
    words::Piece,
};
use crate::{bitmap::Bitmap, ocr::Ocr};
use domain::{
    document::{Block, Document, LeftOut, Notice},
    ports::ParseLimits,
};
use reading::{fault::Fault, limits::check_output};

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
/// The share of the page from which on a picture beside text is read: a scanned table, not a logo.
const LARGE_PICTURE: f32 = 0.125;
/// A page without text and with fewer drawn objects holds rules or a logo, and no outlined letters.
const MIN_OBJECTS_OF_OUTLINES: usize = 10;

/// A page as its text layer has it.
struct Found {
    sheet: Sheet,
    graphics: Graphics,
    chars: Vec<Char>,
    /// Text that lies on the page.
    typed: Vec<Piece>,
    comments: Vec<Block>,
    /// Large pictures on which the text layer has no letter, as shown.
    pictures: Vec<Rect>,
    /// Letters and digits in both.
    letters: usize,
    /// Why its text is not all there.
    missing: Option<Missing>,
    /// The size for a picture of it, in pixels per inch.
    dpi: u32,
}

impl Found {
    fn drafts(self, number: u32) -> (Vec<Draft>, Vec<Block>) {
        (page::drafts(&self.chars, self.typed, &self.graphics, &self.sheet, number), self.comments)
    }

    /// Gives lines of pictures the size of the page's text where it is about that: no heading is known by the size of a drawing.
    fn even_out(&self, pieces: &mut [Piece]) {
        let mut sizes: Vec<f32> = self.chars.iter().map(|char| char.look.size).collect();
        let Some(usual) = median(&mut sizes) else { return };
        for piece in pieces.iter_mut().filter(|piece| (0.5..2.0).contains(&(piece.size / usual))) {
            piece.size = usual;
        }
    }

    /// The picture of the page with nothing but its large pictures.
    fn pictures_only(&self, mut page: Bitmap) -> Bitmap {
        let (scale, bytes) = (self.sheet.size().0 / page.width.max(1) as f32, page.colours.bytes());
        let (columns, pictures) = (page.width.max(1) as usize, &self.pictures);
        for (at, pixel) in page.pixels.chunks_exact_mut(bytes).enumerate() {
            let place = ((at % columns) as f32 * scale, (at / columns) as f32 * scale);
            if !pictures.iter().any(|picture| picture.contains(place)) {
                pixel.fill(u8::MAX);
            }
        }
        page
    }
}

/// The large pictures on which no character stands.
fn pictures_without_text(graphics: &Graphics, chars: &[Char], sheet: &Sheet) -> Vec<Rect> {
    let (width, height) = sheet.size();
    let page = Rect { left: 0.0, top: 0.0, right: width, bottom: height };
    let is_large = |picture: &&Rect| {
        let (across, down) = (picture.shared_width(&page).max(0.0), picture.shared_height(&page).max(0.0));
        across * down >= LARGE_PICTURE * width * height
    };
    let mut large: Vec<Rect> = graphics.pictures.iter().filter(is_large).copied().collect();
    if !large.is_empty() {
        let places: Vec<(f32, f32)> = chars.iter().map(|c| sheet.rect_from_frame(c.turn, &c.rect).middle()).collect();
        large.retain(|picture| !places.iter().any(|place| picture.contains(*place)));
    }
    large
}

/// Why a page's text is not all there.
#[derive(Clone, Copy)]
enum Missing {
    /// It is a picture.
    Picture,
    /// Its fonts do not say which letters they draw.
    Fonts,
}

/// How finely a page is rendered for OCR, in pixels per inch.
fn ocr_dpi(graphics: &Graphics, sheet: &Sheet) -> u32 {
    let (width, height) = sheet.size();
    let small = (SMALL_PICTURE / (width * height / POINTS_PER_INCH.powi(2)).max(f32::MIN_POSITIVE)).sqrt();
    let dpi = graphics.dpi.unwrap_or(OCR_DPI).clamp(PICTURE_DPI[0], PICTURE_DPI[1].max(small));
    dpi.round() as u32
}

/// Collects the pages.
pub(super) struct Reader<'a> {
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
    pub(super) failed: Vec<u32>,
    /// Pages that have lines in fonts which do not say their letters, beside others, and were not read by OCR.
    nameless: usize,
    /// Pages with text outside their visible part, and with text that is hidden.
    hidden: usize,
    /// Pages with text on layers that are switched off.
    layers: usize,
    /// What is printed on pages as their numbers.
    labels: Vec<(u32, String)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(limits: &'a ParseLimits, has_layers: bool, ocr: &'a mut Ocr, count: u32) -> Self {
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
            nameless: 0,
            hidden: 0,
            layers: 0,
            labels: Vec::new(),
        }
    }

    /// Leaves out a page that cannot be read.
    pub(super) fn fail(&mut self, number: u32) {
        self.failed.push(number);
        self.pages.push(Vec::new());
        self.comments.push(Vec::new());
    }

    pub(super) fn add(&mut self, document: &PdfDocument<'_>, number: u32) -> Result<(), Fault> {
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
                    return Ok((scan::parts(&text, number), found.comments));
                }
                // There is nothing to read.
                Some(_) => {}
                None if missing.is_some() => self.ocr.fail(number),
                None => {}
            }
        } else if self.ocr.is_on() && !found.pictures.is_empty() {
            let picture = || Some(found.pictures_only(render::render(page, found.dpi)?));
            if let Some(text) = self.ocr.read_pictures(number, self.count, picture)? {
                self.letters += text.letters();
                let order = found.chars.len() + found.typed.len();
                let mut pieces = scan::pieces(&text, &found.sheet, order);
                found.even_out(&mut pieces);
                found.typed.extend(pieces);
            }
        } else {
            match missing {
                Some(Missing::Picture) => self.pictures.push(number),
                Some(Missing::Fonts) => self.unreadable.push(number),
                None => {}
            }
        }
        Ok(found.drafts(number))
    }

    fn read_page(&mut self, page: &mut PdfPage<'_>, number: u32) -> Option<Found> {
        let sheet = sheet_of(page)?;
        let graphics = graphics::read(page, &sheet);
        if !graphics.flat_texts.is_empty() {
            graphics::slant_flat_texts(page, &graphics);
        }
        let text = page.text().ok()?;
        let found = characters::read(&text, &graphics.texts, &sheet);
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
            () if garbage::is_partial(&chars, numbers) => {
                self.nameless += usize::from(!self.ocr.is_on());
                self.ocr.is_on().then_some(Missing::Fonts)
            }
            () => None,
        };
        let letters = letters + annotations.pieces.iter().map(|piece| piece.chars).sum::<usize>();
        self.letters += letters;
        self.hidden += usize::from(annotations.hidden > 0);
        let pictures = if self.ocr.is_on() { pictures_without_text(&graphics, &chars, &sheet) } else { Vec::new() };
        let dpi = ocr_dpi(&graphics, &sheet);
        let annotations::Annotations { pieces: typed, comments, .. } = annotations;
        Some(Found { sheet, graphics, chars, typed, comments, pictures, letters, missing, dpi })
    }

    /// Refuses a document whose pages are pictures or blank: their words would be missing from the text without notice.
    pub(super) fn check_text(&self) -> Result<(), Fault> {
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

    pub(super) fn finish(mut self, outline: &Outline, attachments: Vec<Block>) -> Document {
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
        notices.extend(Notice::left_out(LeftOut::NamelessLetters, self.nameless));
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
