//! Lays out a sheet: finds the blocks of used cells, and makes tables and lines of them.
//!
//! What counts is where cells show something, not how far the sheet goes. Rows and columns without a value take no place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Area, Cell, Placed, Sheet};
use domain::document::{Block, BlockKind, Inline, Table};

/// Empty rows from which on a table ends in any case. Fewer may stand within a table, to group its rows.
const MIN_GAP: u32 = 3;
/// Tables beside tables are looked for down to this depth.
const MAX_DEPTH: usize = 8;
/// A block with more places than this for each of its cells is no table.
const MAX_PLACES_A_CELL: usize = 50;
/// Except if it has no more places than this.
const SMALL: usize = 10_000;

/// A cell with what it covers.
struct Used {
    cell: Cell,
    /// The last row and the last column that it covers.
    bottom: u32,
    right: u32,
    link: Option<String>,
}

/// The blocks of a sheet in reading order.
pub(super) fn lay_out(mut sheet: Sheet) -> Vec<Block> {
    let mut parts = Vec::new();
    let used = used(&mut sheet);
    cut_rows(used, &mut parts, 0);
    let mut placed: Vec<Placed> = Vec::with_capacity(parts.len() + sheet.placed.len());
    for part in parts {
        let Some((row, column)) = part.first().map(|first| (first.cell.row, first.cell.column)) else { continue };
        placed.push(Placed { row, column, blocks: block(part) });
    }
    placed.append(&mut sheet.placed);
    placed.sort_by_key(|placed| (placed.row, placed.column));
    placed.into_iter().flat_map(|placed| placed.blocks).collect()
}

/// The cells in order, with their spans. What lies under a merged cell is not shown.
fn used(sheet: &mut Sheet) -> Vec<Used> {
    let spans: HashMap<(u32, u32), Area> = sheet.merged.iter().map(|area| ((area.top, area.left), *area)).collect();
    let mut cells = std::mem::take(&mut sheet.cells);
    cells.retain(|cell| !cell.text.trim().is_empty());
    cells.sort_by_key(|cell| (cell.row, cell.column));
    cells.reverse();
    cells.dedup_by_key(|cell| (cell.row, cell.column));
    cells.reverse();
    let mut out: Vec<Used> = Vec::with_capacity(cells.len());
    // Merged cells that may cover cells to come, by their first column.
    let mut open: BTreeMap<u32, Area> = BTreeMap::new();
    for cell in cells {
        if is_covered(&mut open, &cell) {
            continue;
        }
        let own = spans.get(&(cell.row, cell.column)).copied();
        if let Some(area) = own {
            open.insert(area.left, area);
        }
        let link = sheet.links.remove(&(cell.row, cell.column));
        let (bottom, right) = own.map_or((cell.row, cell.column), |area| (area.bottom, area.right));
        out.push(Used { cell, bottom, right, link });
    }
    out
}

fn is_covered(open: &mut BTreeMap<u32, Area>, cell: &Cell) -> bool {
    while let Some((&left, area)) = open.range(..=cell.column).next_back() {
        if area.bottom >= cell.row {
            return area.right >= cell.column;
        }
        open.remove(&left);
    }
    false
}

/// Cuts at empty rows, then each piece at empty columns.
fn cut_rows(cells: Vec<Used>, parts: &mut Vec<Vec<Used>>, depth: usize) {
    let mut groups: Vec<(u32, Vec<Used>)> = Vec::new();
    let mut end = 0;
    for used in cells {
        let gap = used.cell.row.saturating_sub(end);
        end = end.max(used.bottom.saturating_add(1));
        match groups.last_mut() {
            Some((_, group)) if gap == 0 => group.push(used),
            _ => groups.push((gap, vec![used])),
        }
    }
    let mut tables: Vec<Vec<Used>> = Vec::new();
    for (gap, group) in groups {
        match tables.last_mut() {
            Some(table) if gap < MIN_GAP && goes_on(table, &group) => table.extend(group),
            _ => tables.push(group),
        }
    }
    for table in tables {
        cut_columns(table, parts, depth);
    }
}

