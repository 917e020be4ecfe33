//! The reading order of shapes on a slide: rows from the top, within a row columns from the left.

use domain::document::PageBox;

/// Where a shape stands, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

/// More shapes than this are only sorted: the search for rows and columns would take too long.
const MAX_SHAPES: usize = 400;
/// Shapes overlap by this part of their height or width and still stand in two rows or columns.
const TOLERANCE: f64 = 0.1;

impl Frame {
    /// The frame around both.
    pub(crate) fn around(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The place in parts of a page of this size.
    pub(crate) fn on_page(self, page: u32, (width, height): (f64, f64)) -> Option<PageBox> {
        let part = |at: f64, of: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a number from 0 to 1")]
            let part = (at / of).clamp(0.0, 1.0) as f32;
            part
        };
        (width > 0.0 && height > 0.0).then(|| PageBox {
            page,
            left: part(self.left, width),
            top: part(self.top, height),
            right: part(self.right, width),
            bottom: part(self.bottom, height),
        })
    }

    /// Whether no part of it is on a page of this size.
    pub(crate) fn is_outside(self, (width, height): (f64, f64)) -> bool {
        width > 0.0
            && height > 0.0
            && (self.right <= 0.0 || self.bottom <= 0.0 || self.left >= width || self.top >= height)
    }
}

/// The items in reading order. Those without a frame stand first, as the file has them.
pub(crate) fn sorted<T>(items: Vec<(Option<Frame>, T)>) -> Vec<T> {
    let mut placed: Vec<(usize, Frame)> = Vec::new();
    let mut order: Vec<usize> = Vec::new();
    for (at, (frame, _)) in items.iter().enumerate() {
        match frame {
            Some(frame) => placed.push((at, *frame)),
            None => order.push(at),
        }
    }
    if placed.len() > MAX_SHAPES {
        by_place(&mut placed);
        order.extend(placed.iter().map(|(at, _)| *at));
    } else {
        cut(placed, true, false, &mut order);
    }
    let mut items: Vec<Option<T>> = items.into_iter().map(|(_, item)| Some(item)).collect();
    order.into_iter().filter_map(|at| items.get_mut(at).and_then(Option::take)).collect()
}

fn by_place(shapes: &mut [(usize, Frame)]) {
    shapes.sort_by(|(_, a), (_, b)| a.top.total_cmp(&b.top).then(a.left.total_cmp(&b.left)));
}

/// Cuts the shapes into rows, or else into columns, and each of these again. `stuck`: the other way gave no cut.
fn cut(mut shapes: Vec<(usize, Frame)>, rows: bool, stuck: bool, order: &mut Vec<usize>) {
    if shapes.len() > 1 {
        let span = |frame: &Frame| {
            let (from, to) = if rows { (frame.top, frame.bottom) } else { (frame.left, frame.right) };
            let give = (to - from) * TOLERANCE;
            (from + give, to - give)
        };
        shapes.sort_by(|(_, a), (_, b)| span(a).0.total_cmp(&span(b).0));
        let mut bands: Vec<Vec<(usize, Frame)>> = Vec::new();
        let mut end = f64::NEG_INFINITY;
        for shape in shapes {
            let (from, to) = span(&shape.1);
            match bands.last_mut() {
                Some(band) if from < end => band.push(shape),
                _ => bands.push(vec![shape]),
            }
            end = end.max(to);
        }
        if bands.len() > 1 {
            return bands.into_iter().for_each(|band| cut(band, !rows, false, order));
        }
        shapes = bands.pop().unwrap_or_default();
        if !stuck {
            return cut(shapes, !rows, true, order);
        }
        by_place(&mut shapes);
    }
    order.extend(shapes.into_iter().map(|(at, _)| at));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(frames: &[(f64, f64, f64, f64)]) -> Vec<usize> {
        let frame = |(left, top, right, bottom): (f64, f64, f64, f64)| Frame { left, top, right, bottom };
        sorted(frames.iter().enumerate().map(|(at, place)| (Some(frame(*place)), at)).collect())
    }

    #[test]
    fn rows_stand_before_columns() {
        let grid = [(5.0, 5.0, 9.0, 9.0), (5.0, 0.0, 9.0, 4.0), (0.0, 5.0, 4.0, 9.0), (0.0, 0.3, 4.0, 4.2)];
        assert_eq!(order(&grid), [3, 1, 2, 0]);
    }

    #[test]
    fn a_tall_shape_is_a_column_of_its_own() {
        let shapes = [(5.0, 0.0, 9.0, 9.0), (0.0, 5.0, 4.0, 9.0), (0.0, 0.0, 4.0, 4.0)];
        assert_eq!(order(&shapes), [2, 1, 0]);
    }

    #[test]
    fn shapes_that_overlap_stand_by_their_tops() {
        assert_eq!(order(&[(1.0, 1.0, 5.0, 5.0), (0.0, 0.0, 4.0, 4.0)]), [1, 0]);
        let frames =
            vec![(None, 'a'), (Some(Frame { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 }), 'b'), (None, 'c')];
        assert_eq!(sorted(frames), ['a', 'c', 'b']);
    }
}
