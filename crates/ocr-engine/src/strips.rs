//! From marks on a picture to strips: slanted rectangles, each around a line of text.

use std::collections::VecDeque;

/// A mark from which on a place belongs to a line, of 255.
const MARK: u8 = 77;
/// The mean mark of a line, at least.
const LINE_MARK: f32 = 0.5 * 255.0;
/// The models mark the middle of a line. It is this much larger: its area times this, divided by its outline, on every side.
const GROWTH: f32 = 1.6;
/// Marks longer than this many of their heights say how a line is slanted; shorter ones are slanted as the longer ones are.
const LONG: f32 = 15.0;
/// From this ratio of height to width on, a strip is a line that runs up or down.
const UPRIGHT: f32 = 1.8;
/// Pixels of a mark, at least.
const MIN_PIXELS: usize = 12;
/// Lines of a picture that are read; the fullest pages of newspapers have 2,000.
const MAX_STRIPS: usize = 4000;

/// Marks on a picture: how sure it is that a line runs through each pixel.
pub(crate) struct Marks {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

/// A slanted rectangle, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Strip {
    middle: (f32, f32),
    /// Its size along its slant, and across.
    width: f32,
    height: f32,
    /// How far it falls from left to right, in radians; below an eighth turn.
    angle: f32,
}

impl Strip {
    /// Its longer side.
    pub(crate) fn long(&self) -> f32 {
        self.width.max(self.height)
    }

    /// Whether its text runs up or down.
    pub(crate) fn is_upright(&self) -> bool {
        self.height > UPRIGHT * self.width
    }

    /// How long and how thick it is for text that runs in the direction of `turn`.
    pub(crate) fn along(&self, turn: u8) -> (f32, f32) {
        let (width, height) = (self.width.max(1.0), self.height.max(1.0));
        if turn.is_multiple_of(2) { (width, height) } else { (height, width) }
    }

    /// How far it falls per pixel to the right.
    pub(crate) fn slope(&self) -> f32 {
        self.angle.tan()
    }

    /// The place on the picture that is `along` from the beginning and `across` from the top of text that runs in the
    /// direction of `turn`.
    pub(crate) fn place(&self, turn: u8, along: f32, across: f32) -> (f32, f32) {
        let (x, y) = match turn % 4 {
            0 => (along, across),
            1 => (self.width - across, along),
            2 => (self.width - along, self.height - across),
            _ => (across, self.height - along),
        };
        let (x, y) = (x - self.width / 2.0, y - self.height / 2.0);
        let (sin, cos) = self.angle.sin_cos();
        (self.middle.0 + x * cos - y * sin, self.middle.1 + x * sin + y * cos)
    }

    /// The upright box around a part of it, along and across text of the direction `turn`; left, top, right, bottom.
    pub(crate) fn part(&self, turn: u8, (from, to): (f32, f32), (top, bottom): (f32, f32)) -> [f32; 4] {
        let corners = [(from, top), (to, top), (from, bottom), (to, bottom)].map(|(a, b)| self.place(turn, a, b));
        let least = |of: fn((f32, f32)) -> f32| corners.iter().map(|corner| of(*corner)).fold(f32::MAX, f32::min);
        let most = |of: fn((f32, f32)) -> f32| corners.iter().map(|corner| of(*corner)).fold(f32::MIN, f32::max);
        [least(|c| c.0), least(|c| c.1), most(|c| c.0), most(|c| c.1)]
    }

    fn scaled(&self, (x, y): (f32, f32)) -> Self {
        let middle = (self.middle.0 * x, self.middle.1 * y);
        Self { middle, width: self.width * x, height: self.height * y, angle: self.angle }
    }
}

/// The strips around the marks, each of whose pixels stands for `scale` pixels of the picture, across and down.
pub(crate) fn strips(marks: &Marks, scale: (f32, f32)) -> Vec<Strip> {
    let found = components(marks);
    let mut slants: Vec<(f32, f32)> = found.iter().filter_map(Component::slant).collect();
    slants.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = slants.iter().map(|(_, length)| length).sum::<f32>() / 2.0;
    let mut sum = 0.0;
    let middle = slants.iter().find(|(_, length)| {
        sum += length;
        sum >= half
    });
    let usual = middle.map_or(0.0, |(angle, _)| *angle);
    let strip = |component: &Component| {
        let angle = component.slant().map_or(usual, |(angle, _)| angle);
        component.strip(angle).scaled(scale)
    };
    found.iter().map(strip).collect()
}

/// Marked pixels that touch each other.
struct Component {
    pixels: Vec<(u32, u32)>,
    mean: (f32, f32),
    /// The spread of x, of y, and of both together.
    spread: [f32; 3],
}

fn components(marks: &Marks) -> Vec<Component> {
    let (width, height) = (marks.width, marks.height);
    let mut free: Vec<bool> = marks.pixels.iter().map(|mark| *mark >= MARK).collect();
    let mut found = Vec::new();
    let mut waiting = VecDeque::new();
    for start in 0..free.len() {
        if !std::mem::take(&mut free[start]) {
            continue;
        }
        let (mut pixels, mut sum) = (Vec::new(), 0.0);
        waiting.push_back(start);
        while let Some(at) = waiting.pop_front() {
            let (x, y) = (at % width, at / width);
            pixels.push((x as u32, y as u32));
            sum += f32::from(marks.pixels[at]);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    if std::mem::take(&mut free[y * width + x]) {
                        waiting.push_back(y * width + x);
                    }
                }
            }
        }
        if pixels.len() >= MIN_PIXELS && sum / pixels.len() as f32 >= LINE_MARK && found.len() < MAX_STRIPS {
            found.push(Component::of(pixels));
        }
    }
    found
}

