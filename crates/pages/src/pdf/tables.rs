//! Tables in a grid of rules.

use domain::document::{Block, BlockKind, Cell, Inline, Table};

use super::{
    aligned::{heads_others, is_number},
    geometry::Rect,
    lines::{Line, paragraphs},
    words::Piece,
};

/// Rules that are looked at.
const MAX_RULES: usize = 1500;
/// Cells of a grid.
const MAX_CELLS: usize = 20_000;
/// How far a rule may end from the one that it meets, in points.
const MEETS: f32 = 1.5;
/// Lines of a grid that are nearer to each other are one, in points.
const APART: f32 = 3.0;
/// Text in a cell beyond which the grid is a frame of the page and no table, in characters.
const MAX_CELL_CHARS: usize = 2500;

/// Rows and columns of text in one cell, from which on they are a table within it.
const INNER_ROWS: usize = 4;
const INNER_COLUMNS: usize = 3;

/// A grid of rules: the places of its lines.
#[derive(Debug)]
pub(super) struct Grid {
    xs: Vec<f32>,
    ys: Vec<f32>,
    horizontal: Vec<Rect>,
    vertical: Vec<Rect>,
}

/// The grids that the rules make.
pub(super) fn grids(rules: &[Rect]) -> Vec<Grid> {
    if rules.len() > MAX_RULES || rules.len() < 4 {
        return Vec::new();
    }
    let mut group: Vec<usize> = (0..rules.len()).collect();
    for a in 0..rules.len() {
        for b in a + 1..rules.len() {
            if rules[a].shared_width(&rules[b]) > -MEETS && rules[a].shared_height(&rules[b]) > -MEETS {
                let (root_a, root_b) = (root(&mut group, a), root(&mut group, b));
                group[root_a] = root_b;
            }
        }
    }
    let mut by_root: std::collections::BTreeMap<usize, Vec<Rect>> = std::collections::BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        by_root.entry(root(&mut group, at)).or_default().push(*rule);
    }
    by_root.into_values().filter_map(Grid::of).collect()
}

fn root(group: &mut [usize], mut at: usize) -> usize {
    while group[at] != at {
        group[at] = group[group[at]];
        at = group[at];
    }
    at
}

impl Grid {
    fn of(rules: Vec<Rect>) -> Option<Self> {
        let (vertical, horizontal): (Vec<Rect>, Vec<Rect>) =
            rules.into_iter().partition(|rule| rule.height() > rule.width());
        let xs = places(vertical.iter().map(|rule| rule.middle().0));
        let ys = places(horizontal.iter().map(|rule| rule.middle().1));
        let cells = xs.len().saturating_sub(1) * ys.len().saturating_sub(1);
        (xs.len() >= 3 && ys.len() >= 2 && cells <= MAX_CELLS).then_some(Self { xs, ys, horizontal, vertical })
    }

    pub(super) fn rect(&self) -> Rect {
        let ends = |places: &[f32]| (places.first().copied().unwrap_or(0.0), places.last().copied().unwrap_or(0.0));
        let ((left, right), (top, bottom)) = (ends(&self.xs), ends(&self.ys));
        Rect { left, top, right, bottom }
    }

    pub(super) fn vertical(&self) -> &[Rect] {
        &self.vertical
    }

    /// The column and row in which a point lies.
    fn place(&self, (x, y): (f32, f32)) -> Option<(usize, usize)> {
        let at = |places: &[f32], value: f32| places.windows(2).position(|pair| pair[0] <= value && value < pair[1]);
        Some((at(&self.xs, x)?, at(&self.ys, y)?))
    }

    fn has_rule_right_of(&self, column: usize, row: usize) -> bool {
        let (Some(x), Some(pair)) = (self.xs.get(column + 1), self.ys.get(row..row + 2)) else { return true };
        let y = (pair[0] + pair[1]) / 2.0;
        self.vertical.iter().any(|rule| (rule.middle().0 - x).abs() < APART && rule.top <= y && y <= rule.bottom)
    }

