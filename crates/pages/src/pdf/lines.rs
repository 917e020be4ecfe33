//! Lines of a region and the paragraphs that they make.

use domain::document::Inline;

use super::{
    characters::{is_cjk, is_unspaced},
    columns::Item,
    geometry::{Rect, median},
    words::{Bit, Piece},
};
use reading::building::hyphens::DIVISION;

/// Distances are in parts of the font's size, unless it is said otherwise.
/// A font of another size begins another paragraph.
const OTHER_SIZE: f32 = 1.12;
/// The distance of lines, in parts of the usual one, from which on there is a gap between paragraphs.
const PARAGRAPH_GAP: f32 = 1.28;
/// The greatest usual distance of lines.
const MAX_LEADING: f32 = 2.2;
/// The same between bold lines: headings of two levels stand closer to each other than to the text.
const HEADING_GAP: f32 = 1.12;
/// The least shift of a line to the right that is an indent.
const INDENT: f32 = 0.8;
/// A line that ends this share of the region's width before its right edge, with the end of a sentence, ends its paragraph.
const SHORT_LINE: f32 = 0.25;
/// A line that ends no further than this share of the region's width before its right edge is full.
const FULL_LINE: f32 = 0.12;

/// The fewest dots that lead from a title to its page number.
const MIN_LEADER: usize = 4;

/// A line: its pieces, joined.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) bits: Vec<Bit>,
    pub(super) rect: Rect,
    pub(super) base: f32,
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) fixed: bool,
    pub(super) right_to_left: bool,
}

/// Lines that belong together.
#[derive(Debug, Clone)]
pub(super) struct Paragraph {
    pub(super) bits: Vec<Bit>,
    pub(super) rect: Rect,
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) lines: usize,
    /// What a list item begins with: its number, or an empty text for a bullet.
    pub(super) marker: Option<String>,
}

impl Paragraph {
    pub(super) fn text(&self) -> String {
        self.bits.iter().map(Bit::text).collect()
    }

    /// The length of its text in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bits.iter().map(|bit| bit.text().len()).sum()
    }

    pub(super) fn inlines(&self) -> Vec<Inline> {
        inlines(&self.bits)
    }
}

/// The text as parts of a line.
pub(super) fn inlines(bits: &[Bit]) -> Vec<Inline> {
    // Only digits have raised and lowered forms in plain text; other signs stay with their letters as they are.
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let inline = |bit: &Bit| match bit {
        Bit::Raised(text) if is_number(text) => Inline::Superscript(text.clone()),
        Bit::Lowered(text) if is_number(text) => Inline::Subscript(text.clone()),
        Bit::Plain(text) | Bit::Raised(text) | Bit::Lowered(text) => Inline::Text(without_leaders(text)),
    };
    bits.iter().map(inline).collect()
}

/// The dots in `text` that lead from a title to its page number: their range in bytes.
pub(super) fn leader(text: &str) -> Option<std::ops::Range<usize>> {
    let (mut start, mut dots) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '.' | '·' | '_' if dots == 0 => (start, dots) = (at, 1),
            '.' | '·' | '_' => dots += 1,
            ' ' => {}
            _ if dots >= MIN_LEADER => return Some(start..at),
            _ => dots = 0,
        }
    }
    (dots >= MIN_LEADER).then_some(start..text.len())
}

/// The text with one sign for each leader, and without soft hyphens.
fn without_leaders(text: &str) -> String {
    let mut text = text.replace('\u{ad}', "");
    while let Some(range) = leader(&text) {
        text.replace_range(range, " … ");
    }
    text.replace("  …", " …")
}

