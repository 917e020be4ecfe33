//! Pictures within Office documents, read by OCR as pages that are pictures are: those as large as a page or a screen.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::detect;
use domain::{
    document::{Block, BlockKind, Document, LeftOut, Notice, OcrEngine},
    markdown,
    ports::{FileKind, ParseLimits},
};
use pages::{image, ocr::Ocr};
use reading::{fault::Fault, package::Package};

/// Pictures and scanned pages within one document that are read by OCR: about a minute of processor time, which no checkpoint keeps.
pub(super) const MAX_OCR_PAGES: u32 = 20;
/// The least picture that is read by OCR, in pixels: about that of a screenshot of some lines.
const MIN_PIXELS: u64 = 150_000;
/// A picture with fewer letters is no text.
const MIN_LETTERS: u64 = 15;

/// What OCR reads on a picture that is as large as a page or a screen; `None` if that is next to nothing, as on logos and photos.
pub(super) fn read(bytes: &[u8], limits: &ParseLimits, ocr: &mut Ocr) -> Result<Option<Document>, Fault> {
    let kind = detect::picture_kind(bytes).filter(|kind| matches!(kind, FileKind::Png | FileKind::Jpeg));
    let Some(kind) = kind.filter(|_| ocr.is_on()) else { return Ok(None) };
    let size = image::picture(kind, bytes, 1).map(|picture| u64::from(picture.width) * u64::from(picture.height));
    if size.is_none_or(|size| size < MIN_PIXELS) {
        return Ok(None);
    }
    match ocr.part(MAX_OCR_PAGES, |ocr| image::read(kind, bytes, limits, ocr)) {
        Ok(part) => {
            let letters = markdown::letters(&reading::render::tidy_markdown(&part));
            Ok((letters >= MIN_LETTERS).then_some(part))
        }
        // The engine is at fault, not the picture.
        Err(fault @ Fault::Killed) => Err(fault),
        Err(_) => Ok(None),
    }
}

/// Puts what OCR reads on the pictures of an Office document, whose file is `bytes`, in their places.
pub(super) fn read_within(
    mut document: Document,
    bytes: &[u8],
    limits: &ParseLimits,
    ocr: &mut Ocr,
) -> Result<Document, Fault> {
    let Some(package) = Package::open(bytes).ok().filter(|_| ocr.is_on()) else { return Ok(document) };
    let mut reader = Reader { package, limits, ocr, page: 0, seen: HashMap::new(), found: Found::default() };
    reader.replace(&mut document.blocks)?;
    let Found { read, undescribed, others } = reader.found;
    for notice in &mut document.notices {
        if let Notice::LeftOut { what: LeftOut::Pictures, count } = notice {
            *count = count.saturating_sub(undescribed);
        }
    }
    document.notices.retain(|notice| !matches!(notice, Notice::LeftOut { count: 0, .. }));
    for (engine, read) in read {
        document.note(notice(engine, &read, document.pages > 0));
    }
    others.into_iter().for_each(|notice| document.note(notice));
    Ok(document)
}

/// The notice of the pictures that `engine` has read, each with its page and how sure the engine is.
fn notice(engine: OcrEngine, read: &[(u32, u8)], has_pages: bool) -> Notice {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let sum: usize = read.iter().map(|(_, sure)| usize::from(*sure)).sum();
    let sure = u8::try_from(sum / read.len().max(1)).unwrap_or(100);
    if !has_pages {
        return Notice::OcrPictures { engine, count: count(read.len()), sure };
    }
    let mut pages: Vec<u32> = read.iter().map(|(page, _)| *page).collect();
    pages.dedup();
    let all = count(pages.len());
    pages.truncate(Notice::LISTED_PAGES);
    Notice::OcrPages { engine, pages, count: all, sure }
}

/// What became of the pictures.
#[derive(Default)]
struct Found {
    read: BTreeMap<OcrEngine, Vec<(u32, u8)>>,
    /// Those whose text is there and that have no description.
    undescribed: u32,
    others: Vec<Notice>,
}

struct Reader<'a> {
    package: Package<'a>,
    limits: &'a ParseLimits,
    ocr: &'a mut Ocr,
    page: u32,
    /// Hashes of the pictures that were looked at, and whether they hold text: a logo stands on every slide.
    seen: HashMap<u64, bool>,
    found: Found,
}

impl Reader<'_> {
    fn replace(&mut self, blocks: &mut Vec<Block>) -> Result<(), Fault> {
        let mut replaced = Vec::with_capacity(blocks.len());
        for mut block in blocks.drain(..) {
            match &mut block.kind {
                BlockKind::PictureFile { part, described } => {
                    let read = self.picture(part, *described)?;
                    replaced.extend(read.into_iter().map(|kind| Block { kind, boxes: block.boxes.clone() }));
                    continue;
                }
                BlockKind::Page(number) => self.page = *number,
                BlockKind::List(items) => items.iter_mut().try_for_each(|item| self.replace(&mut item.blocks))?,
                BlockKind::Table(table) => {
                    table.rows.iter_mut().flatten().try_for_each(|cell| self.replace(&mut cell.blocks))?;
                }
                BlockKind::Quote(inner)
                | BlockKind::Footnote { blocks: inner, .. }
                | BlockKind::Aside { blocks: inner, .. } => self.replace(inner)?,
                BlockKind::Heading { .. }
                | BlockKind::Paragraph(_)
                | BlockKind::Code(_)
                | BlockKind::Formula(_)
                | BlockKind::Picture(_)
                | BlockKind::Markdown(_) => {}
            }
            replaced.push(block);
        }
        *blocks = replaced;
        Ok(())
    }

    /// What stands on a picture.
    fn picture(&mut self, part: &str, described: bool) -> Result<Vec<BlockKind>, Fault> {
        if !self.ocr.is_on() {
            return Ok(Vec::new());
        }
        let Ok(Some(bytes)) = self.package.bytes(part) else { return Ok(Vec::new()) };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(holds_text) = self.seen.get(&hash) {
            self.found.undescribed += u32::from(*holds_text && !described);
            return Ok(Vec::new());
        }
        let document = read(&bytes, self.limits, self.ocr)?;
        self.seen.insert(hash, document.is_some());
        let Some(document) = document else { return Ok(Vec::new()) };
        self.found.undescribed += u32::from(!described);
        for notice in document.notices {
            match notice {
                Notice::OcrPages { engine, sure, .. } => {
                    self.found.read.entry(engine).or_default().push((self.page, sure));
                }
                other => self.found.others.push(other),
            }
        }
        // The size of letters in a picture makes no heading of the document.
        let plain = |kind| match kind {
            BlockKind::Page(_) => None,
            BlockKind::Heading { text, .. } => Some(BlockKind::Paragraph(text)),
            other => Some(other),
        };
        Ok(document.blocks.into_iter().filter_map(|block| plain(block.kind)).collect())
    }
}
