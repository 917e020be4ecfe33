//! Headings and lists: what the paragraphs of a document are, by their size and weight, the outline, and their markers.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::document::{Block, BlockKind, Inline, ListItem, PageBox};

use super::{
    lines::{Paragraph, leader},
    page::{Content, Draft},
};

/// Sizes are compared in half points.
const STEPS_PER_POINT: f32 = 2.0;
/// The least size of a heading, in parts of the usual size.
const HEADING_SIZE: f32 = 1.12;
/// The longest heading, in characters.
const MAX_HEADING_CHARS: usize = 200;
/// The longest heading that ends like a sentence, in characters.
const MAX_SENTENCE_CHARS: usize = 50;
/// The longest title in the size of its page's text, in characters.
const MAX_TITLE_CHARS: usize = 60;
/// A page's own size counts if it has as many characters in it.
const MIN_PAGE_CHARS: usize = 800;
/// The longest heading that only its weight marks.
const MAX_BOLD_CHARS: usize = 100;

/// The titles of the outline, folded, with their levels from 1.
#[derive(Debug, Default)]
pub(super) struct Outline(HashMap<String, u8>);

impl Outline {
    pub(super) fn add(&mut self, title: &str, level: u8) {
        let title = folded(title);
        if !title.is_empty() {
            self.0.entry(title).or_insert(level);
        }
    }
}

/// The letters and digits of `text`, in lower case.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The blocks of the document. `pages` are the parts of each page, from page 1 on.
pub(super) fn blocks(pages: Vec<Vec<Draft>>, outline: &Outline) -> Vec<Vec<Block>> {
    let sizes = Sizes::of(&pages);
    pages.into_iter().map(|drafts| page_blocks(drafts, &sizes, outline)).collect()
}

fn page_blocks(drafts: Vec<Draft>, sizes: &Sizes, outline: &Outline) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let usual = sizes.usual_of_page(&drafts);
    for Draft { content, place, .. } in drafts {
        let kind = match content {
            Content::Table(table) => BlockKind::Table(table),
            Content::Paragraph(paragraph) => match sizes.heading_level(&paragraph, usual, outline) {
                Some(level) => BlockKind::Heading { level, text: with_marker(&paragraph) },
                None if paragraph.marker.is_some() => {
                    push_item(&mut blocks, &paragraph, place);
                    continue;
                }
                None => BlockKind::Paragraph(paragraph.inlines()),
            },
        };
        blocks.push(Block { kind, boxes: vec![place] });
    }
    blocks
}

/// Adds a list item to the list at the end of `blocks`, or begins one.
fn push_item(blocks: &mut Vec<Block>, paragraph: &Paragraph, place: PageBox) {
    let text = BlockKind::Paragraph(paragraph.inlines());
    let marker = paragraph.marker.clone().filter(|marker| !marker.is_empty());
    let item = ListItem { marker, blocks: vec![Block { kind: text, boxes: vec![place] }] };
    match blocks.last_mut() {
        Some(Block { kind: BlockKind::List(items), boxes }) => {
            items.push(item);
            boxes.push(place);
        }
        _ => blocks.push(Block { kind: BlockKind::List(vec![item]), boxes: vec![place] }),
    }
}

/// The text of a heading, with the number that was taken for that of a list item.
fn with_marker(paragraph: &Paragraph) -> Vec<Inline> {
    let mut text = paragraph.inlines();
    if let Some(marker) = paragraph.marker.as_ref().filter(|marker| !marker.is_empty()) {
        text.insert(0, Inline::text(format!("{marker} ")));
    }
    text
}

/// The sizes of a document's fonts.
struct Sizes {
    /// That of most characters.
    usual: f32,
    /// The levels of the sizes of headings.
    levels: HashMap<u32, u8>,
    /// The level of bold lines in the usual size; `None` if the usual text is bold.
    bold_level: Option<u8>,
}

impl Sizes {
    fn of(pages: &[Vec<Draft>]) -> Self {
        let paragraphs = || {
            pages.iter().flatten().filter_map(|draft| match &draft.content {
                Content::Paragraph(paragraph) => Some(paragraph),
                Content::Table(_) => None,
            })
        };
        let mut chars: BTreeMap<u32, usize> = BTreeMap::new();
        let (mut bold, mut all) = (0, 0);
        for paragraph in paragraphs() {
            let length = paragraph.bytes();
            *chars.entry(step(paragraph.size)).or_default() += length;
            all += length;
            bold += if paragraph.bold { length } else { 0 };
        }
        let usual = chars.iter().max_by_key(|(size, count)| (**count, **size)).map_or(20, |(size, _)| *size);
        let usual = usual as f32 / STEPS_PER_POINT;
        let sizes: HashSet<u32> =
            paragraphs().filter(|paragraph| is_large_heading(paragraph, usual)).map(|p| step(p.size)).collect();
        let mut sizes: Vec<u32> = sizes.into_iter().collect();
        sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
        let level = |at: usize| u8::try_from(at + 1).unwrap_or(6).min(6);
        let bold_level = (bold * 2 < all).then(|| level(sizes.len().min(3)));
        let levels = sizes.into_iter().enumerate().map(|(at, size)| (size, level(at))).collect();
        Self { usual, levels, bold_level }
    }

    /// The size of a page's text: that of the document, unless the page has a larger one throughout, as exhibits have.
    fn usual_of_page(&self, drafts: &[Draft]) -> f32 {
        let (mut chars, mut all) = (BTreeMap::<u32, usize>::new(), 0);
        for draft in drafts {
            let Content::Paragraph(paragraph) = &draft.content else { continue };
            let length = paragraph.bytes();
            *chars.entry(step(paragraph.size)).or_default() += length;
            all += length;
        }
        let most = chars.into_iter().max_by_key(|(size, count)| (*count, *size));
        let throughout = most.filter(|(_, count)| *count >= MIN_PAGE_CHARS && *count * 10 > all * 6);
        throughout.map_or(self.usual, |(size, _)| self.usual.max(size as f32 / STEPS_PER_POINT))
    }