impl Line {
    /// The line of the pieces of one row, in reading order.
    pub(super) fn of(row: &[Item<Piece>]) -> Option<Self> {
        let main = row.iter().max_by(|a, b| a.chars.cmp(&b.chars))?;
        let mut bits = Vec::new();
        for item in row {
            append(&mut bits, &item.content.bits, " ");
        }
        let chars: usize = row.iter().map(|item| item.chars).sum();
        let most = |of: fn(&Piece) -> bool| {
            row.iter().filter(|item| of(&item.content)).map(|item| item.chars).sum::<usize>() * 10 > chars * 9
        };
        Some(Self {
            bits,
            rect: Rect::around(row.iter().map(|item| &item.content.rect))?,
            base: main.base,
            size: main.size,
            bold: most(|piece| piece.bold),
            fixed: most(|piece| piece.fixed),
            right_to_left: most(|piece| piece.right_to_left),
        })
    }

    fn begins_lower(&self) -> bool {
        self.bits.first().and_then(|bit| bit.text().chars().next()).is_some_and(char::is_lowercase)
    }

    fn ends_sentence(&self) -> bool {
        let end = self.bits.last().and_then(|bit| bit.text().trim_end().chars().last());
        end.is_some_and(|c| matches!(c, '.' | '!' | '?' | ':' | '。' | '！' | '？'))
    }
}

/// Adds `more` to `bits`, behind `between`.
pub(super) fn append(bits: &mut Vec<Bit>, more: &[Bit], between: &str) {
    let Some((first, rest)) = more.split_first() else { return };
    match (bits.last_mut(), first) {
        (Some(Bit::Plain(text)), Bit::Plain(next)) => {
            text.push_str(between);
            text.push_str(next);
        }
        (Some(Bit::Plain(text)), next) => {
            text.push_str(between);
            bits.push(next.clone());
        }
        (Some(_), Bit::Plain(next)) => bits.push(Bit::Plain(format!("{between}{next}"))),
        (Some(_), next) => {
            if !between.is_empty() {
                bits.push(Bit::Plain(between.to_owned()));
            }
            bits.push(next.clone());
        }
        (None, next) => bits.push(next.clone()),
    }
    bits.extend_from_slice(rest);
}

/// Adds the next line of a paragraph. Whether a hyphen at the end of a line is the line's or the word's is decided when
/// the whole document is known.
fn append_line(bits: &mut Vec<Bit>, next: &[Bit]) {
    let begins = next.first().and_then(|bit| bit.text().chars().next());
    let Some(Bit::Plain(text)) = bits.last_mut() else { return append(bits, next, " ") };
    let mut ends = text.trim_end().chars().rev();
    let (last, before) = (ends.next(), ends.next());
    let between = match (last, begins) {
        (Some('\u{ad}'), _) => {
            text.truncate(text.trim_end().len() - '\u{ad}'.len_utf8());
            ""
        }
        (Some(hyphen @ ('-' | '\u{2010}')), Some(begins)) if before.is_some_and(char::is_alphanumeric) => {
            let is_word = before.is_some_and(char::is_lowercase) && begins.is_lowercase();
            let length = text.trim_end().len();
            text.truncate(if is_word { length - hyphen.len_utf8() } else { length });
            if is_word {
                text.push(DIVISION);
            }
            ""
        }
        (Some(last), Some(begins)) if is_cjk(last) && is_cjk(begins) => "",
        (Some(last), Some(begins)) if is_unspaced(last) && is_unspaced(begins) => "",
        _ => " ",
    };
    append(bits, next, between);
}

/// The paragraphs of a region's lines.
pub(super) fn paragraphs(lines: &[Line]) -> Vec<Paragraph> {
    let Some(region) = Rect::around(lines.iter().map(|line| &line.rect)) else { return Vec::new() };
    let leading = leading(lines);
    let mut found: Vec<Paragraph> = Vec::new();
    let mut current: Vec<&Line> = Vec::new();
    for line in lines {
        if current.last().is_some_and(|last| begins_paragraph(&current, last, line, leading, &region)) {
            found.extend(joined(&current));
            current.clear();
        }
        current.push(line);
    }
    found.extend(joined(&current));
    found
}

