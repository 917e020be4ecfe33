//! Recognises text that is none: of fonts that do not say which letters they draw.

use std::collections::{BTreeMap, BTreeSet};

use super::characters::Char;

/// How often each control character stands in each font of a page, by the font's number and the character's code.
pub(super) type Controls = BTreeMap<(usize, u32), usize>;

/// Fewer characters than these decide nothing.
const MIN_CHARS: usize = 20;
/// The share of neighbours that are both signs, and different ones, from which on a text is no text; in real text, formulas
/// included, it stays below a tenth (measured over the samples).
const MAX_SIGN_PAIRS: f32 = 0.3;

/// The share of a page's characters from which on it is read by OCR for those that are missing: OCR loses three of a hundred
/// words of a good page.
const MAX_MISSING: f32 = 0.05;

/// Takes out the characters of fonts that number their glyphs instead of naming letters ("QRWLFH" for "notice"), and counts
/// them. Such a font is known by its blank: the most frequent sign of a text, which then comes as a control character.
/// `fonts` has the font of each drawing operation.
pub(super) fn remove_numbers(chars: &mut Vec<Char>, fonts: &[usize], controls: &Controls) -> usize {
    let font = |char: &Char| fonts.get(char.run as usize).copied();
    let mut letters: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    for char in chars.iter() {
        if let Some(font) = font(char) {
            *letters.entry((font, u32::from(char.c))).or_default() += 1;
        }
    }
    let of = |counts: &BTreeMap<(usize, u32), usize>, font: usize| -> (usize, usize) {
        let counts = counts.range((font, 0)..=(font, u32::MAX)).map(|(_, count)| *count);
        counts.fold((0, 0), |(sum, most), count| (sum + count, most.max(count)))
    };
    let is_numbered = |font: &usize| {
        let ((letters, most_letters), (controls, most_controls)) = (of(&letters, *font), of(controls, *font));
        letters + controls >= MIN_CHARS && most_controls > most_letters
    };
    let numbered: BTreeSet<usize> = controls.keys().map(|(font, _)| *font).filter(is_numbered).collect();
    let before = chars.len();
    chars.retain(|char| font(char).is_none_or(|font| !numbered.contains(&font)));
    before - chars.len() + numbered.iter().map(|font| of(controls, *font).0).sum::<usize>()
}

/// Whether so many of the page's characters stand for no letter that its text is not whole.
pub(super) fn is_partial(chars: &[Char], numbers: usize) -> bool {
    numbers >= MIN_CHARS && numbers as f32 > MAX_MISSING * (chars.len() + numbers) as f32
}

/// Whether the page's characters are not its text. `unknown` more of them stand for no letter.
pub(super) fn is_garbage(chars: &[Char], unknown: usize) -> bool {
    if chars.len() + unknown < MIN_CHARS {
        return false;
    }
    if unknown > chars.len() {
        return true;
    }
    let is_sign = |c: char| c.is_ascii_punctuation();
    let is_odd = |pair: &[Char]| is_sign(pair[0].c) && is_sign(pair[1].c) && pair[0].c != pair[1].c && !pair[1].spaced;
    let odd = chars.windows(2).filter(|pair| is_odd(pair)).count();
    odd as f32 > MAX_SIGN_PAIRS * chars.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::{characters::Look, geometry::Rect};

    /// Each text in the font of its place, with its control characters apart, as a page has them.
    fn page(texts: &[&str]) -> (Vec<Char>, Vec<usize>, Controls) {
        let look = Look { size: 10.0, bold: false, fixed: false, invisible: false, slanted: false };
        let rect = Rect { left: 0.0, top: 0.0, right: 5.0, bottom: 10.0 };
        let (mut chars, mut controls) = (Vec::new(), Controls::new());
        for (font, text) in texts.iter().enumerate() {
            for c in text.chars() {
                if c.is_control() {
                    *controls.entry((font, u32::from(c))).or_default() += 1;
                } else {
                    chars.push(Char { c, rect, base: 8.0, turn: 0, run: font as u32, spaced: false, look });
                }
            }
        }
        (chars, (0..texts.len()).collect(), controls)
    }

    fn text(chars: &[Char]) -> String {
        chars.iter().map(|char| char.c).collect()
    }

    #[test]
    fn fonts_that_number_their_glyphs_are_left_out() {
        // "the boats of the harbour are in the shed", 29 places on.
        let numbers = "WKH\u{3}ERDWV\u{3}RI\u{3}WKH\u{3}KDUERXU\u{3}DUH\u{3}LQ\u{3}WKH\u{3}VKHG";
        let (mut chars, fonts, controls) = page(&["Notice of the year", numbers]);
        assert_eq!(remove_numbers(&mut chars, &fonts, &controls), numbers.len());
        assert_eq!(text(&chars), "Notice of the year");
        assert!(is_partial(&chars, numbers.len()));
    }

    #[test]
    fn old_fonts_whose_quotation_marks_are_control_characters_stay() {
        let tex = "\u{10}workers of the world, unite\u{11} stands in the greengrocer's window";
        let (mut chars, fonts, controls) = page(&[tex]);
        assert_eq!(remove_numbers(&mut chars, &fonts, &controls), 0);
        assert_eq!(chars.len(), tex.len() - 2);
    }
}
