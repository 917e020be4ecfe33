//! Rows and columns that are hidden: their cells are left out, and what is shown moves together.

use std::collections::BTreeSet;

use super::{Area, Sheet};

/// The hidden rows and columns of a sheet, as first and last, in any order.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    pub(super) rows: Vec<(u32, u32)>,
    pub(super) columns: Vec<(u32, u32)>,
}

/// Ranges in order, each with the number of hidden lines before it.
struct Lines(Vec<(u32, u32, u32)>);

impl Lines {
    fn new(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut lines: Vec<(u32, u32, u32)> = Vec::new();
        let mut before = 0_u32;
        for (first, last) in ranges {
            let first = lines.last().map_or(first, |(_, end, _)| first.max(end.saturating_add(1)));
            if first > last {
                continue;
            }
            lines.push((first, last, before));
            before = before.saturating_add(last - first).saturating_add(1);
        }
        Self(lines)
    }

    /// Whether the line is hidden, and its place among those that are shown (that of the next one, if it is hidden).
    fn place(&self, line: u32) -> (bool, u32) {
        match self.0.partition_point(|(first, ..)| *first <= line).checked_sub(1).and_then(|at| self.0.get(at)) {
            None => (false, line),
            Some((first, last, before)) if line <= *last => (true, first - before),
            Some((first, last, before)) => (false, line - before - (last - first + 1)),
        }
    }

    /// The places of the shown lines from `first` to `last`; `None` if all are hidden.
    fn span(&self, first: u32, last: u32) -> Option<(u32, u32)> {
        let (_, from) = self.place(first);
        let (hidden, to) = self.place(last);
        let to = if hidden { to.checked_sub(1)? } else { to };
        (from <= to).then_some((from, to))
    }
}

/// Takes hidden cells out of the sheet, and gives all others their places among those that are shown. Returns the number
/// of hidden rows and columns that held something.
///
/// The value of a merged cell stays as long as a part of the cell is shown.
pub(super) fn leave_out(sheet: &mut Sheet) -> usize {
    let hidden = std::mem::take(&mut sheet.hidden);
    if hidden.rows.is_empty() && hidden.columns.is_empty() {
        return 0;
    }
    let (rows, columns) = (Lines::new(hidden.rows), Lines::new(hidden.columns));
    let corners: BTreeSet<(u32, u32)> = sheet
        .merged
        .iter()
        .filter(|area| rows.span(area.top, area.bottom).is_some() && columns.span(area.left, area.right).is_some())
        .map(|area| (area.top, area.left))
        .collect();
    let (mut left_rows, mut left_columns) = (BTreeSet::new(), BTreeSet::new());
    sheet.cells.retain_mut(|cell| {
        let ((no_row, row), (no_column, column)) = (rows.place(cell.row), columns.place(cell.column));
        let shown = !no_row && !no_column || corners.contains(&(cell.row, cell.column));
        if !shown && no_row {
            left_rows.insert(cell.row);
        } else if !shown {
            left_columns.insert(cell.column);
        }
        (cell.row, cell.column) = (row, column);
        shown
    });
    sheet.merged = sheet
        .merged
        .iter()
        .filter_map(|area| {
            let ((top, bottom), (left, right)) =
                (rows.span(area.top, area.bottom)?, columns.span(area.left, area.right)?);
            Some(Area { top, left, bottom, right })
        })
        .collect();
    let links = std::mem::take(&mut sheet.links);
    sheet.links = links
        .into_iter()
        .filter(|((row, column), _)| !rows.place(*row).0 && !columns.place(*column).0)
        .map(|((row, column), target)| ((rows.place(row).1, columns.place(column).1), target))
        .collect();
    for placed in &mut sheet.placed {
        (placed.row, placed.column) = (rows.place(placed.row).1, columns.place(placed.column).1);
    }
    left_rows.len() + left_columns.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_lines_move_together() {
        let lines = Lines::new(vec![(5, 6), (2, 3), (3, 3)]);
        let places: Vec<(bool, u32)> = (0..8).map(|line| lines.place(line)).collect();
        let shown = |at| (false, at);
        let gone = |at| (true, at);
        assert_eq!(places, [shown(0), shown(1), gone(2), gone(2), shown(2), gone(3), gone(3), shown(3)]);
        assert_eq!(lines.span(1, 4), Some((1, 2)));
        assert_eq!(lines.span(2, 3), None);
        assert_eq!(lines.span(0, u32::MAX), Some((0, u32::MAX - 4)));
        assert_eq!(Lines::new(vec![(0, u32::MAX)]).span(0, 9), None);
    }
}
