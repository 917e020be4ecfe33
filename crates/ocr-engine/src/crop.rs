//! Pictures in grey, and strips cut out of them, upright and as high as the recogniser likes them.

use pages::bitmap::Bitmap;

use crate::strips::Strip;

/// The height that the recogniser was trained on, in pixels.
pub(crate) const HEIGHT: usize = 48;
/// The longest strip, in pixels of that height. Longer ones are squeezed.
const MAX_WIDTH: f32 = 3200.0;
/// The shortest.
const MIN_WIDTH: f32 = 16.0;
/// The share of the darkest row's ink that the row has on which letters stand; hanging letters are fewer.
const BASE_SHARE: f32 = 0.4;
/// The share of it that a row of letters has, at least.
const LETTER_SHARE: f32 = 0.02;
/// The share of a row's pixels from which on they are no letters.
const RULE_SHARE: f32 = 0.85;
/// The rows between a letter and its dot, at most.
const MAX_GAP: usize = 4;

/// A picture in grey.
pub(crate) struct Grey {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pixels: Vec<u8>,
}

/// A strip, cut out: rows of [`HEIGHT`] pixels, from black (0) to white (1).
pub(crate) struct Crop {
    pub(crate) width: usize,
    pub(crate) pixels: Vec<f32>,
}

/// Where the letters of a strip stand, in shares of its height from the top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ink {
    pub(crate) top: f32,
    /// The line on which most letters stand.
    pub(crate) base: f32,
    pub(crate) bottom: f32,
}

impl Grey {
    pub(crate) fn of(picture: &Bitmap) -> Self {
        Self { width: picture.width as usize, height: picture.height as usize, pixels: picture.to_grey() }
    }

    /// The picture in another size: each pixel is the mean of those that it stands for.
    pub(crate) fn scaled(&self, width: usize, height: usize) -> Self {
        let axis = |from: usize, to: usize| -> Vec<(usize, usize)> {
            let edge = |at: usize| at * from / to.max(1);
            (0..to).map(|at| (edge(at).min(from - 1), edge(at + 1).clamp(edge(at) + 1, from))).collect()
        };
        if self.width == 0 || self.height == 0 {
            return Self { width, height, pixels: vec![u8::MAX; width * height] };
        }
        let (columns, rows) = (axis(self.width, width), axis(self.height, height));
        let mut pixels = Vec::with_capacity(width * height);
        for &(top, bottom) in &rows {
            for &(left, right) in &columns {
                let rows = (top..bottom).map(|row| &self.pixels[row * self.width + left..row * self.width + right]);
                let sum: u32 = rows.flatten().map(|pixel| u32::from(*pixel)).sum();
                pixels.push((sum / ((bottom - top) * (right - left)) as u32) as u8);
            }
        }
        Self { width, height, pixels }
    }

    /// A pixel; beyond the edge, that at the edge.
    pub(crate) fn at(&self, x: isize, y: isize) -> u8 {
        let inside = |value: isize, size: usize| value.clamp(0, size as isize - 1) as usize;
        self.pixels[inside(y, self.height) * self.width + inside(x, self.width)]
    }

    /// The brightness between four pixels.
    fn between(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (right_share, bottom_share) = (x - left, y - top);
        let (left, top) = (left as isize, top as isize);
        let row = |y| f32::from(self.at(left, y)) * (1.0 - right_share) + f32::from(self.at(left + 1, y)) * right_share;
        row(top) * (1.0 - bottom_share) + row(top + 1) * bottom_share
    }

    /// Cuts out a strip whose text runs `turn` quarter turns clockwise from upright; `None` if it holds nothing.
    pub(crate) fn cut(&self, strip: &Strip, turn: u8) -> Option<Crop> {
        if self.width == 0 || self.height == 0 {
            return None;
        }
        let (length, thickness) = strip.along(turn);
        let width = (length / thickness * HEIGHT as f32).clamp(MIN_WIDTH, MAX_WIDTH) as usize;
        let (step, fall) = (length / width as f32, thickness / HEIGHT as f32);
        // Large letters: each pixel is the mean of some places.
        let fine = (fall.max(step).round() as usize).clamp(1, 4);
        let mut pixels = Vec::with_capacity(width * HEIGHT);
        for row in 0..HEIGHT {
            for column in 0..width {
                let mut sum = 0.0;
                for part in 0..fine * fine {
                    let share = |at: usize, part: usize| at as f32 + (part as f32 + 0.5) / fine as f32;
                    let along = share(column, part % fine) * step;
                    let across = share(row, part / fine) * fall;
                    let (x, y) = strip.place(turn, along, across);
                    sum += self.between(x - 0.5, y - 0.5);
                }
                pixels.push(sum / (fine * fine) as f32 / 255.0);
            }
        }
        Some(Crop { width, pixels })
    }
}

