//! Characters that are drawn in parts or out of their line: accents beside their letters, initials over several lines.

use unicode_normalization::char::compose;

use super::{
    characters::Char,
    geometry::{Rect, median},
};

/// Distances are in parts of the font's size.
/// How far, in the order of PDFium, an accent may stand in front of its letter, and behind it: PDFium sorts the drawing
/// operations of a line by their beginnings, so that the accent follows the words that begin with its letter.
const ACCENT_AHEAD: usize = 2;
const ACCENT_BEHIND: usize = 150;
/// The least size of an initial, in parts of the usual size.
const INITIAL_SIZE: f32 = 1.9;
/// Initials of a page that are looked for.
const MAX_INITIALS: usize = 50;
/// How far the first line may begin from the initial.
const INITIAL_GAP: f32 = 1.2;

/// An initial: its place, in the frame of its direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Initial {
    place: Rect,
    /// The size of the text beside it.
    size: f32,
}

impl Initial {
    /// The left edge at which a line beside the initial begins, if the line that begins at `left` on `base` is one.
    pub(super) fn left_of_line(&self, left: f32, base: f32) -> Option<f32> {
        let beside = (-0.3..INITIAL_GAP).contains(&((left - self.place.right) / self.size));
        let is_line = self.place.top < base && base < self.place.bottom + 0.3 * self.size;
        (beside && is_line).then_some(self.place.left)
    }
}

/// Puts accents onto their letters: programs such as TeX draw them one over the other.
pub(super) fn join_accents(chars: &mut Vec<Char>) {
    if !chars.iter().any(|char| combining(char.c).is_some()) {
        return;
    }
    let mut gone = vec![false; chars.len()];
    for at in 0..chars.len() {
        let Some(mark) = combining(chars[at].c) else { continue };
        let accent = chars[at].clone();
        let near = at.saturating_sub(ACCENT_BEHIND)..(at + ACCENT_AHEAD + 1).min(chars.len());
        let found = near.rev().filter(|&to| to != at && !gone[to]).find_map(|to| {
            let letter = &chars[to];
            let (middle, _) = accent.rect.middle();
            let is_over = letter.turn == accent.turn
                && (letter.base - accent.base).abs() < 0.5 * letter.look.size
                && letter.rect.left < middle
                && middle < letter.rect.right;
            let base = match letter.c {
                'ı' => 'i',
                'ȷ' => 'j',
                c => c,
            };
            compose(base, mark).filter(|_| is_over).map(|c| (to, c))
        });
        if let Some((to, c)) = found {
            gone[at] = true;
            chars[to].c = c;
            chars[to].spaced |= accent.spaced && at < to;
        }
    }
    let mut gone = gone.into_iter();
    chars.retain(|_| !gone.next().unwrap_or(false));
}

/// The mark that goes with a letter as the accent `c` does.
fn combining(c: char) -> Option<char> {
    Some(match c {
        '`' => '\u{300}',
        '´' => '\u{301}',
        'ˆ' => '\u{302}',
        '˜' => '\u{303}',
        '¯' => '\u{304}',
        '˘' => '\u{306}',
        '˙' => '\u{307}',
        '¨' => '\u{308}',
        '˚' => '\u{30a}',
        '˝' => '\u{30b}',
        'ˇ' => '\u{30c}',
        '¸' => '\u{327}',
        '˛' => '\u{328}',
        '\u{300}'..='\u{36f}' => c,
        _ => return None,
    })
}

