//! Marks where lines of text run on a picture.

use rten::Model;
use rten_tensor::{Layout, NdTensor};

use crate::{
    EngineError, Runner,
    crop::Grey,
    strips::{Marks, Strip, strips},
};

/// How fine the picture is on which lines are looked for, in pixels per inch: letters of six points are then eight pixels high.
/// A finer one takes time and finds no more (measured: docs/performance.md).
const DPI: f32 = 96.0;
/// Resolution of pictures that do not say theirs.
const USUAL_DPI: f32 = 150.0;
/// The longest side of the picture on which lines are looked for, in pixels.
const MAX_SIDE: f32 = 4096.0;
/// The models take sides of a multiple of this.
const STEP: usize = 32;
/// A larger picture is looked at in tiles of at most this size, which bounds the memory.
const TILE: usize = 1280;
/// How much neighbouring tiles overlap: a tile does not know what lies beyond its edge.
const OVERLAP: usize = 64;

/// The model that finds lines.
pub(crate) struct Detector {
    model: Model,
    runner: Runner,
}

impl Detector {
    pub(crate) fn new(model: Model, runner: Runner) -> Self {
        Self { model, runner }
    }

    /// The lines of a picture with `dpi` pixels per inch.
    pub(crate) fn find(&self, picture: &Grey, dpi: u32) -> Result<Vec<Strip>, EngineError> {
        let dpi = if (30..=2400).contains(&dpi) { dpi as f32 } else { USUAL_DPI };
        let longest = picture.width.max(picture.height).max(1) as f32;
        let scale = (DPI / dpi).min(1.0).min(MAX_SIDE / longest);
        let side = |pixels: usize| ((pixels as f32 * scale).round() as usize).max(1);
        let small = picture.scaled(side(picture.width), side(picture.height));
        let marks = self.marks(&small)?;
        let scale = |large: usize, small: usize| large as f32 / small as f32;
        Ok(strips(&marks, (scale(picture.width, small.width), scale(picture.height, small.height))))
    }

    fn marks(&self, picture: &Grey) -> Result<Marks, EngineError> {
        let mut marks =
            Marks { width: picture.width, height: picture.height, pixels: vec![0; picture.width * picture.height] };
        let (down, across) = (Tiles::of(picture.height), Tiles::of(picture.width));
        for top in down.places() {
            for left in across.places() {
                self.mark_tile(picture, (left, top), (across.size, down.size), &mut marks)?;
            }
        }
        Ok(marks)
    }

    /// Looks at one tile. Of two tiles that overlap, the more sure one counts.
    fn mark_tile(
        &self,
        picture: &Grey,
        (left, top): (usize, usize),
        (width, height): (usize, usize),
        marks: &mut Marks,
    ) -> Result<(), EngineError> {
        let padded = [height, width].map(|side| side.next_multiple_of(STEP));
        let [rows, columns] = padded;
        let mut plane = vec![1.0_f32; rows * columns];
        for row in 0..height {
            for column in 0..width {
                let pixel = picture.at((left + column) as isize, (top + row) as isize);
                plane[row * columns + column] = f32::from(pixel) / 127.5 - 1.0;
            }
        }
        // The models know colours; grey has three equal ones.
        let input = NdTensor::from_data([1, 3, rows, columns], [&plane[..], &plane, &plane].concat());
        let output = self.model.run_one(input.into(), self.runner.options());
        let output: NdTensor<f32, 4> =
            output.ok().and_then(|value| value.try_into().ok()).ok_or(EngineError::Picture)?;
        if output.shape() != [1, 1, rows, columns] {
            return Err(EngineError::Picture);
        }
        let output = output.into_data();
        for row in 0..height {
            for column in 0..width {
                let mark = (output[row * columns + column] * 255.0) as u8;
                let known = &mut marks.pixels[(top + row) * marks.width + left + column];
                *known = mark.max(*known);
            }
        }
        Ok(())
    }
}

/// The tiles along a side: equally large, so that none is a sliver.
struct Tiles {
    side: usize,
    count: usize,
    size: usize,
}

impl Tiles {
    fn of(side: usize) -> Self {
        let count = side.saturating_sub(OVERLAP).div_ceil(TILE - OVERLAP).max(1);
        Self { side, count, size: (side + OVERLAP * (count - 1)).div_ceil(count) }
    }

    /// Where they begin.
    fn places(&self) -> impl Iterator<Item = usize> {
        let last = self.side - self.size;
        (0..self.count).map(move |at| at * last / (self.count - 1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_overlap_and_reach_the_end() {
        for (side, count) in [(1, 1), (600, 1), (1280, 1), (1281, 2), (2496, 2), (2497, 3), (4096, 4)] {
            let tiles = Tiles::of(side);
            let places: Vec<usize> = tiles.places().collect();
            assert_eq!(places.len(), count, "{side}");
            assert_eq!((places[0], places[count - 1] + tiles.size), (0, side));
            assert!(tiles.size <= TILE && places.windows(2).all(|pair| pair[1] + OVERLAP <= pair[0] + tiles.size + 1));
        }
    }
}