/// Whether `group` goes on with the table above it, a few empty rows apart: its values stand in the table's columns, and
/// it has no headings of its own.
fn goes_on(table: &[Used], group: &[Used]) -> bool {
    let columns = columns_of(table);
    let own = columns_of(group);
    if columns.len() < 2 || own.len() < 2 || !own.is_subset(&columns) {
        return false;
    }
    !(has_head(group) || first_full_row(table).iter().all(|used| used.cell.bold) && is_bold_head(group))
}

/// Whether the first row of several cells holds texts only, above a row with a number.
fn has_head(group: &[Used]) -> bool {
    let head = first_full_row(group);
    let Some(last) = head.last() else { return false };
    let row = last.cell.row;
    let mut below = group.iter().skip_while(|used| used.cell.row <= row);
    let next = below.next().map(|used| used.cell.row);
    let numbers = |used: &&Used| Some(used.cell.row) == next && !used.cell.is_text;
    head.iter().all(|used| used.cell.is_text) && group.iter().any(|used| numbers(&used))
}

fn is_bold_head(group: &[Used]) -> bool {
    let head = first_full_row(group);
    !head.is_empty() && head.len() < group.len() && head.iter().all(|used| used.cell.bold)
}

/// The first row that holds several cells.
fn first_full_row(group: &[Used]) -> &[Used] {
    group.chunk_by(|a, b| a.cell.row == b.cell.row).find(|row| row.len() > 1).unwrap_or_default()
}

fn columns_of(cells: &[Used]) -> BTreeSet<u32> {
    cells.iter().map(|used| used.cell.column).collect()
}

/// Cuts between two tables that stand side by side, each with headings of its own and another height.
fn cut_columns(cells: Vec<Used>, parts: &mut Vec<Vec<Used>>, depth: usize) {
    match gutter(&cells).filter(|_| depth < MAX_DEPTH) {
        None => parts.push(cells),
        Some(at) => {
            let (left, right) = cells.into_iter().partition(|used| used.cell.column < at);
            cut_rows(left, parts, depth + 1);
            cut_rows(right, parts, depth + 1);
        }
    }
}

/// The first column of the right one of two tables that stand side by side.
fn gutter(cells: &[Used]) -> Option<u32> {
    let mut columns: Vec<(u32, u32)> = cells.iter().map(|used| (used.cell.column, used.right)).collect();
    columns.sort_unstable();
    let mut end = 0;
    for (column, right) in columns {
        if column > end && end > 0 {
            let (left, beside): (Vec<&Used>, Vec<&Used>) = cells.iter().partition(|used| used.cell.column < column);
            let differ = rows_of(&left) != rows_of(&beside);
            return (differ && is_table(&left, false) && is_table(&beside, true)).then_some(column);
        }
        end = end.max(right.saturating_add(1));
    }
    None
}

fn rows_of(cells: &[&Used]) -> Option<(u32, u32)> {
    Some((cells.first()?.cell.row, cells.iter().map(|used| used.bottom).max()?))
}

/// Whether cells look like a table of their own: a full row of headings, two columns and two rows at least; `dense`: and
/// a first column without holes.
fn is_table(cells: &[&Used], dense: bool) -> bool {
    let columns: BTreeSet<u32> = cells.iter().map(|used| used.cell.column).collect();
    let Some((top, bottom)) = rows_of(cells) else { return false };
    let head = cells.iter().take_while(|used| used.cell.row == top);
    let full = head.clone().count() == columns.len() && head.clone().all(|used| used.cell.is_text);
    let first = columns.first().copied();
    let filled: u32 = cells
        .iter()
        .filter(|used| Some(used.cell.column) == first)
        .map(|used| used.bottom - used.cell.row + 1)
        .fold(0, u32::saturating_add);
    columns.len() > 1 && bottom > top && full && (!dense || filled > bottom - top)
}

