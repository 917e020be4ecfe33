//! Reading order: cuts a page into regions that are read one after the other, and a region into rows.
//!
//! A gutter is a strip without text that has text of columns on both sides. Around the longest gutter the page is cut into what
//! stands above, the columns, and what stands below; each part is cut again. Columns of a table are no such columns: they
//! are read row by row.

use super::geometry::{Rect, median};

#[cfg(test)]
mod tests;

/// Cuts within cuts.
const MAX_DEPTH: usize = 12;
/// Left edges that are tried as the beginning of a column.
const MAX_EDGES: usize = 24;
/// The narrowest gutter, in parts of the usual size of the font: LaTeX has ten points beside letters of eleven and of twelve.
const GUTTER: f32 = 0.8;
/// The fewest lines on each side of a gutter.
const MIN_LINES: usize = 3;
/// The lines of each of two columns of which one is prose and the other is written after it, at least.
const SET_LINES: usize = 4;
/// The greatest gap between two lines of one paragraph, in parts of the font's size.
const LINE_GAP: f32 = 0.7;
/// The greatest gap between two lines at the end of a column, in parts of the font's size.
const COLUMN_GAP: f32 = 3.0;
/// Characters in the usual line of a column of text, at least.
const PROSE_CHARS: usize = 16;
/// The share of a column's characters that stand in such lines, at least.
const PROSE_SHARE: f32 = 0.75;

/// The width of a column of numbers, at most, in parts of the font's size.
const NUMBER_WIDTH: f32 = 8.0;

/// Something on the page that is read in one go.
#[derive(Debug, Clone)]
pub(super) struct Item<T> {
    pub(super) rect: Rect,
    /// The y of its line.
    pub(super) base: f32,
    pub(super) size: f32,
    /// Its place in the order of the page's content.
    pub(super) order: usize,
    pub(super) chars: usize,
    pub(super) right_to_left: bool,
    /// It is a number.
    pub(super) number: bool,
    /// It begins as a label does: with a capital letter, a digit or a bracket.
    pub(super) opens: bool,
    pub(super) content: T,
}

/// The regions of the page, in reading order.
pub(super) fn regions<T>(items: Vec<Item<T>>) -> Vec<Vec<Item<T>>> {
    let mut regions = Vec::new();
    cut(items, 0, &mut regions);
    regions
}

fn cut<T>(items: Vec<Item<T>>, depth: usize, out: &mut Vec<Vec<Item<T>>>) {
    if items.is_empty() {
        return;
    }
    let gutter = if depth < MAX_DEPTH { best_gutter(&items) } else { None };
    let Some(gutter) = gutter else {
        out.push(items);
        return;
    };
    let [mut above, mut left, mut right, mut below] = [const { Vec::new() }; 4];
    let right_to_left = items.iter().filter(|item| item.right_to_left).count() * 2 > items.len();
    for item in items {
        let (x, y) = item.rect.middle();
        match () {
            () if y < gutter.top => above.push(item),
            () if y > gutter.bottom => below.push(item),
            () if x < gutter.right => left.push(item),
            () => right.push(item),
        }
    }
    if right_to_left {
        std::mem::swap(&mut left, &mut right);
    }
    for part in [above, left, right, below] {
        cut(part, depth + 1, out);
    }
}

/// The gutter with the most lines beside it.
fn best_gutter<T>(items: &[Item<T>]) -> Option<Rect> {
    if items.len() < 2 * MIN_LINES {
        return None;
    }
    let size = median(&mut items.iter().map(|item| item.size).collect::<Vec<_>>())?;
    let mut by_top: Vec<&Item<T>> = items.iter().collect();
    by_top.sort_by(|a, b| a.rect.top.total_cmp(&b.rect.top));
    let mut best: Option<(usize, Rect)> = None;
    for edge in left_edges(items, 0.4 * size) {
        for (lines, gutter) in gutters_at(&by_top, edge, GUTTER * size) {
            if best.as_ref().is_none_or(|(most, _)| lines > *most) {
                best = Some((lines, gutter));
            }
        }
    }
    best.map(|(_, gutter)| gutter)
}

