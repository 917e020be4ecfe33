//! Rows and columns to a table: lines of one row, cells over several columns.

use domain::document::{BlockKind, Cell, Inline, Table};

use super::{CENTRED, Columns, Row, ends, hit, over_several};
use crate::pdf::{columns::Item, geometry::Rect, lines, words::Piece};

/// The greatest distance of a line from the one before whose cells it goes on with.
const GOES_ON: f32 = 1.35;
/// The part of a column, or of itself, that a heading covers at least of a column that it stands over.
const MUCH: f32 = 0.3;
/// The distance of lines of one row, at most, in parts of the distance of rows.
const WITHIN_ROW: f32 = 0.75;

/// A cell of a row that is being made: the columns that it covers and its text.
#[derive(Debug, Clone)]
struct Draft {
    columns: (usize, usize),
    text: Vec<Inline>,
    number: bool,
}

/// The table of `rows`, the first `heads` of which are headings.
pub(super) fn table(rows: &[Row], columns: &Columns, heads: usize, rules: &[Rect]) -> Table {
    let pitch = pitch(&rows[heads..]);
    let mut out: Vec<(Vec<Draft>, bool)> = Vec::new();
    let mut last_base = f32::NEG_INFINITY;
    for (at, row) in rows.iter().enumerate() {
        let drafts = drafts(row, columns, (at < heads, rows.get(at + 1)), rules);
        let (base, size) = row.first().map_or((0.0, 1.0), |item| (item.base, item.size));
        let distance = base - last_base;
        last_base = base;
        let is_head = at < heads;
        let goes_on = out.last().is_some_and(|(above, above_is_head)| {
            *above_is_head == is_head && goes_on(above, &drafts, distance, size, pitch, columns.len(), is_head)
        });
        match out.last_mut().filter(|_| goes_on) {
            Some((above, _)) => drafts.into_iter().for_each(|draft| add(above, draft)),
            None => out.push((drafts, is_head)),
        }
    }
    let header_rows = out.iter().filter(|(_, is_head)| *is_head).count();
    let rows = out.into_iter().map(|(row, _)| cells(row, columns.len())).collect();
    Table { rows, header_rows, ..Table::default() }
}

/// The usual distance of the rows, in points: that of most lines, or the greater of the usual two.
fn pitch(rows: &[Row]) -> f32 {
    let mut distances: Vec<f32> = rows.windows(2).map(|pair| pair[1][0].base - pair[0][0].base).collect();
    distances.sort_unstable_by(f32::total_cmp);
    distances.get(distances.len() * 3 / 4).copied().unwrap_or(0.0)
}

/// Whether a line goes on with the cells of the row above.
fn goes_on(
    above: &[Draft],
    line: &[Draft],
    distance: f32,
    size: f32,
    pitch: f32,
    columns: usize,
    is_head: bool,
) -> bool {
    let is_across = |draft: &Draft| draft.columns.0 < draft.columns.1;
    let same = |draft: &Draft| above.iter().find(|other| other.columns.0 == draft.columns.0);
    if line.iter().chain(above).any(is_across)
        || line.iter().any(|draft| draft.number && same(draft).is_some_and(|a| a.number))
    {
        return false;
    }
    if is_head {
        return distance < GOES_ON * size;
    }
    let has_first = line.iter().any(|draft| draft.columns.0 == 0);
    // A line below that has nothing in the first column goes on with the cells above.
    let is_rest = !has_first && line.iter().all(|draft| same(draft).is_some()) && distance < GOES_ON * size;
    // Lines of one row stand closer than rows do.
    let is_close = distance < WITHIN_ROW * pitch && (line.len() < columns || above.len() < columns);
    is_rest || is_close
}

/// The cells of a line. `below` is the line under it.
fn drafts(
    row: &[Item<Piece>],
    columns: &Columns,
    (is_head, below): (bool, Option<&Row>),
    rules: &[Rect],
) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (at, item) in row.iter().enumerate() {
        let nearest = || {
            let (x, _) = item.rect.middle();
            let away = |column: &(f32, f32)| (column.0 - x).max(x - column.1).max(0.0);
            let nearest = (0..columns.len()).min_by(|a, b| away(&columns[*a]).total_cmp(&away(&columns[*b])));
            nearest.map_or((0, 0), |column| (column, column))
        };
        let span = match () {
            () if is_head => over_several(row, at, columns, rules, below).or_else(|| over(columns, item)),
            // A long text runs over into free columns, which are not its own.
            () => hit(columns, item).map(|(a, b)| match is_across(row, (a, b), columns) {
                true => (0, columns.len() - 1),
                false => (a, a),
            }),
        };
        let draft = Draft {
            columns: span.unwrap_or_else(nearest),
            text: lines::inlines(&item.content.bits),
            number: item.number,
        };
        add(&mut drafts, draft);
    }
    drafts
}

/// The columns that a heading stands over: those of which it covers much.
fn over(columns: &Columns, item: &Item<Piece>) -> Option<(usize, usize)> {
    let (from, to) = hit(columns, item)?;
    let covers = |at: &usize| {
        let (left, right) = columns[*at];
        let shared = right.min(item.rect.right) - left.max(item.rect.left);
        shared > MUCH * (right - left).min(item.rect.width())
    };
    // The first column holds the labels of the rows, some of which are long.
    let from = if from == 0 && to > 0 && item.rect.middle().0 > columns[0].1 { 1 } else { from };
    let first = (from..=to).find(covers).unwrap_or(from);
    Some((first, (first..=to).rev().find(covers).unwrap_or(first)))
}

/// Whether the row is one line in the middle of the table, over several columns: it is about all of them.
fn is_across(row: &[Item<Piece>], hit: (usize, usize), columns: &Columns) -> bool {
    let ends = ends(columns);
    let off = |item: &Item<Piece>| ((ends.0 + ends.1) / 2.0 - item.rect.middle().0).abs();
    // A long label begins where the others do.
    let is_centred =
        |item: &Item<Piece>| off(item) < CENTRED * (ends.1 - ends.0) && item.rect.left > ends.0 + item.size;
    hit.0 < hit.1 && row.len() == 1 && row.iter().all(is_centred)
}

/// Adds a cell, or its text to the one that covers its first column.
fn add(row: &mut Vec<Draft>, draft: Draft) {
    let covers = |other: &&mut Draft| other.columns.0 <= draft.columns.0 && draft.columns.0 <= other.columns.1;
    match row.iter_mut().find(covers) {
        Some(other) => {
            other.text.push(Inline::text(" "));
            other.text.extend(draft.text);
            other.number |= draft.number;
        }
        None => {
            row.push(draft);
            row.sort_by_key(|draft| draft.columns.0);
        }
    }
}

fn cells(row: Vec<Draft>, columns: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut at = 0;
    for draft in row {
        let (from, to) = draft.columns;
        cells.extend((at..from).map(|_| Cell::new(Vec::new())));
        let from = from.max(at);
        let wide = (to + 1).saturating_sub(from).max(1);
        cells.push(Cell { columns: wide as u32, ..Cell::new(vec![BlockKind::Paragraph(draft.text).into()]) });
        at = from + wide;
    }
    cells.extend((at..columns).map(|_| Cell::new(Vec::new())));
    cells
}
