//! Recognises text that is none: of fonts that do not say which letters they draw.

use super::characters::Char;

/// Fewer characters than these decide nothing.
const MIN_CHARS: usize = 20;
/// The share of neighbours that are both signs, and different ones, from which on a text is no text; in real text, formulas
/// included, it stays below a tenth (measured over the samples).
const MAX_SIGN_PAIRS: f32 = 0.3;

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
