//! What OCR read on a page, as parts of the page: its lines take the same way as those of a PDF.

use super::{
    characters::{is_cjk, is_right_to_left, is_unspaced},
    geometry::{POINTS_PER_INCH, Rect, Sheet, median},
    graphics::Graphics,
    page::{Draft, drafts},
    words::{Bit, Piece},
};
use crate::ocr::{Line, PageText, Word};

/// The widest gap between words of one piece, in parts of the font's size: beyond it is another column.
const MAX_GAP: f32 = 1.1;
/// The narrowest blank in scripts that have none between words, in parts of the font's size.
const UNSPACED_GAP: f32 = 0.5;
/// Sizes that differ less from the page's usual one are the same: they are measured from the letters of each line.
const SAME_SIZE: f32 = 0.22;
/// Pixels per inch of a picture that does not say.
const USUAL_DPI: u32 = 150;

/// The parts of page `number` in reading order.
pub(crate) fn parts(text: &PageText, number: u32) -> Vec<Draft> {
    let dpi = if (30..=2400).contains(&text.dpi) { text.dpi } else { USUAL_DPI };
    let scale = POINTS_PER_INCH / dpi as f32;
    let sheet = Sheet::new([0.0, 0.0, text.width as f32 * scale, text.height as f32 * scale], 0);
    drafts(&[], pieces(text, &sheet, 0), &Graphics::default(), &sheet, number)
}

/// The pieces of what was read on a picture of the page, whose places in the content begin at `order`.
pub(super) fn pieces(text: &PageText, sheet: &Sheet, order: usize) -> Vec<Piece> {
    let scale = sheet.size().0 / text.width.max(1) as f32;
    let mut sizes: Vec<f32> = text.lines.iter().flat_map(|line| line.words.iter().map(|_| line.size * scale)).collect();
    let usual = median(&mut sizes).unwrap_or(1.0).max(0.1);
    let reader = Reader { sheet, scale, usual };
    let mut pieces = Vec::new();
    for line in &text.lines {
        reader.add(line, &mut pieces);
    }
    pieces.iter_mut().for_each(|piece| piece.order += order);
    pieces
}

struct Reader<'a> {
    sheet: &'a Sheet,
    /// Points per pixel.
    scale: f32,
    /// The size of most words, in points.
    usual: f32,
}

impl Reader<'_> {
    fn add(&self, line: &Line, pieces: &mut Vec<Piece>) {
        let size = line.size * self.scale;
        let size = if (size / self.usual - 1.0).abs() < SAME_SIZE { self.usual } else { size };
        let placed: Vec<(&Word, Rect)> = line.words.iter().map(|word| (word, self.frame(line, word))).collect();
        let Some(around) = Rect::around(placed.iter().map(|(_, rect)| rect)) else { return };
        let is_apart = |pair: &(&Word, Rect), next: &(&Word, Rect)| {
            let gap = pair.1.shared_width(&next.1);
            -gap > MAX_GAP * size
        };
        for group in placed.chunk_by(|pair, next| !is_apart(pair, next)) {
            pieces.extend(self.piece(line, size, around, group, pieces.len()));
        }
    }

    /// The word's box in the frame of its line's direction.
    fn frame(&self, line: &Line, word: &Word) -> Rect {
        let [left, top, right, bottom] = word.rect.map(|pixels| pixels * self.scale);
        self.sheet.rect_to_frame(line.turn, &Rect { left, top, right, bottom })
    }

    fn piece(&self, line: &Line, size: f32, around: Rect, group: &[(&Word, Rect)], order: usize) -> Option<Piece> {
        let rect = Rect::around(group.iter().map(|(_, rect)| rect))?;
        let mut text = String::new();
        for (at, (word, rect)) in group.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &group[before].1);
            if before.is_some_and(|before| has_blank(&text, word, before.shared_width(rect), size)) {
                text.push(' ');
            }
            text.push_str(&word.text);
        }
        let base = match line.turn {
            0 => around.bottom - line.base * self.scale + line.slope * (rect.left - around.left),
            _ => around.bottom - 0.2 * size,
        };
        let letters = || text.chars().filter(|c| c.is_alphanumeric());
        let right_to_left = letters().filter(|c| is_right_to_left(*c)).count() * 2 > letters().count();
        Some(Piece {
            rect,
            base,
            size,
            turn: line.turn,
            order,
            chars: text.chars().count(),
            gaps: Vec::new(),
            bits: vec![Bit::Plain(text)],
            bold: false,
            fixed: false,
            right_to_left,
            slanted: false,
        })
    }
}

/// Whether a blank stands between `text` and the next word, which overlaps it by `overlap`. The engine takes apart what the scripts of
/// East and South-East Asia write without blanks.
fn has_blank(text: &str, word: &Word, overlap: f32, size: f32) -> bool {
    let (Some(last), Some(next)) = (text.chars().next_back(), word.text.chars().next()) else { return false };
    let unspaced = |of: fn(char) -> bool| of(last) && of(next);
    !(unspaced(is_cjk) || unspaced(is_unspaced)) || -overlap > UNSPACED_GAP * size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::page::Content;
    use domain::document::OcrEngine;

    fn line(words: &[(&str, f32)], top: f32) -> Line {
        let word = |(text, left): &(&str, f32)| {
            let right = left + 18.0 * text.len() as f32;
            Word { text: (*text).to_owned(), rect: [*left, top, right, top + 36.0], sure: 90 }
        };
        Line { turn: 0, size: 40.0, slope: 0.0, base: 8.0, words: words.iter().map(word).collect() }
    }

    fn read(lines: Vec<Line>) -> Vec<(String, f32)> {
        let page = PageText { page: 2, engine: OcrEngine::Tesseract, width: 2480, height: 3508, dpi: 300, lines };
        let text = |draft: &Draft| match &draft.content {
            Content::Paragraph(paragraph) => (paragraph.text(), draft.place.left),
            Content::Table(_) => ("a table".to_owned(), draft.place.left),
        };
        parts(&page, 2).iter().map(text).collect()
    }

    #[test]
    fn lines_become_paragraphs_at_their_places() {
        let found = read(vec![
            line(&[("The", 248.0), ("heron-", 330.0)], 200.0),
            line(&[("house", 248.0), ("opens.", 360.0)], 250.0),
            line(&[("Later", 248.0)], 600.0),
        ]);
        let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["The heron\u{2}house opens.", "Later"]);
        assert!((found[0].1 - 0.1).abs() < 0.001, "{found:?}");
    }

    #[test]
    fn scripts_without_blanks_get_none() {
        // The test's words are as wide as their bytes.
        let found = read(vec![line(&[("ท่าเรือ", 200.0), ("เปิด", 590.0), ("日本", 900.0), ("語", 1010.0)], 200.0)]);
        assert_eq!(found[0].0, "ท่าเรือเปิด 日本語");
    }

    #[test]
    fn words_far_apart_stand_in_columns() {
        let row = |at: f32, left, right| line(&[(left, 200.0), (right, 1400.0)], 200.0 + 50.0 * at);
        let found = read(vec![
            row(0.0, "left one which is long", "right one which is long"),
            row(1.0, "left two which is long", "right two which is long"),
            row(2.0, "left three which is long", "right three which is long"),
            row(3.0, "left four which is long", "right four which is long"),
        ]);
        assert!(found[0].0.starts_with("left one which is long left two"), "{found:?}");
    }
}
