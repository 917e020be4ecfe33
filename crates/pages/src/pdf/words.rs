//! Pieces of lines: characters that follow each other on one line, and the blanks between their words.

use super::{
    characters::{Char, is_cjk, is_right_to_left, is_unspaced},
    geometry::{Rect, Turn},
};

/// Gaps and distances are in parts of the font's size.
/// The widest gap within a piece. Gutters between columns are wider; blanks of justified lines seldom are.
const MAX_GAP: f32 = 0.95;
/// How far a character may stand back over the one before it (kerning, accents).
const MAX_OVERLAP: f32 = 0.6;
/// How far apart the lines may be on which the characters of a piece stand.
const SAME_BASE: f32 = 0.18;
/// How far from its line a raised or lowered character may stand.
const SCRIPT_SHIFT: f32 = 0.65;
/// The size of a raised or lowered character, at most, in parts of its neighbours'.
const SCRIPT_SIZE: f32 = 0.85;
/// The narrowest gap between two words, beyond the gaps within a word.
const WORD_GAP: f32 = 0.15;
/// The same where letters stand close: most gaps are below `CLOSE`.
const CLOSE_WORD_GAP: f32 = 0.1;
const CLOSE: f32 = 0.03;
/// The narrowest gap between two phrases of a script that has no blanks between words.
const UNSPACED_GAP: f32 = 0.2;
/// The distance of the middles of two letters of a slanted word, at most.
const SLANTED_STEP: f32 = 1.1;
/// How far apart the two prints of a letter are that is drawn twice to look bold.
const REPRINT: f32 = 0.12;

/// A part of a piece's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bit {
    /// Words on the line.
    Plain(String),
    /// A raised sign.
    Raised(String),
    /// A lowered sign.
    Lowered(String),
}

impl Bit {
    fn text_mut(&mut self) -> &mut String {
        match self {
            Self::Plain(text) | Self::Raised(text) | Self::Lowered(text) => text,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Raised(text) | Self::Lowered(text) => text,
        }
    }
}

/// Characters that follow each other on one line, in reading order.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) bits: Vec<Bit>,
    pub(super) rect: Rect,
    pub(super) base: f32,
    pub(super) size: f32,
    pub(super) turn: Turn,
    /// Its place in the order of the page's content.
    pub(super) order: usize,
    pub(super) chars: usize,
    /// The left and the right end of each blank in its text, in points; none where it runs to the left.
    pub(super) gaps: Vec<(f32, f32)>,
    pub(super) bold: bool,
    pub(super) fixed: bool,
    pub(super) right_to_left: bool,
    pub(super) slanted: bool,
}

impl Piece {
    /// Its text, without marks of raised and lowered signs.
    pub(super) fn text(&self) -> String {
        self.bits.iter().map(Bit::text).collect()
    }

    /// From its letters' tops to their feet: the lines of a narrow setting overlap by their fonts' heights.
    pub(super) fn body(&self) -> Rect {
        let (top, bottom) = (self.base - 0.72 * self.size, self.base + 0.18 * self.size);
        Rect { top, bottom, ..self.rect }
    }
}

/// The pieces of `chars`, in the order of the content. A vertical rule of a table between two characters parts them:
/// `bars` has them in the frame of each direction.
pub(super) fn pieces(chars: &[Char], bars: &[Vec<Rect>; 4]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut group: Vec<&Char> = Vec::new();
    for char in chars {
        if group.last().is_some_and(|last| is_reprint(last, char)) {
            continue;
        }
        if !follows(&group, char)
            || group.last().is_some_and(|last| is_parted(last, char, &bars[usize::from(char.turn % 4)]))
        {
            push_piece(&mut pieces, &group);
            group.clear();
        }
        group.push(char);
    }
    push_piece(&mut pieces, &group);
    without_reprints(pieces)
}