impl Crop {
    /// Where its letters stand; `None` if there is no contrast.
    pub(crate) fn ink(&self) -> Option<Ink> {
        let rows = self.dark_rows()?;
        let most = rows.iter().copied().fold(0.0, f32::max);
        let base = rows.iter().rposition(|dark| *dark > BASE_SHARE * most)? + 1;
        // One tall letter of a long line is a few pixels; what lies beyond a gap is of the next line.
        let is_ink = |row: &usize| rows[*row] > (LETTER_SHARE * most).max(1.0);
        let last_of = |towards: &mut dyn Iterator<Item = usize>| {
            let mut last = None;
            for row in towards {
                if is_ink(&row) {
                    last = Some(row);
                } else if last.is_some_and(|last| last.abs_diff(row) > MAX_GAP) || last.is_none() {
                    break;
                }
            }
            last
        };
        let top = last_of(&mut (0..base).rev()).unwrap_or(base - 1);
        let bottom = last_of(&mut (base..HEIGHT)).map_or(base, |row| row + 1);
        let share = |row: usize| row as f32 / HEIGHT as f32;
        Some(Ink { top: share(top), base: share(base), bottom: share(bottom) })
    }

    /// How dark each row is, against the paper.
    fn dark_rows(&self) -> Option<Vec<f32>> {
        let mut sorted: Vec<f32> = self.pixels.iter().copied().step_by(3).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let (dark, bright) = (*sorted.get(sorted.len() / 50)?, *sorted.get(sorted.len() * 49 / 50)?);
        let middle = (dark + bright) / 2.0;
        // White letters on dark paper, if most of the strip is dark.
        let is_dark = sorted.get(sorted.len() / 2)? < &middle;
        let is_ink = |pixel: &&f32| (**pixel < middle) != is_dark;
        let rows = self.pixels.chunks_exact(self.width);
        // A row that is all dark is a rule, under a heading or around a cell.
        let letters = |count: f32| if count > RULE_SHARE * self.width as f32 { 0.0 } else { count };
        (bright - dark > 0.1).then(|| rows.map(|row| letters(row.iter().filter(is_ink).count() as f32)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture of the given rows.
    fn picture(rows: &[&[u8]]) -> Grey {
        Grey { width: rows[0].len(), height: rows.len(), pixels: rows.concat() }
    }

    #[test]
    fn a_smaller_picture_has_the_means() {
        let scaled = picture(&[&[0, 100, 200, 200], &[100, 200, 200, 200]]).scaled(2, 1);
        assert_eq!(scaled.pixels, [100, 200]);
        let larger = picture(&[&[0, 100]]).scaled(4, 2);
        assert_eq!(larger.pixels, [0, 0, 100, 100, 0, 0, 100, 100]);
    }

    #[test]
    fn the_base_is_where_most_letters_end() {
        let mut pixels = vec![1.0; HEIGHT * 100];
        let mut ink = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            for row in rows {
                pixels[row * 100..][columns.clone()].fill(0.0);
            }
        };
        // A low line of letters, one tall one, one that hangs below.
        (0..80).step_by(2).for_each(|column| ink(20..34, column..column + 1));
        ink(10..34, 80..88);
        ink(20..42, 90..98);
        // A rule below.
        ink(45..47, 0..100);
        // The foot of the line above.
        ink(0..3, 0..60);
        let ink = Crop { width: 100, pixels }.ink().unwrap();
        assert_eq!([ink.top, ink.base, ink.bottom].map(|share| (share * HEIGHT as f32) as usize), [10, 34, 42]);
        assert_eq!(Crop { width: 1, pixels: vec![1.0; HEIGHT] }.ink(), None);
    }
}
