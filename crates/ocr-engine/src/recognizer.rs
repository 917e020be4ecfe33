//! Reads a strip: letters with their places, and words of them.

use rten::Model;
use rten_tensor::{AsView, Layout, NdTensor, NdTensorView};

use crate::{
    EngineError, Runner,
    crop::{Crop, Grey, HEIGHT, Ink},
    strips::Strip,
};
use pages::ocr::{Line, Word};

/// Pixels of a strip to one step of the answer.
const STEP: usize = 8;
/// The height of a font, in parts of that of its capitals.
const FONT_HEIGHT: f32 = 1.36;

/// The model that reads lines.
pub(crate) struct Recognizer {
    model: Model,
    runner: Runner,
    /// The signs that it knows, from the second class on. The first class is none, the last the blank.
    signs: Vec<String>,
}

/// A sign and where it stands: its step, which may lie between two.
#[derive(Debug, Clone, PartialEq)]
struct Letter {
    class: usize,
    step: f32,
    sure: f32,
}

impl Recognizer {
    /// `None` if the signs are not those of the model.
    pub(crate) fn new(model: Model, signs: &str, runner: Runner) -> Option<Self> {
        let signs: Vec<String> = signs.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
        let recognizer = Self { model, runner, signs };
        // On a small white strip: how many classes it has.
        let crop = Crop { width: 4 * STEP, pixels: vec![1.0; 4 * STEP * HEIGHT] };
        let answer = recognizer.answer(&crop).ok()?;
        (answer.shape()[2] == recognizer.signs.len() + 2).then_some(recognizer)
    }

    /// Reads a strip as text that runs in the direction of `turn`; `None` if nothing is on it.
    pub(crate) fn read(&self, picture: &Grey, strip: &Strip, turn: u8) -> Result<Option<Line>, EngineError> {
        let Some(crop) = picture.cut(strip, turn) else { return Ok(None) };
        let answer = self.answer(&crop)?;
        let letters = letters(answer.view());
        let words = self.words(&letters);
        let (length, thickness) = strip.along(turn);
        let pixels = length / crop.width as f32 * STEP as f32;
        let ink = crop.ink().unwrap_or(Ink { top: 0.2, base: 0.75, bottom: 0.85 });
        let across = (ink.top * thickness, ink.bottom * thickness);
        let words: Vec<Word> = words
            .into_iter()
            .map(|found| {
                let along = ((found.from * pixels).max(0.0), (found.to * pixels).min(length));
                let rect = strip.part(turn, along, across);
                Word { text: found.text, rect, sure: (found.sure * 100.0).round() as u8 }
            })
            .collect();
        if words.is_empty() {
            return Ok(None);
        }
        let slope = if turn.is_multiple_of(4) { strip.slope() } else { 0.0 };
        // At the left end of a slanted line, its base stands over the bottom of the box around the line by its fall, too.
        let fall = slope * length;
        let base_over = (ink.bottom - ink.base) * thickness + fall.max(0.0);
        Ok(Some(Line { turn, size: (ink.base - ink.top) * thickness * FONT_HEIGHT, slope, base: base_over, words }))
    }

    /// The answer of the model: one, steps, classes.
    fn answer(&self, crop: &Crop) -> Result<NdTensor<f32, 3>, EngineError> {
        let width = crop.width.next_multiple_of(STEP);
        let mut plane = vec![0.0_f32; width * HEIGHT];
        for (row, pixels) in crop.pixels.chunks_exact(crop.width).enumerate() {
            for (to, pixel) in plane[row * width..].iter_mut().zip(pixels) {
                *to = pixel * 2.0 - 1.0;
            }
        }
        let input = NdTensor::from_data([1, 3, HEIGHT, width], [&plane[..], &plane, &plane].concat());
        let answer = self.model.run_one(input.into(), self.runner.options());
        answer.ok().and_then(|value| value.try_into().ok()).ok_or(EngineError::Picture)
    }

    fn words(&self, letters: &[Letter]) -> Vec<Found> {
        let is_blank = |letter: &Letter| letter.class > self.signs.len();
        // How far letters are apart: half of it lies on each side of the first and the last.
        let steps = letters.windows(2).map(|pair| pair[1].step - pair[0].step);
        let near = 0.5 * steps.clone().sum::<f32>() / steps.count().max(1) as f32;
        let words = letters.split(is_blank).filter(|word| !word.is_empty());
        words
            .filter_map(|word| {
                let text: String = word.iter().map(|letter| self.signs[letter.class - 1].as_str()).collect();
                let text: String = text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
                let sure = word.iter().map(|letter| letter.sure).sum::<f32>() / word.len() as f32;
                let (first, last) = (word.first()?, word.last()?);
                let near = near.clamp(0.5, 4.0);
                let (from, to) = (first.step + 0.5 - near, last.step + 0.5 + near);
                (!text.is_empty()).then_some(Found { text, sure, from, to })
            })
            .collect()
    }
}

/// A word: from step to step.
struct Found {
    text: String,
    sure: f32,
    from: f32,
    to: f32,
}

/// The letters of an answer: the surest class of each step, of equal ones in a row the one letter, and none where the class is
/// none.
fn letters(answer: NdTensorView<'_, f32, 3>) -> Vec<Letter> {
    let [_, steps, _] = answer.shape();
    let mut found: Vec<Letter> = Vec::new();
    let mut last = 0;
    for step in 0..steps {
        let row = answer.slice((0, step));
        let surer =
            |best: (usize, f32), (class, sure): (usize, &f32)| if *sure > best.1 { (class, *sure) } else { best };
        let (class, sure) = row.iter().enumerate().fold((0, f32::MIN), surer);
        match found.last_mut() {
            Some(letter) if class != 0 && class == last => {
                letter.step += 0.5;
                letter.sure = letter.sure.max(sure);
            }
            _ if class != 0 => found.push(Letter { class, step: step as f32, sure }),
            _ => {}
        }
        last = class;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_signs_in_a_row_are_one_unless_none_stands_between() {
        let steps = [1, 1, 0, 1, 2, 0, 3];
        let mut answer = vec![0.0; steps.len() * 4];
        for (step, class) in steps.iter().enumerate() {
            answer[step * 4 + class] = 0.9;
        }
        let answer = NdTensor::from_data([1, steps.len(), 4], answer);
        let found: Vec<(usize, f32)> =
            letters(answer.view()).iter().map(|letter| (letter.class, letter.step)).collect();
        assert_eq!(found, [(1, 0.5), (1, 3.0), (2, 4.0), (3, 6.0)]);
    }
}