/// Whether `char` is `last` drawn once more.
fn is_reprint(last: &Char, char: &Char) -> bool {
    let limit = REPRINT * char.look.size;
    last.c == char.c
        && last.run != char.run
        && last.turn == char.turn
        && (last.rect.left - char.rect.left).abs() < limit
        && (last.base - char.base).abs() < limit
}

/// Whether `char` goes on with the line of `group`.
fn follows(group: &[&Char], char: &Char) -> bool {
    let Some(last) = group.last() else { return true };
    if last.turn != char.turn || last.look.slanted != char.look.slanted || last.look.invisible != char.look.invisible {
        return false;
    }
    let size = last.look.size.max(char.look.size);
    if char.look.slanted {
        // The boxes of slanted letters overlap.
        return last.run == char.run || step(last, char) < 1.5 * SLANTED_STEP * size;
    }
    let gap = gap(last, char) / size;
    if !(-MAX_OVERLAP..=MAX_GAP).contains(&gap) {
        return false;
    }
    let main = main_of(group);
    let shift = (char.base - main.base).abs() / size;
    let (small, large) = (char.look.size.min(main.look.size), char.look.size.max(main.look.size));
    shift < SAME_BASE && small > 0.5 * large
        || (shift < SCRIPT_SHIFT && small < SCRIPT_SIZE * large && gap < 0.4)
        // Raised signs beside each other.
        || (last.base - char.base).abs() / size < SAME_BASE && last.look.size == char.look.size && gap < 0.4
}

/// The distance of the middles of two characters, in points.
fn step(last: &Char, char: &Char) -> f32 {
    let ((x, y), (next_x, next_y)) = (last.rect.middle(), char.rect.middle());
    (next_x - x).hypot(next_y - y)
}

/// Whether one of the vertical `bars` stands between the two.
fn is_parted(last: &Char, char: &Char, bars: &[Rect]) -> bool {
    if bars.is_empty() || !(char.spaced || gap(last, char) > 0.0) {
        return false;
    }
    let (from, to) = (last.rect.middle().0, char.rect.middle().0);
    let y = char.base - 0.3 * char.look.size;
    bars.iter().any(|bar| {
        let x = bar.middle().0;
        from.min(to) < x && x < from.max(to) && bar.top <= y && y <= bar.bottom
    })
}

/// The first of the largest characters: it stands on the line.
fn main_of<'a>(group: &[&'a Char]) -> &'a Char {
    let mut main = group[0];
    // Enough to see past raised signs at the beginning.
    for char in group.iter().take(8) {
        if char.look.size > main.look.size {
            main = char;
        }
    }
    main
}

/// The gap between two characters in the direction of reading, in points.
fn gap(last: &Char, char: &Char) -> f32 {
    if is_right_to_left(last.c) || is_right_to_left(char.c) {
        let back = last.rect.left - char.rect.right;
        let forth = char.rect.left - last.rect.right;
        // A number within a line from right to left runs to the right.
        return if back.abs() <= forth.abs() { back } else { forth };
    }
    char.rect.left - last.rect.right
}

fn push_piece(pieces: &mut Vec<Piece>, group: &[&Char]) {
    let Some(rect) = Rect::around(group.iter().map(|char| &char.rect)) else { return };
    let main = main_of(group);
    let count = |of: fn(&Char) -> bool| group.iter().filter(|char| of(char)).count();
    let most = |of| count(of) * 2 > group.len();
    let right_to_left = most(|char| is_right_to_left(char.c));
    let (bits, gaps) = bits(group, main);
    pieces.push(Piece {
        bits,
        gaps: if right_to_left { Vec::new() } else { gaps },
        rect,
        base: main.base,
        size: main.look.size,
        turn: main.turn,
        order: pieces.len(),
        chars: group.len(),
        // A bold beginning of a paragraph does not make its line bold.
        bold: count(|char| char.look.bold) * 10 > group.len() * 9,
        fixed: most(|char| char.look.fixed),
        right_to_left,
        slanted: main.look.slanted,
    });
}