/// The left edges at which the most items begin.
fn left_edges<T>(items: &[Item<T>], tolerance: f32) -> Vec<f32> {
    let mut lefts: Vec<f32> = items.iter().map(|item| item.rect.left).collect();
    lefts.sort_unstable_by(f32::total_cmp);
    let mut edges: Vec<(usize, f32)> = Vec::new();
    let mut last = f32::NEG_INFINITY;
    for left in lefts {
        match edges.last_mut() {
            Some((count, _)) if left - last < tolerance => *count += 1,
            _ => edges.push((1, left)),
        }
        last = left;
    }
    // The first edge has nothing on its left.
    let mut edges: Vec<(usize, f32)> = edges.into_iter().skip(1).filter(|(count, _)| *count >= MIN_LINES).collect();
    edges.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    edges.truncate(MAX_EDGES);
    edges.into_iter().map(|(_, left)| left).collect()
}

/// The gutters that end at `edge`, each with the number of lines beside it.
fn gutters_at<T>(by_top: &[&Item<T>], edge: f32, width: f32) -> Vec<(usize, Rect)> {
    let start = edge - width;
    let crosses = |item: &Item<T>| item.rect.left < edge - 0.5 && item.rect.right > start;
    let mut blocks: Vec<(f32, f32)> =
        by_top.iter().filter(|item| crosses(item)).map(|item| (item.rect.top, item.rect.bottom)).collect();
    blocks.push((f32::INFINITY, f32::INFINITY));
    let mut found = Vec::new();
    let mut top = f32::NEG_INFINITY;
    for (block_top, block_bottom) in blocks {
        if block_top > top {
            let within = by_top.iter().filter(|item| {
                let (_, y) = item.rect.middle();
                y > top && y < block_top && !crosses(item)
            });
            let (left, right): (Vec<&Item<T>>, Vec<&Item<T>>) = within.partition(|item| item.rect.right <= start + 0.5);
            found.extend(gutter_between(left, right, start, edge));
        }
        top = top.max(block_bottom);
    }
    found
}

/// The gutter between two sides, if they are columns.
fn gutter_between<'a, T>(
    mut left: Vec<&'a Item<T>>,
    mut right: Vec<&'a Item<T>>,
    start: f32,
    edge: f32,
) -> Option<(usize, Rect)> {
    let top = |side: &[&Item<T>]| side.iter().map(|item| item.rect.top).reduce(f32::min);
    // What stands above the first line of the other side belongs to neither, nor what stands below its last line, unless
    // the lines run through.
    let bottom = |side: &[&Item<T>]| side.iter().map(|item| item.rect.bottom).reduce(f32::max);
    let from = top(&left)?.max(top(&right)?) - 2.0;
    let to = bottom(&left)?.min(bottom(&right)?) + 2.0;
    for side in [&mut left, &mut right] {
        let (first, last) = running(side, from, to);
        side.retain(|item| item.rect.bottom > first && item.rect.top < last);
    }
    let (left_rows, right_rows) = (row_bases(&left), row_bases(&right));
    if left_rows.len() < MIN_LINES
        || right_rows.len() < MIN_LINES
        || !are_columns(&left, &right, &left_rows, &right_rows)
    {
        return None;
    }
    let all = Rect::around(left.iter().chain(&right).map(|item| &item.rect))?;
    let gutter = Rect { left: start, top: all.top - 0.1, right: edge, bottom: all.bottom + 0.1 };
    Some((left_rows.len() + right_rows.len(), gutter))
}