/// The usual distance of two lines, in points.
fn leading(lines: &[Line]) -> f32 {
    let pairs = lines.windows(2).filter(|pair| pair[1].base > pair[0].base + 0.5 * pair[0].size);
    let mut distances: Vec<f32> = pairs.map(|pair| (pair[1].base - pair[0].base) / pair[1].size).collect();
    median(&mut distances).unwrap_or(1.2).clamp(0.9, MAX_LEADING)
}

fn begins_paragraph(current: &[&Line], last: &Line, line: &Line, leading: f32, region: &Rect) -> bool {
    let size = last.size.max(line.size);
    let distance = line.base - last.base;
    // Each entry of a list of contents stands alone.
    let ends_entry = last.bits.iter().any(|bit| leader(bit.text()).is_some());
    // Words within a sentence may be bold to the end of their line.
    let goes_on = line.begins_lower()
        && !last.ends_sentence()
        && last.rect.right > region.right - FULL_LINE * region.width()
        && distance > 0.0
        && distance < PARAGRAPH_GAP * leading * size;
    let other_weight = last.bold != line.bold && !goes_on;
    let other_look = size / last.size.min(line.size) > OTHER_SIZE || other_weight || last.fixed != line.fixed;
    let other_heading = line.bold
        && last.rect.right < region.right - SHORT_LINE * region.width()
        && !line.begins_lower()
        && (distance > HEADING_GAP * leading * size || size / last.size.min(line.size) > 1.03);
    if other_look
        || other_heading
        || ends_entry
        || distance < 0.0
        || distance > PARAGRAPH_GAP * leading * size.max(1.0)
        || marker(&line.bits).is_some()
    {
        return true;
    }
    // How far the line begins from the side where lines begin, and how far it ends from the other side.
    let ends = |line: &Line| match line.right_to_left {
        true => (region.right - line.rect.right, line.rect.left - region.left),
        false => (line.rect.left - region.left, region.right - line.rect.right),
    };
    let (near, far) = (ends(line).0 - ends(last).0, ends(last).1);
    if last.ends_sentence() && far > SHORT_LINE * region.width() && !line.begins_lower() {
        return true;
    }
    let is_item = current.first().is_some_and(|first| marker(&first.bits).is_some());
    match () {
        () if line.begins_lower() || is_item => false,
        // An indent begins a paragraph, unless all lines but the first are indented.
        () if near > INDENT * size => current.len() > 1 || far > 2.0 * size,
        () if near < -INDENT * size => current.len() > 1,
        () => false,
    }
}

fn joined(lines: &[&Line]) -> Option<Paragraph> {
    let first = lines.first()?;
    let mut bits = Vec::new();
    for line in lines {
        append_line(&mut bits, &line.bits);
    }
    let marker = marker(&bits);
    if let (Some((length, _)), Some(Bit::Plain(text))) = (&marker, bits.first_mut()) {
        *text = text.get(*length..).unwrap_or_default().trim_start().to_owned();
    }
    Some(Paragraph {
        bits,
        rect: Rect::around(lines.iter().map(|line| &line.rect))?,
        size: first.size,
        bold: lines.iter().all(|line| line.bold),
        lines: lines.len(),
        marker: marker.map(|(_, marker)| marker),
    })
}