/// The text of a piece, with blanks where words end, and the left and right end of each blank.
fn bits(group: &[&Char], main: &Char) -> (Vec<Bit>, Vec<(f32, f32)>) {
    let mut bits: Vec<Bit> = Vec::new();
    let mut gaps = Vec::new();
    let threshold = word_gap(group);
    let mut last: Option<&Char> = None;
    for (at, char) in group.iter().enumerate() {
        let is_even = is_even(group.get(at.saturating_sub(3)..(at + 3).min(group.len())).unwrap_or_default());
        let blank = last.is_some_and(|last| ends_word(last, char, threshold)) && !is_even;
        if let Some(last) = last.filter(|_| blank) {
            gaps.push((last.rect.right, char.rect.left));
        }
        let shift = (char.base - main.base) / main.look.size;
        let is_script = char.look.size < SCRIPT_SIZE * main.look.size
            && shift.abs() > 0.08
            && (char.c.is_alphanumeric()
                || matches!(char.c, '+' | '-' | '−' | '*' | '†' | '‡' | '§' | ',' | '∗' | '′'));
        let same = match bits.last() {
            Some(Bit::Raised(_)) => is_script && shift < 0.0,
            Some(Bit::Lowered(_)) => is_script && shift > 0.0,
            Some(Bit::Plain(_)) => !is_script,
            None => false,
        };
        if !same {
            if blank && let Some(bit) = bits.last_mut() {
                bit.text_mut().push(' ');
            }
            bits.push(match is_script {
                true if shift < 0.0 => Bit::Raised(String::new()),
                true => Bit::Lowered(String::new()),
                false => Bit::Plain(String::new()),
            });
        }
        if let Some(bit) = bits.last_mut() {
            if same && blank {
                bit.text_mut().push(' ');
            }
            push_char(bit.text_mut(), char.c);
        }
        last = Some(char);
    }
    (bits, gaps)
}

/// The narrowest gap that separates words in this piece, in points.
fn word_gap(group: &[&Char]) -> f32 {
    let size = group.first().map_or(1.0, |char| char.look.size);
    let pairs = group.windows(2).filter(|pair| !pair[1].spaced && pair[0].rect.width() > 0.0 && !is_leader(pair));
    let mut gaps: Vec<f32> = pairs.map(|pair| gap(pair[0], pair[1])).collect();
    gaps.sort_unstable_by(f32::total_cmp);
    // Of the narrower gaps: where many words are short, the median is one between words.
    let usual = if gaps.len() < 3 { 0.0 } else { gaps.get(gaps.len() / 4).copied().unwrap_or(0.0).max(0.0) };
    // Letters that are set apart: their words are apart by more than twice that.
    let most = gaps.get(gaps.len() * 2 / 3).copied().unwrap_or(f32::MAX);
    usual
        + match () {
            () if usual > 0.1 * size => usual.max(WORD_GAP * size),
            () if gaps.len() >= 3 && most < CLOSE * size => CLOSE_WORD_GAP * size,
            () => WORD_GAP * size,
        }
}

/// Whether two signs lead to the end of a line, as dots do: how far they are apart says nothing of the letters.
fn is_leader(pair: &[&Char]) -> bool {
    pair[0].c == pair[1].c && !pair[0].c.is_alphanumeric()
}

/// Whether capital letters were each put where they are, at the same distance: those of one word, set apart.
fn is_even(near: &[&Char]) -> bool {
    let step = |pair: &[&Char]| pair[1].rect.left - pair[0].rect.left;
    let Some(first) = near.get(..2).filter(|_| near.len() >= 4).map(step) else { return false };
    near.iter().all(|char| !char.c.is_lowercase())
        && near.windows(2).all(|pair| {
            pair[0].run != pair[1].run && !pair[1].spaced && (step(pair) - first).abs() < 0.01 * pair[0].look.size
        })
}