    /// The level of the heading that `paragraph` is on a page of the size `usual`; `None` if it is none.
    fn heading_level(&self, paragraph: &Paragraph, usual: f32, outline: &Outline) -> Option<u8> {
        if !may_be_heading(paragraph) {
            return None;
        }
        let is_large =
            is_large_heading(paragraph, usual) || is_large_heading(paragraph, self.usual) && is_title(paragraph);
        if is_large {
            return self.levels.get(&step(paragraph.size)).copied();
        }
        let text = paragraph.text();
        let whole = folded(&format!("{}{text}", paragraph.marker.as_deref().unwrap_or_default()));
        if let Some(level) = outline.0.get(&whole).or_else(|| outline.0.get(&folded(&text))) {
            return Some((*level).clamp(1, 6));
        }
        let is_short = paragraph.lines <= 2 && text.chars().count() <= MAX_BOLD_CHARS;
        let ends_open = text.trim_end().ends_with(['.', ',', ';', ':', '?', '!']);
        let stands_out = paragraph.bold && paragraph.size >= 0.95 * usual;
        self.bold_level.filter(|_| stands_out && is_short && !ends_open && paragraph.marker.as_deref() != Some(""))
    }
}

fn step(size: f32) -> u32 {
    (size * STEPS_PER_POINT).round().clamp(1.0, 10_000.0) as u32
}

fn may_be_heading(paragraph: &Paragraph) -> bool {
    let text = paragraph.text();
    text.chars().count() <= MAX_HEADING_CHARS
        && leader(&text).is_none()
        && text.chars().filter(|c| c.is_alphabetic()).count() >= 2
}

/// Whether a line in the size of its page's text, which is larger than that of the document, has the form of a title.
fn is_title(paragraph: &Paragraph) -> bool {
    let text = paragraph.text();
    let text = text.trim();
    paragraph.lines == 1
        && text.chars().count() <= MAX_TITLE_CHARS
        && !text.starts_with(char::is_lowercase)
        && !text.ends_with(['.', ',', ';', ':'])
        && !paragraph.marker.as_ref().is_some_and(|marker| marker.starts_with('('))
}

fn is_large_heading(paragraph: &Paragraph, usual: f32) -> bool {
    let text = paragraph.text();
    let is_sentence =
        (paragraph.lines > 2 || text.chars().count() > MAX_SENTENCE_CHARS) && text.trim_end().ends_with('.');
    paragraph.size >= HEADING_SIZE * usual
        && paragraph.lines <= 4
        && may_be_heading(paragraph)
        && !is_sentence
        && paragraph.marker.as_deref() != Some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::{geometry::Rect, words::Bit};

    fn draft(text: &str, size: f32, bold: bool, marker: Option<&str>) -> Draft {
        let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        let place = PageBox { page: 1, left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        let bits = vec![Bit::Plain(text.to_owned())];
        let marker = marker.map(str::to_owned);
        let paragraph = Paragraph { bits, rect, size, bold, lines: 1, marker };
        Draft { content: Content::Paragraph(paragraph), place, running: false }
    }

    #[test]
    fn a_page_in_larger_print_is_not_all_headings() {
        let line = "The lock keeper opens the gate at dawn and closes it at dusk and";
        let small: Vec<Draft> = (0..60).map(|_| draft(line, 10.0, false, None)).collect();
        let large: Vec<Draft> = (0..20).map(|_| draft(line, 12.0, false, None)).collect();
        let headings = |page: &[Block]| {
            let is_heading = |block: &&Block| matches!(block.kind, BlockKind::Heading { .. });
            page.iter().filter(is_heading).count()
        };
        let found = blocks(vec![small, large], &Outline::default());
        assert_eq!([headings(&found[0]), headings(&found[1])], [0, 0]);
        let mut large: Vec<Draft> = (0..20).map(|_| draft(line, 12.0, false, None)).collect();
        large.extend([draft("Notifications", 12.0, false, None), draft("Print name:", 12.0, false, None)]);
        let small = (0..60).map(|_| draft(line, 10.0, false, None)).collect();
        assert_eq!(headings(&blocks(vec![small, large], &Outline::default())[1]), 1, "a title in that size");
        let title = vec![draft(line, 12.0, false, None)];
        let body = (0..60).map(|_| draft(line, 10.0, false, None)).collect();
        assert_eq!(headings(&blocks(vec![body, title], &Outline::default())[1]), 1, "a title page");
    }

    #[test]
    fn large_and_bold_lines_and_those_of_the_outline_are_headings() {
        let mut outline = Outline::default();
        outline.add("3 Nets", 2);
        let body = "The lock keeper opens the gate at dawn and closes it at dusk. ".repeat(4);
        let drafts = vec![
            draft("Introduction", 18.0, false, Some("1.")),
            draft(&body, 11.0, false, None),
            draft("Weirs", 11.0, true, None),
            draft("Nets", 11.0, false, Some("3.")),
            draft("rope", 11.0, false, Some("")),
            draft("fender", 11.0, false, Some("")),
        ];
        let found = blocks(vec![drafts], &outline).remove(0);
        let levels: Vec<Option<u8>> = found
            .iter()
            .map(|block| if let BlockKind::Heading { level, .. } = block.kind { Some(level) } else { None })
            .collect();
        assert_eq!(levels, [Some(1), None, Some(2), Some(2), None]);
        assert!(matches!(&found[4].kind, BlockKind::List(items) if items.len() == 2));
    }
}