/// Puts initials that stand beside several lines in front of the first of them.
pub(super) fn lower_initials(chars: &mut Vec<Char>) -> Vec<Initial> {
    let Some(usual) = median(&mut chars.iter().map(|char| char.look.size).collect::<Vec<_>>()) else {
        return Vec::new();
    };
    let is_large = |char: &Char| char.look.size >= INITIAL_SIZE * usual && !char.look.slanted;
    let alone = |at: usize| {
        let other = |to: Option<&Char>| to.is_none_or(|to| !is_large(to) || to.run != chars[at].run);
        chars[at].c.is_uppercase()
            && is_large(&chars[at])
            && other(at.checked_sub(1).and_then(|to| chars.get(to)))
            && other(chars.get(at + 1))
    };
    let mut found = Vec::new();
    let large: Vec<usize> = (0..chars.len()).filter(|&at| alone(at)).take(MAX_INITIALS).collect();
    // From the last on, so that the places of the others stay as they are.
    for at in large.into_iter().rev() {
        let Some(first) = first_beside(chars, at) else { continue };
        let mut initial = chars.remove(at);
        let first = if first > at { first - 1 } else { first };
        let text = &chars[first];
        found.push(Initial { place: cap_rect(&initial), size: text.look.size });
        initial.rect = Rect { left: initial.rect.left, right: text.rect.left, ..text.rect };
        (initial.base, initial.run, initial.look) = (text.base, text.run, text.look);
        chars.insert(first, initial);
    }
    found
}

/// From the initial's top to its foot: its font's box is higher.
fn cap_rect(char: &Char) -> Rect {
    Rect { top: char.base - 0.72 * char.look.size, bottom: char.base, ..char.rect }
}

/// The first character of the line at the top of the initial at `at`.
fn first_beside(chars: &[Char], at: usize) -> Option<usize> {
    let initial = &chars[at];
    let place = cap_rect(initial);
    let is_first = |char: &Char| {
        let size = char.look.size;
        let gap = (char.rect.left - place.right) / size;
        char.turn == initial.turn
            && size * INITIAL_SIZE <= initial.look.size
            && (-0.3..INITIAL_GAP).contains(&gap)
            && (char.base - 0.72 * size - place.top).abs() < 0.6 * size
            && initial.base - char.base > 0.6 * size
    };
    (0..chars.len()).filter(|&to| is_first(&chars[to])).min_by(|a, b| {
        let left = |at: &usize| chars[*at].rect.left;
        left(a).total_cmp(&left(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::characters::Look;

    fn char(c: char, left: f32, base: f32, size: f32, run: u32) -> Char {
        let rect = Rect { left, top: base - 0.8 * size, right: left + 0.5 * size, bottom: base + 0.2 * size };
        let look = Look { size, bold: false, fixed: false, invisible: false, slanted: false };
        Char { c, rect, base, turn: 0, run, spaced: false, look }
    }

    fn text(chars: &[Char]) -> String {
        chars.iter().map(|char| char.c).collect()
    }

    #[test]
    fn accents_are_put_onto_their_letters() {
        let mut chars = vec![
            char('J', 0.0, 10.0, 10.0, 1),
            char('a', 5.0, 10.0, 10.0, 2),
            char('n', 10.0, 10.0, 10.0, 2),
            char('´', 5.5, 10.0, 10.0, 3),
            char('ˇ', 15.5, 10.0, 10.0, 4),
            char('c', 15.0, 10.0, 10.0, 5),
            char('ˇ', 30.0, 10.0, 10.0, 6),
        ];
        join_accents(&mut chars);
        assert_eq!(text(&chars), "Jánčˇ", "an accent without a letter stays");
    }

    #[test]
    fn an_initial_stands_in_front_of_its_first_line() {
        let mut chars =
            vec![char('v', 20.0, 10.0, 10.0, 1), char('x', 20.0, 22.0, 10.0, 2), char('O', 2.0, 22.0, 27.0, 3)];
        let initials = lower_initials(&mut chars);
        assert_eq!(text(&chars), "Ovx");
        assert_eq!(chars[0].base, 10.0);
        assert_eq!(initials[0].left_of_line(20.0, 22.0), Some(2.0));
        assert_eq!(initials[0].left_of_line(20.0, 34.0), None, "the line below the initial begins where it begins");
    }
}
