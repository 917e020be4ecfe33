//! Doubled letters that PDFium leaves out. It takes a text object for the shadow of one of the five before it (fake bold)
//! where both hold the same characters and their ink overlaps: so does the second "f" of a slanted "effect" whose letters
//! are objects of their own.

use std::collections::BTreeMap;

use super::{
    characters::{Char, is_right_to_left},
    geometry::Sheet,
};

/// A text object of the page's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextObject {
    /// PDFium's number for it, while the page is open.
    pub(super) handle: usize,
    /// Where its text begins, in the coordinates of the file.
    pub(super) origin: (f32, f32),
    /// Width and height of its ink, in points; 0 of a blank.
    pub(super) ink: (f32, f32),
}

impl TextObject {
    fn is_blank(&self) -> bool {
        self.ink.0.min(self.ink.1) < SAME_INK
    }

    fn looks_like(&self, other: &Self) -> bool {
        (self.ink.0 - other.ink.0).abs() < SAME_INK && (self.ink.1 - other.ink.1).abs() < SAME_INK
    }
}

/// Objects before one in which PDFium looks for its like.
const LOOKED_AT: usize = 5;
/// The least distance of two letters of a word, and the greatest from their line, in parts of the font's size.
const MIN_STEP: f32 = 0.15;
const MAX_SHIFT: f32 = 0.05;
/// How far the ink of two prints of a letter may differ, in points.
const SAME_INK: f32 = 0.02;
/// The narrowest gap in which a letter is missing, in parts of the distance of the two.
const MISSING: f32 = 0.6;

/// Characters that are missing, and the index of the character before them.
pub(super) struct Twin {
    pub(super) after: usize,
    pub(super) chars: Vec<Char>,
}

/// The missing twins of letters among `chars`, in the order of the content. `runs` has the number of each object that
/// PDFium gave text of, by its handle.
pub(super) fn missing(chars: &[Char], objects: &[TextObject], runs: &BTreeMap<usize, u32>, sheet: &Sheet) -> Vec<Twin> {
    // Nearly always all objects are there.
    if objects.iter().all(|object| runs.contains_key(&object.handle) || object.is_blank()) {
        return Vec::new();
    }
    let mut places: BTreeMap<u32, std::ops::Range<usize>> = BTreeMap::new();
    for (at, char) in chars.iter().enumerate() {
        places.entry(char.run).or_insert(at..at).end = at + 1;
    }
    let mut found: Vec<Twin> = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        if runs.contains_key(&object.handle) || object.is_blank() {
            continue;
        }
        let before = objects[at.saturating_sub(LOOKED_AT)..at].iter().rev().filter(|like| like.looks_like(object));
        let twin =
            before.filter_map(|like| Some((like, places.get(runs.get(&like.handle)?)?))).find_map(|(like, range)| {
                // What PDFium gives in parts is no single object.
                let letters = chars.get(range.clone()).filter(|letters| letters.len() <= 2)?;
                let (copied, step) = moved(letters, like.origin, object.origin, sheet)?;
                let is_free = fits(copied.last()?, step, chars.get(range.end));
                is_free.then_some(Twin { after: range.end - 1, chars: copied })
            });
        found.extend(twin);
    }
    found.sort_by_key(|twin| twin.after);
    found.dedup_by_key(|twin| twin.after);
    found
}

/// The letters as they stand at `to` instead of `from`, and how far that is; `None` if it is not beside them.
fn moved(letters: &[Char], from: (f32, f32), to: (f32, f32), sheet: &Sheet) -> Option<(Vec<Char>, f32)> {
    let first = letters.first().filter(|first| !first.look.slanted && !is_right_to_left(first.c))?;
    let (from, to) = (sheet.to_frame(first.turn, sheet.shown(from)), sheet.to_frame(first.turn, sheet.shown(to)));
    let (step, shift, size) = (to.0 - from.0, to.1 - from.1, first.look.size);
    let width = letters.last()?.rect.right - first.rect.left;
    let is_beside = step > MIN_STEP * size && step < width && shift.abs() < MAX_SHIFT * size;
    is_beside.then(|| {
        let move_char = |char: &Char| {
            let mut char = char.clone();
            char.rect.left += step;
            char.rect.right += step;
            char.spaced = false;
            char
        };
        (letters.iter().map(move_char).collect(), step)
    })
}

/// Whether there is room for `letter`, of which the next one is `step` apart, in front of `next`, where that is on the same line.
fn fits(letter: &Char, step: f32, next: Option<&Char>) -> bool {
    let size = letter.look.size;
    let on_line = |next: &&Char| next.turn == letter.turn && (next.base - letter.base).abs() < MAX_SHIFT * size;
    next.filter(on_line).is_none_or(|next| {
        let distance = next.rect.left - letter.rect.left;
        distance > MISSING * step || distance < -size
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::{characters::Look, geometry::Rect};

    /// Slanted letters of ten points, each an object, three points apart; their ink stands out by two.
    fn letters(text: &str) -> (Vec<Char>, Vec<TextObject>) {
        let look = Look { size: 10.0, bold: false, fixed: false, invisible: false, slanted: false };
        let char = |at: usize, c: char| {
            let left = 3.0 * at as f32;
            let rect = Rect { left, top: 2.0, right: left + 5.0, bottom: 12.0 };
            Char { c, rect, base: 10.0, turn: 0, run: at as u32 + 1, spaced: false, look }
        };
        let object = |at: usize, c: char| {
            let ink = if c == ' ' { (0.0, 0.0) } else { (c as u32 as f32 / 30.0, 8.0) };
            TextObject { handle: at + 1, origin: (3.0 * at as f32, 90.0), ink }
        };
        let chars = text.chars().enumerate().map(|(at, c)| char(at, c)).collect();
        (chars, text.chars().enumerate().map(|(at, c)| object(at, c)).collect())
    }

    /// The text with what is missing, where PDFium gave nothing of the object at each of `dropped`.
    fn restored(text: &str, dropped: &[usize]) -> String {
        let (mut chars, objects) = letters(text);
        let given = |at: &u32| !dropped.contains(&(*at as usize - 1));
        let runs = chars.iter().map(|char| char.run).filter(given).map(|run| (run as usize, run)).collect();
        chars.retain(|char| given(&char.run));
        let sheet = Sheet::new([0.0, 0.0, 100.0, 100.0], 0);
        for twin in missing(&chars, &objects, &runs, &sheet).into_iter().rev() {
            chars.splice(twin.after + 1..twin.after + 1, twin.chars);
        }
        chars.iter().map(|char| char.c).collect()
    }

    #[test]
    fn the_second_of_two_letters_is_put_back() {
        assert_eq!(restored("effort", &[2]), "effort");
        assert_eq!(restored("stiff", &[4]), "stiff");
    }

    #[test]
    fn blanks_and_shadows_are_not_letters() {
        assert_eq!(restored("of it", &[2]), "ofit", "a blank has no ink");
        let (chars, mut objects) = letters("fog");
        objects.push(TextObject { handle: 9, origin: (0.4, 90.0), ..objects[0] });
        let runs = chars.iter().map(|char| (char.run as usize, char.run)).collect();
        let sheet = Sheet::new([0.0, 0.0, 100.0, 100.0], 0);
        assert!(missing(&chars, &objects, &runs, &sheet).is_empty(), "fake bold");
    }
}