/// How far up and down from a range the lines of a side run through.
fn running<T>(side: &[&Item<T>], from: f32, to: f32) -> (f32, f32) {
    let mut by_top: Vec<&&Item<T>> = side.iter().collect();
    by_top.sort_by(|a, b| a.rect.top.total_cmp(&b.rect.top));
    let begin = by_top.iter().position(|item| item.rect.bottom > from).unwrap_or(0);
    let (mut first, mut last) = (from, to);
    for pair in by_top[..=begin].windows(2).rev() {
        let (large, small) = (pair[0].size.max(pair[1].size), pair[0].size.min(pair[1].size));
        if pair[1].rect.top - pair[0].rect.bottom > LINE_GAP * large || large > 1.1 * small {
            break;
        }
        first = pair[0].rect.top;
    }
    let mut bottom = f32::NEG_INFINITY;
    for item in by_top {
        if item.rect.top >= to && item.rect.top - bottom > COLUMN_GAP * item.size {
            break;
        }
        bottom = bottom.max(item.rect.bottom);
        last = last.max(bottom);
    }
    (first, last)
}

/// The lines of a side: base, characters of the longest piece, left and right end.
fn row_bases<T>(side: &[&Item<T>]) -> Vec<(f32, usize, f32, f32)> {
    let mut sorted: Vec<&&Item<T>> = side.iter().collect();
    sorted.sort_by(|a, b| a.base.total_cmp(&b.base));
    let mut rows: Vec<(f32, usize, f32, f32)> = Vec::new();
    for item in sorted {
        match rows.last_mut() {
            Some((base, chars, left, right)) if item.base - *base < 0.3 * item.size => {
                *chars = (*chars).max(item.chars);
                *left = left.min(item.rect.left);
                *right = right.max(item.rect.right);
            }
            _ => rows.push((item.base, item.chars, item.rect.left, item.rect.right)),
        }
    }
    rows
}

type Rows = [(f32, usize, f32, f32)];

/// Whether two sides are columns of text and not of a table.
fn are_columns<T>(left: &[&Item<T>], right: &[&Item<T>], left_rows: &Rows, right_rows: &Rows) -> bool {
    let (left_prose, right_prose) = (is_prose(left_rows), is_prose(right_rows));
    let size = left.first().map_or(10.0, |item| item.size);
    let is_beside = |base: f32| left_rows.iter().any(|row| (row.0 - base).abs() < 0.2 * size);
    let beside = right_rows.iter().filter(|row| is_beside(row.0)).count();
    if are_labelled(left, right) && (!left_prose || !right_prose && open(left, right)) {
        return false;
    }
    // A box beside text has lines of its own.
    let own_lines = beside * 2 < left_rows.len().min(right_rows.len());
    if left_prose && right_prose || (left_prose || right_prose) && own_lines {
        return true;
    }
    // Short lines: the order of the content tells. A table is written row by row, or has a line for each line of the other
    // side.
    let orders = |side: &[&Item<T>]| {
        let orders = || side.iter().map(|item| item.order);
        (orders().min().unwrap_or(0), orders().max().unwrap_or(0))
    };
    let ((left_first, left_last), (right_first, right_last)) = (orders(left), orders(right));
    if left_last >= right_first && right_last >= left_first {
        return false;
    }
    // Text beside headings and formulas, whose lines stand level with it, as LaTeX sets them.
    if (left_prose || right_prose) && left_rows.len().min(right_rows.len()) >= SET_LINES {
        return true;
    }
    beside * 10 < 8 * left_rows.len().max(right_rows.len())
}

/// Whether the right side begins with a column of numbers whose rows go on from the left one: a table, in whichever order it was
/// written. Labels of several lines stand around their row.
fn are_labelled<T>(left: &[&Item<T>], right: &[&Item<T>]) -> bool {
    let edge = right.iter().map(|item| item.rect.left).fold(f32::MAX, f32::min);
    let mut sorted: Vec<&&Item<T>> = right.iter().collect();
    sorted.sort_by(|a, b| a.base.total_cmp(&b.base));
    let rows = sorted.chunk_by(|a, b| b.base - a.base < 0.3 * b.size);
    let begins = rows.filter_map(|row| row.iter().min_by(|a, b| a.rect.left.total_cmp(&b.rect.left)));
    let column: Vec<_> = begins.filter(|first| first.rect.left < edge + NUMBER_WIDTH * first.size).collect();
    let numbers: Vec<_> = column.iter().filter(|first| first.number).collect();
    let goes_on = |first: &Item<T>| left.iter().any(|item| (item.base - first.base).abs() < 0.8 * first.size);
    let labelled = numbers.iter().filter(|first| goes_on(first)).count();
    numbers.len() * 10 >= 6 * column.len() && labelled * 10 >= 7 * numbers.len()
}