fn ends_word(last: &Char, char: &Char, threshold: f32) -> bool {
    if is_cjk(last.c) && is_cjk(char.c) {
        return char.spaced && gap(last, char) > 0.2 * char.look.size;
    }
    // Their vowels and tones stand above and below, in gaps of any width.
    if is_unspaced(last.c) && is_unspaced(char.c) {
        return gap(last, char) > UNSPACED_GAP * char.look.size;
    }
    if char.look.slanted {
        return char.spaced || step(last, char) > SLANTED_STEP * char.look.size;
    }
    char.spaced || gap(last, char) > threshold
}

/// Adds a character; forms that a font has for the same letter become that letter.
fn push_char(text: &mut String, c: char) {
    match c {
        '\u{fb00}' => text.push_str("ff"),
        '\u{fb01}' => text.push_str("fi"),
        '\u{fb02}' => text.push_str("fl"),
        '\u{fb03}' => text.push_str("ffi"),
        '\u{fb04}' => text.push_str("ffl"),
        '\u{fb05}' | '\u{fb06}' => text.push_str("st"),
        // Two single quotation marks are the double one.
        '‘' if text.ends_with('‘') => {
            text.pop();
            text.push('“');
        }
        '’' if text.ends_with('’') => {
            text.pop();
            text.push('”');
        }
        _ => text.push(c),
    }
}

/// Leaves out pieces that repeat another one at nearly the same place.
fn without_reprints(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|a, b| {
        let key = |i: usize| (pieces[i].turn, pieces[i].base);
        let ((turn_a, base_a), (turn_b, base_b)) = (key(*a), key(*b));
        turn_a.cmp(&turn_b).then(base_a.total_cmp(&base_b)).then(a.cmp(b))
    });
    let mut kept = vec![true; pieces.len()];
    for (at, &index) in order.iter().enumerate() {
        let piece = &pieces[index];
        let limit = REPRINT * piece.size;
        // Few pieces stand on one line.
        let before = order[..at].iter().rev().take(40).take_while(|&&other| piece.base - pieces[other].base < limit);
        let is_again = |other: &Piece| {
            other.turn == piece.turn
                && (other.rect.left - piece.rect.left).abs() < limit
                && other.chars == piece.chars
                && other.bits == piece.bits
        };
        if before.into_iter().any(|&other| kept[other] && is_again(&pieces[other])) {
            kept[index] = false;
        }
    }
    let mut keep = kept.iter();
    pieces.into_iter().filter(|_| *keep.next().unwrap_or(&true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::characters::Look;

    /// Characters of ten points on one line, each with the gap before it.
    fn line(text: &[(&str, f32)]) -> Vec<Char> {
        let look = Look { size: 10.0, bold: false, fixed: false, invisible: false, slanted: false };
        let mut left = 0.0;
        let mut chars = Vec::new();
        for (word, gap) in text {
            for (at, c) in word.chars().enumerate() {
                left += if at == 0 { *gap } else { 0.0 };
                let rect = Rect { left, top: 2.0, right: left + 5.0, bottom: 12.0 };
                chars.push(Char { c, rect, base: 10.0, turn: 0, run: 1, spaced: false, look });
                left += 5.0;
            }
        }
        chars
    }

    fn text(chars: &[Char]) -> Vec<String> {
        pieces(chars, &Default::default()).iter().map(Piece::text).collect()
    }

    #[test]
    fn dots_that_lead_to_a_number_do_not_join_the_words_before_them() {
        let mut entry = vec![("2.1", 0.0), ("Tide", 4.0), ("mills", 2.5)];
        entry.extend([(".", 2.2); 30]);
        entry.push(("9", 3.0));
        assert_eq!(text(&line(&entry)), [format!("2.1 Tide mills{} 9", " .".repeat(30))]);
    }
}