impl Component {
    fn of(pixels: Vec<(u32, u32)>) -> Self {
        let count = pixels.len() as f32;
        let sum = pixels.iter().fold((0.0, 0.0), |(x, y), pixel| (x + pixel.0 as f32, y + pixel.1 as f32));
        let mean = (sum.0 / count, sum.1 / count);
        let spread = pixels.iter().fold([0.0; 3], |[xx, yy, xy], pixel| {
            let (x, y) = (pixel.0 as f32 - mean.0, pixel.1 as f32 - mean.1);
            [xx + x * x / count, yy + y * y / count, xy + x * y / count]
        });
        Self { pixels, mean, spread }
    }

    /// How it is slanted against the nearer of level and upright, in radians, and its length; `None` if it is too short to
    /// say.
    fn slant(&self) -> Option<(f32, f32)> {
        let [xx, yy, xy] = self.spread;
        let mean = (xx + yy) / 2.0;
        let off = ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
        // Length and thickness of a rectangle of that spread.
        let (length, thickness) = ((12.0 * (mean + off)).sqrt(), (12.0 * (mean - off).max(0.01)).sqrt());
        if length < LONG * thickness {
            return None;
        }
        let angle = 0.5 * (2.0 * xy).atan2(xx - yy);
        let quarter = std::f32::consts::FRAC_PI_2;
        let angle = match angle {
            angle if angle > quarter / 2.0 => angle - quarter,
            angle if angle < -quarter / 2.0 => angle + quarter,
            angle => angle,
        };
        Some((angle, length))
    }

    /// The rectangle around it at that slant, grown to the size of the line.
    fn strip(&self, angle: f32) -> Strip {
        let (sin, cos) = angle.sin_cos();
        let mut ends = [f32::MAX, f32::MIN, f32::MAX, f32::MIN];
        for pixel in &self.pixels {
            // From the middle of the pixel.
            let (x, y) = (pixel.0 as f32 + 0.5 - self.mean.0, pixel.1 as f32 + 0.5 - self.mean.1);
            let (along, across) = (x * cos + y * sin, y * cos - x * sin);
            ends = [ends[0].min(along), ends[1].max(along), ends[2].min(across), ends[3].max(across)];
        }
        let (width, height) = (ends[1] - ends[0] + 1.0, ends[3] - ends[2] + 1.0);
        let grown = width * height * GROWTH / (2.0 * (width + height));
        let (along, across) = ((ends[0] + ends[1]) / 2.0, (ends[2] + ends[3]) / 2.0);
        let middle = (self.mean.0 + along * cos - across * sin, self.mean.1 + along * sin + across * cos);
        Strip { middle, width: width + 2.0 * grown, height: height + 2.0 * grown, angle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks on a picture of 200 by 100 pixels, where `is_marked` says so.
    fn marked(is_marked: impl Fn(f32, f32) -> bool) -> Vec<Strip> {
        let (width, height) = (200, 100);
        let mark = |at: usize| if is_marked((at % width) as f32, (at / width) as f32) { 200 } else { 20 };
        strips(&Marks { width, height, pixels: (0..width * height).map(mark).collect() }, (2.0, 2.0))
    }

    #[test]
    fn a_line_is_larger_than_its_mark() {
        let found = marked(|x, y| (20.0..120.0).contains(&x) && (40.0..44.0).contains(&y));
        let [strip] = found[..] else { panic!("{found:?}") };
        let grown = 100.0 * 4.0 * GROWTH / 208.0;
        assert!((strip.width - 2.0 * (100.0 + 2.0 * grown)).abs() < 0.1, "{strip:?}");
        assert!((strip.height - 2.0 * (4.0 + 2.0 * grown)).abs() < 0.1, "{strip:?}");
        assert!((strip.middle.0 - 140.0).abs() < 0.1 && (strip.middle.1 - 84.0).abs() < 0.1, "{strip:?}");
        assert!(!strip.is_upright());
    }

    #[test]
    fn a_slanted_line_has_its_slope_and_a_short_one_beside_it_too() {
        let found = marked(|x, y| {
            let line = 20.0 + 0.1 * x;
            let short = (150.0..160.0).contains(&x) && (y - line - 30.0).abs() < 3.0;
            short || (10.0..140.0).contains(&x) && (y - line).abs() < 3.0
        });
        assert_eq!(found.len(), 2, "{found:?}");
        for strip in &found {
            assert!((strip.slope() - 0.1).abs() < 0.01, "{strip:?}");
        }
        let [left, top, right, bottom] = found[0].part(0, (0.0, found[0].width), (0.0, found[0].height));
        assert!(left < 20.0 && right > 275.0 && top < 42.0 && bottom > 66.0);
    }

    #[test]
    fn text_that_runs_upwards_begins_at_the_bottom() {
        let found = marked(|x, y| (50.0..54.0).contains(&x) && (20.0..80.0).contains(&y));
        let [strip] = found[..] else { panic!("{found:?}") };
        assert!(strip.is_upright());
        let (x, y) = strip.place(3, 0.0, 0.0);
        assert!(x < 100.0 && y > 160.0, "{x} {y}");
        let (x, y) = strip.place(1, 0.0, 0.0);
        assert!(x > 108.0 && y < 40.0, "{x} {y}");
    }
}