    fn has_rule_below(&self, column: usize, row: usize) -> bool {
        let (Some(y), Some(pair)) = (self.ys.get(row + 1), self.xs.get(column..column + 2)) else { return true };
        let x = (pair[0] + pair[1]) / 2.0;
        self.horizontal.iter().any(|rule| (rule.middle().1 - y).abs() < APART && rule.left <= x && x <= rule.right)
    }

    /// Makes the table of the pieces that stand in it, which it takes out of `pieces`; `None` if there is no table.
    pub(super) fn table(&self, pieces: &mut Vec<Piece>) -> Option<(Table, usize)> {
        let (columns, rows) = (self.xs.len() - 1, self.ys.len() - 1);
        let mut texts: Vec<Vec<Piece>> = vec![Vec::new(); columns * rows];
        let spans = self.spans(columns, rows);
        let mut order = usize::MAX;
        let mut inside = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let Some((column, row)) = self.place(piece.body().middle()) else { continue };
            texts[spans[row * columns + column].0].push(piece.clone());
            order = order.min(piece.order);
            inside.push(at);
        }
        let filled = texts.iter().filter(|text| !text.is_empty()).count();
        let longest = texts.iter().map(|text| text.iter().map(|piece| piece.chars).sum::<usize>()).max();
        if filled < 2
            || longest.is_none_or(|chars| chars > MAX_CELL_CHARS)
            || texts.iter().any(|text| holds_table(text))
            || texts.chunks(columns).any(holds_rows)
            || (0..columns).any(|column| holds_columns(texts.iter().skip(column).step_by(columns)))
            || heads_others(
                texts.iter().flatten().cloned().map(super::page::item).collect::<Vec<_>>().iter(),
                &self.rect(),
                pieces,
            )
        {
            return None;
        }
        let mut out = vec![Vec::new(); rows];
        for (at, pieces) in texts.into_iter().enumerate() {
            let (owner, wide, high) = spans[at];
            if owner == at {
                let blocks = cell_blocks(pieces);
                out[at / columns].push(Cell { blocks, columns: wide as u32, rows: high as u32 });
            }
        }
        let mut inside = inside.into_iter().peekable();
        let mut at = 0;
        pieces.retain(|_| {
            let taken = inside.next_if_eq(&at).is_some();
            at += 1;
            !taken
        });
        Some((Table { rows: out, ..Table::default() }, order))
    }

    /// For each place the place of the cell that covers it, and that cell's columns and rows.
    fn spans(&self, columns: usize, rows: usize) -> Vec<(usize, usize, usize)> {
        let mut spans = vec![(usize::MAX, 1, 1); columns * rows];
        for at in 0..spans.len() {
            if spans[at].0 != usize::MAX {
                continue;
            }
            let (column, row) = (at % columns, at / columns);
            let is_free = |column: usize, row: usize| spans[row * columns + column].0 == usize::MAX;
            let (mut wide, mut high) = (1, 1);
            while column + wide < columns
                && is_free(column + wide, row)
                && !self.has_rule_right_of(column + wide - 1, row)
            {
                wide += 1;
            }
            while row + high < rows
                && (column..column + wide).all(|c| is_free(c, row + high) && !self.has_rule_below(c, row + high - 1))
            {
                high += 1;
            }
            for r in row..row + high {
                for c in column..column + wide {
                    spans[r * columns + c] = (at, wide, high);
                }
            }
        }
        spans
    }
}

/// Whether the pieces of a cell are a table of their own: then the grid frames parts of the page.
fn holds_table(pieces: &[Piece]) -> bool {
    if pieces.len() < INNER_ROWS * INNER_COLUMNS {
        return false;
    }
    let rows = super::columns::rows(pieces.iter().cloned().map(super::page::item).collect());
    rows.iter().filter(|row| row.len() >= INNER_COLUMNS).count() >= INNER_ROWS
}

/// Whether the cells of a row hold rows of numbers: then the vertical rules part columns, and the lines of text are the rows.
fn holds_rows(cells: &[Vec<Piece>]) -> bool {
    let numbers = |cell: &Vec<Piece>| -> Vec<f32> {
        cell.iter().filter(|piece| is_number(piece)).map(|piece| piece.base).collect()
    };
    let columns: Vec<Vec<f32>> = cells.iter().map(numbers).filter(|bases| bases.len() >= INNER_ROWS).collect();
    let Some((first, others)) = columns.split_first() else { return false };
    let is_level = |base: &&f32| others.iter().flatten().any(|other| (*base - other).abs() < MEETS);
    first.iter().filter(is_level).count() >= INNER_ROWS
}

