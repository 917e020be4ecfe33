//! Points and rectangles of a page, and the frames in which text of one direction runs from left to right.

/// Points in an inch.
pub(super) const POINTS_PER_INCH: f32 = 72.0;

/// A rectangle in points. The origin is at the top left, y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Rect {
    pub(super) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    pub(super) fn middle(&self) -> (f32, f32) {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// The smallest rectangle around both.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The smallest rectangle around all of them; `None` if there are none.
    pub(super) fn around<'a>(mut rects: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let first = *rects.next()?;
        Some(rects.fold(first, |all, rect| all.union(rect)))
    }

    pub(super) fn contains(&self, (x, y): (f32, f32)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// How far the two share a range of x; negative: the gap between them.
    pub(super) fn shared_width(&self, other: &Self) -> f32 {
        self.right.min(other.right) - self.left.max(other.left)
    }

    /// How far the two share a range of y; negative: the gap between them.
    pub(super) fn shared_height(&self, other: &Self) -> f32 {
        self.bottom.min(other.bottom) - self.top.max(other.top)
    }

    fn of_corners(a: (f32, f32), b: (f32, f32)) -> Self {
        Self { left: a.0.min(b.0), top: a.1.min(b.1), right: a.0.max(b.0), bottom: a.1.max(b.1) }
    }
}

/// The direction of text on the displayed page: quarter turns clockwise from upright.
pub(super) type Turn = u8;

/// The displayed page: its size, and how the coordinates in the file relate to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet {
    /// The visible part, in the file's coordinates (y grows upwards).
    crop: [f32; 4],
    /// Quarter turns clockwise at which the page is shown.
    rotation: Turn,
}

impl Sheet {
    /// A page whose visible part is `crop` (left, bottom, right, top), shown at `rotation` quarter turns clockwise.
    pub(super) fn new(crop: [f32; 4], rotation: Turn) -> Self {
        Self { crop, rotation: rotation % 4 }
    }

    pub(super) fn rotation(&self) -> Turn {
        self.rotation
    }

    /// Width and height as shown.
    pub(super) fn size(&self) -> (f32, f32) {
        let [left, bottom, right, top] = self.crop;
        let (width, height) = (right - left, top - bottom);
        if self.rotation.is_multiple_of(2) { (width, height) } else { (height, width) }
    }

    /// Width and height of the frame of text of direction `turn`.
    pub(super) fn frame_size(&self, turn: Turn) -> (f32, f32) {
        let (width, height) = self.size();
        if turn.is_multiple_of(2) { (width, height) } else { (height, width) }
    }

    /// A point of the file on the displayed page.
    pub(super) fn shown(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let [left, bottom, right, top] = self.crop;
        match self.rotation {
            0 => (x - left, top - y),
            1 => (y - bottom, x - left),
            2 => (right - x, y - bottom),
            _ => (top - y, right - x),
        }
    }

    /// A rectangle of the file (left, bottom, right, top) on the displayed page.
    pub(super) fn shown_rect(&self, [left, bottom, right, top]: [f32; 4]) -> Rect {
        Rect::of_corners(self.shown((left, bottom)), self.shown((right, top)))
    }

    /// A point of the displayed page in the frame of text of direction `turn`, where that text runs to the right.
    pub(super) fn to_frame(self, turn: Turn, (x, y): (f32, f32)) -> (f32, f32) {
        let (width, height) = self.size();
        match turn {
            0 => (x, y),
            1 => (y, width - x),
            2 => (width - x, height - y),
            _ => (height - y, x),
        }
    }

    /// The same for a rectangle.
    pub(super) fn rect_to_frame(&self, turn: Turn, rect: &Rect) -> Rect {
        let corner = |x, y| self.to_frame(turn, (x, y));
        Rect::of_corners(corner(rect.left, rect.top), corner(rect.right, rect.bottom))
    }

    /// A rectangle of the frame of `turn` on the displayed page.
    pub(super) fn rect_from_frame(&self, turn: Turn, rect: &Rect) -> Rect {
        let (width, height) = self.size();
        let corner = |x: f32, y: f32| match turn {
            0 => (x, y),
            1 => (width - y, x),
            2 => (width - x, height - y),
            _ => (y, height - x),
        };
        Rect::of_corners(corner(rect.left, rect.top), corner(rect.right, rect.bottom))
    }
}

/// The middle one of `values`, which are sorted for it; `None` if there are none.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_stands_where_the_rotated_page_shows_it() {
        let crop = [10.0, 20.0, 110.0, 220.0];
        // A point near the lower left corner of the unrotated page.
        let at = |rotation| Sheet::new(crop, rotation).shown((15.0, 22.0));
        assert_eq!([at(0), at(1), at(2), at(3)], [(5.0, 198.0), (2.0, 5.0), (95.0, 2.0), (198.0, 95.0)]);
    }

    #[test]
    fn a_frame_and_back_is_the_same_place() {
        let sheet = Sheet::new([0.0, 0.0, 100.0, 200.0], 1);
        let rect = Rect { left: 1.0, top: 2.0, right: 30.0, bottom: 40.0 };
        for turn in 0..4 {
            assert_eq!(sheet.rect_from_frame(turn, &sheet.rect_to_frame(turn, &rect)), rect);
        }
    }
}