/// The table of a part, with the lines above it that are its title; or its lines, if it has one column.
fn block(part: Vec<Used>) -> Vec<Block> {
    let columns: Vec<u32> = columns_of(&part).into_iter().collect();
    let mut rows: Vec<Vec<Used>> = Vec::new();
    for used in part {
        match rows.last_mut() {
            Some(row) if row.first().is_some_and(|first| first.cell.row == used.cell.row) => row.push(used),
            _ => rows.push(vec![used]),
        }
    }
    let cells: usize = rows.iter().map(Vec::len).sum();
    if columns.len() < 2
        || rows.len().saturating_mul(columns.len()) > SMALL.max(cells.saturating_mul(MAX_PLACES_A_CELL))
    {
        return rows.into_iter().map(line).collect();
    }
    let titles = rows.iter().take_while(|row| is_title(row, &columns)).count();
    // Cells that stand alone in their rows are lines, wherever they stand.
    if rows.iter().all(|row| row.len() == 1) {
        return rows.into_iter().map(line).collect();
    }
    let body = rows.split_off(titles);
    let mut out: Vec<Block> = rows.into_iter().map(line).collect();
    out.push(BlockKind::Table(table(body, &columns)).into());
    out
}

/// A row as a line of text.
fn line(row: Vec<Used>) -> Block {
    let mut text = Vec::new();
    for used in row {
        if !text.is_empty() {
            text.push(Inline::text("; "));
        }
        text.extend(inline(used.cell.text, used.link));
    }
    BlockKind::Paragraph(text).into()
}

fn inline(text: String, link: Option<String>) -> Vec<Inline> {
    match link {
        None => vec![Inline::Text(text)],
        Some(target) => vec![Inline::Link { target, text: vec![Inline::Text(text)] }],
    }
}

/// Whether a first row holds the table's title: one text that stands in the first column, or over the table.
fn is_title(row: &[Used], columns: &[u32]) -> bool {
    let [only] = row else { return false };
    let first = columns.first() == Some(&only.cell.column);
    let covers = columns.iter().filter(|column| (only.cell.column..=only.right).contains(column)).count();
    // A heading of some columns, above their own headings, is merged over them.
    only.cell.is_text && (first || columns.len() > 2 && covers == 1)
}

/// The table of rows that are not empty, in these columns.
fn table(rows: Vec<Vec<Used>>, columns: &[u32]) -> Table {
    let lines: Vec<u32> = rows.iter().filter_map(|row| row.first().map(|used| used.cell.row)).collect();
    let header_rows = header_rows(&rows);
    let span = |all: &[u32], first: u32, last: u32| {
        let count = all.partition_point(|at| *at <= last) - all.partition_point(|at| *at < first);
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    };
    // The row from which on each column is free of a merged cell above.
    let mut free = vec![0; columns.len()];
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(at) = row.first().map(|used| used.cell.row) else { continue };
        let mut cells = Vec::new();
        let mut place = 0;
        let mut row = row.into_iter().peekable();
        while let Some(column) = columns.get(place) {
            let next = row.next_if(|used| used.cell.column == *column);
            // A merged cell above covers the place.
            if next.is_none() && free[place] > at {
                place += 1;
                continue;
            }
            let mut cell = domain::document::Cell::new(Vec::new());
            if let Some(used) = next {
                cell.columns = span(columns, used.cell.column, used.right);
                cell.rows = span(&lines, at, used.bottom);
                let covered = usize::try_from(cell.columns).unwrap_or(1);
                free.iter_mut().skip(place).take(covered).for_each(|row| *row = used.bottom.saturating_add(1));
                cell.blocks = vec![BlockKind::Paragraph(inline(used.cell.text, used.link)).into()];
                place += covered;
            } else {
                place += 1;
            }
            cells.push(cell);
        }
        out.push(cells);
    }
    Table { caption: Vec::new(), header_rows, rows: out }
}

/// One row of headings, if a merged cell in it stands above values; else as the renderer finds.
fn header_rows(rows: &[Vec<Used>]) -> usize {
    let Some(first) = rows.first() else { return 0 };
    let down = first.iter().any(|used| used.bottom > used.cell.row);
    let values = rows.get(1).is_some_and(|row| row.iter().any(|used| !used.cell.is_text));
    usize::from(!down && values)
}