/// What a list item begins with: its length in bytes, and its number (empty for a bullet).
pub(super) fn marker(bits: &[Bit]) -> Option<(usize, String)> {
    let Some(Bit::Plain(text)) = bits.first() else { return None };
    let (word, _) = text.split_once(' ').filter(|(_, rest)| !rest.trim().is_empty() || bits.len() > 1)?;
    let is_bullet = |c| {
        matches!(
            c,
            '•' | '◦'
                | '▪'
                | '‣'
                | '●'
                | '○'
                | '■'
                | '□'
                | '–'
                | '−'
                | '·'
                | '∙'
                | '*'
                | '➢'
                | '✓'
                | '❖'
                | '❑'
                | '◆'
                | '◻'
                | '⮚'
                | '-'
        )
    };
    if word.chars().all(is_bullet) && word.chars().count() == 1 {
        return Some((word.len(), String::new()));
    }
    let inner = word.strip_prefix('(').unwrap_or(word);
    let inner = inner.strip_suffix([')', '.']).filter(|inner| !inner.is_empty())?;
    let digits = inner.len() <= 3 && inner.bytes().all(|b| b.is_ascii_digit());
    let letter = inner.len() == 1 && inner.bytes().all(|b| b.is_ascii_lowercase());
    let roman = inner.len() <= 5 && inner.bytes().all(|b| b"ivx".contains(&b));
    (digits || letter || roman).then(|| (word.len(), word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, left: f32, base: f32, right: f32) -> Line {
        let rect = Rect { left, top: base - 8.0, right, bottom: base + 2.0 };
        let bits = vec![Bit::Plain(text.to_owned())];
        Line { bits, rect, base, size: 10.0, bold: false, fixed: false, right_to_left: false }
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        paragraphs(lines).iter().map(Paragraph::text).collect()
    }

    #[test]
    fn hyphens_at_line_ends_are_joined() {
        let lines = [
            line("The dam-", 0.0, 10.0, 100.0),
            line("age of 24-", 0.0, 22.0, 100.0),
            line("hour X-", 0.0, 34.0, 100.0),
            line("Rays", 0.0, 46.0, 100.0),
        ];
        assert_eq!(texts(&lines), ["The dam\u{2}age of 24-hour X-Rays"]);
    }

    #[test]
    fn gaps_indents_and_markers_begin_paragraphs() {
        let lines = [
            line("One line that is full", 0.0, 10.0, 100.0),
            line("and its end.", 0.0, 22.0, 60.0),
            line("Two is indented and", 10.0, 34.0, 100.0),
            line("goes on", 0.0, 46.0, 80.0),
            line("• an item", 0.0, 58.0, 80.0),
            line("Three after a gap", 0.0, 90.0, 100.0),
        ];
        let found = texts(&lines);
        assert_eq!(
            found,
            ["One line that is full and its end.", "Two is indented and goes on", "an item", "Three after a gap"]
        );
    }

    #[test]
    fn bold_words_that_a_sentence_goes_on_from_begin_no_paragraph() {
        let bold = |text, base, right| Line { bold: true, ..line(text, 0.0, base, right) };
        let lines = [bold("Accounting for hybrid", 10.0, 98.0), line("instruments. A change", 0.0, 22.0, 100.0)];
        assert_eq!(texts(&lines), ["Accounting for hybrid instruments. A change"]);
        let lines = [bold("Hybrid instruments", 10.0, 60.0), line("iPhones are not", 0.0, 22.0, 100.0)];
        assert_eq!(texts(&lines).len(), 2, "a short line is a heading");
    }

    #[test]
    fn entries_of_a_list_of_contents_stand_alone() {
        let lines = [line("Weirs . . . . . 5", 0.0, 10.0, 100.0), line("Locks .......... 7", 0.0, 22.0, 100.0)];
        let found: Vec<Vec<Inline>> = paragraphs(&lines).iter().map(Paragraph::inlines).collect();
        assert_eq!(found, [[Inline::text("Weirs … 5")], [Inline::text("Locks … 7")]]);
    }

    #[test]
    fn markers_of_lists() {
        let found = |text: &str| marker(&[Bit::Plain(text.to_owned())]).map(|(_, marker)| marker);
        assert_eq!(found("• rope").as_deref(), Some(""));
        assert_eq!(found("3. rope").as_deref(), Some("3."));
        assert_eq!(found("(b) rope").as_deref(), Some("(b)"));
        assert_eq!(found("3.5 metres"), None);
        assert_eq!(found("A. Smith"), None);
    }
}