/// Whether the cells of a column hold numbers beside each other: then the grid parts groups of columns.
fn holds_columns<'a>(cells: impl Iterator<Item = &'a Vec<Piece>>) -> bool {
    let (mut filled, mut several) = (0, 0);
    for cell in cells {
        let bases: Vec<f32> = cell.iter().filter(|piece| is_number(piece)).map(|piece| piece.base).collect();
        let is_level = |at: usize| bases[at + 1..].iter().any(|base| (base - bases[at]).abs() < MEETS);
        filled += usize::from(!bases.is_empty());
        several += usize::from((0..bases.len()).any(is_level));
    }
    several >= INNER_COLUMNS && several * 2 > filled
}

/// The different ones of `values`, sorted.
fn places(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.collect();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted.dedup_by(|a, b| *a - *b < APART);
    sorted
}

fn cell_blocks(pieces: Vec<Piece>) -> Vec<Block> {
    let rows = super::columns::rows(pieces.into_iter().map(super::page::item).collect());
    let lines: Vec<Line> = rows.iter().filter_map(|row| Line::of(row)).collect();
    let blocks = paragraphs(&lines).into_iter().map(|paragraph| {
        let mut text = paragraph.inlines();
        if let Some(marker) = paragraph.marker {
            text.insert(0, Inline::text(if marker.is_empty() { "• ".to_owned() } else { format!("{marker} ") }));
        }
        BlockKind::Paragraph(text).into()
    });
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::words::Bit;

    fn cell(texts: &[&str], left: f32, first_base: f32) -> Vec<Piece> {
        let piece = |(at, text): (usize, &&str)| {
            let base = first_base + 12.0 * at as f32;
            let rect = Rect { left, top: base - 8.0, right: left + 30.0, bottom: base + 2.0 };
            let (bits, chars) = (vec![Bit::Plain((*text).to_owned())], text.len());
            let [bold, fixed, right_to_left, slanted] = [false; 4];
            Piece {
                bits,
                rect,
                base,
                size: 10.0,
                turn: 0,
                order: at,
                chars,
                gaps: Vec::new(),
                bold,
                fixed,
                right_to_left,
                slanted,
            }
        };
        texts.iter().enumerate().map(piece).collect()
    }

    #[test]
    fn cells_with_lines_of_numbers_level_with_each_other_hold_rows() {
        let numbers = ["19,493", "26,540", "16,328", "(347)"];
        let labels = cell(&["Ships", "Nets", "Services", "Other"], 0.0, 20.0);
        let others = ["16,162", "26,257", "15,543", "(65)"];
        assert!(holds_rows(&[labels.clone(), cell(&numbers, 100.0, 20.0), cell(&others, 200.0, 20.0)]));
        assert!(!holds_rows(&[labels.clone(), cell(&numbers, 100.0, 20.0), cell(&others, 200.0, 26.0)]), "not level");
        assert!(!holds_rows(&[labels.clone(), cell(&numbers, 100.0, 20.0), Vec::new()]), "one column");
        assert!(!holds_rows(&[labels, cell(&numbers[..2], 100.0, 20.0), cell(&others[..2], 200.0, 20.0)]), "few rows");
    }

    #[test]
    fn cells_with_numbers_beside_each_other_hold_columns() {
        let beside = |base: f32| [cell(&["5,032"], 100.0, base), cell(&["4,901"], 150.0, base)].concat();
        let cells = [beside(20.0), beside(40.0), beside(60.0)];
        assert!(holds_columns(cells.iter()));
        assert!(!holds_columns(cells[..2].iter()), "few rows");
        let single: Vec<Vec<Piece>> = (0..4).map(|at| cell(&["7"], 100.0, 80.0 + 20.0 * at as f32)).collect();
        assert!(!holds_columns(cells.iter().chain(&single)), "most cells hold one");
    }
}