/// Whether the lines of the left side that have something of the right one beside them begin as labels do, and not as lines of a
/// paragraph.
fn open<T>(left: &[&Item<T>], right: &[&Item<T>]) -> bool {
    let is_beside =
        |item: &&&Item<T>| right.iter().any(|other| (other.base - item.base).abs() < 0.85 * other.size.max(item.size));
    let beside: Vec<_> = left.iter().filter(is_beside).collect();
    let open = beside.iter().filter(|item| item.opens).count();
    !beside.is_empty() && open * 10 >= 8 * beside.len() && beside.len() * 10 >= 7 * left.len()
}

/// Whether most of the text stands in long lines that are about as long as each other; formulas and short lines may stand
/// between them.
fn is_prose(rows: &Rows) -> bool {
    let long = || rows.iter().filter(|row| row.1 >= PROSE_CHARS);
    let chars: usize = long().map(|row| row.1).sum();
    let all: usize = rows.iter().map(|row| row.1).sum();
    let mut widths: Vec<f32> = long().map(|row| row.3 - row.2).collect();
    let widest = widths.iter().copied().fold(1.0, f32::max);
    widths.len() >= MIN_LINES
        && chars as f32 >= PROSE_SHARE * all as f32
        && median(&mut widths).is_some_and(|width| width > 0.6 * widest)
}

/// The rows of a region from top to bottom, each in reading order.
pub(super) fn rows<T>(mut items: Vec<Item<T>>) -> Vec<Vec<Item<T>>> {
    if jumps(&items) {
        items.sort_by_key(|item| item.order);
        return items.into_iter().map(|item| vec![item]).collect();
    }
    items.sort_by(|a, b| a.base.total_cmp(&b.base).then(a.rect.left.total_cmp(&b.rect.left)));
    let mut rows: Vec<Vec<Item<T>>> = Vec::new();
    for item in items {
        match rows.last_mut() {
            Some(row) if is_in_row(row, &item) => row.push(item),
            _ => rows.push(vec![item]),
        }
    }
    for row in &mut rows {
        let right_to_left = row.iter().filter(|item| item.right_to_left).count() * 2 > row.len();
        row.sort_by(|a, b| match right_to_left {
            true => b.rect.right.total_cmp(&a.rect.right),
            false => a.rect.left.total_cmp(&b.rect.left),
        });
    }
    rows
}

fn is_in_row<T>(row: &[Item<T>], item: &Item<T>) -> bool {
    row.first().is_some_and(|first| {
        let least = first.rect.height().min(item.rect.height()).max(1.0);
        first.rect.shared_height(&item.rect) > 0.5 * least
            && row.iter().all(|other| other.rect.shared_width(&item.rect) < 0.4 * other.size.min(item.size))
    })
}

/// Whether rows across the region would tear apart what the content has together: pieces beside each other that are neither
/// columns nor a table.
fn jumps<T>(items: &[Item<T>]) -> bool {
    let mut order: Vec<&Item<T>> = items.iter().collect();
    order.sort_by(|a, b| a.base.total_cmp(&b.base).then(a.rect.left.total_cmp(&b.rect.left)));
    let back = order.windows(2).filter(|pair| pair[1].order < pair[0].order).count();
    order.sort_by_key(|item| item.order);
    // In the order of the content, how often does the text go up the page?
    let up = order.windows(2).filter(|pair| pair[1].base < pair[0].base - pair[0].size).count();
    back > 3 && back * 10 > 3 * items.len() && up * 10 < items.len()
}
