//! Tables of figures: rows of a label and numbers. The numbers of all rows say where the columns are; labels may be longer than
//! their column, and headings of any width stand above.

use super::{Columns, Row, around::is_year, hit, is_no_row, over_several, parted};
use crate::pdf::{columns::Item, geometry::Rect, words::Piece};

/// Rows that are looked at from the first one of a table.
const MAX_ROWS: usize = 200;
/// The greatest distance of two rows, in parts of the font's size.
const ROW_GAP: f32 = 2.6;
/// The distance of the first row of a table from the lines of its headings, and of these from each other, in parts of the font's size.
const HEAD_GAP: f32 = 2.2;
/// The distance of two lines of one heading, at most, in parts of the font's size.
const STACKED: f32 = 1.35;
/// Lines of headings, at most.
const MAX_HEADS: usize = 8;
/// Text in a heading, at most, in characters.
const MAX_HEAD_CHARS: usize = 60;
/// Text in a line without numbers between two rows, at most, in characters: a longer one is a paragraph's.
const MAX_LABEL_CHARS: usize = 110;
/// The same for each of two such lines that follow each other.
const LONG_LABEL_CHARS: usize = 60;
/// The share of the rows with numbers that have a label, at least, in percent.
const LABELLED: usize = 70;
/// The share of the rows with two numbers in one column, or with two texts, at most, in percent.
const TWICE: usize = 5;
const TWO_TEXTS: usize = 20;
/// How far the line of a label may be from that of its numbers, in parts of the font's size.
const LEVEL: f32 = 0.85;
/// Rows whose label and numbers stand on two lines, from which on this is how the table is set.
const MIN_UNLEVEL: usize = 3;

/// The first rows of a region that are a table.
pub(super) struct Block {
    pub(super) length: usize,
    /// How many of them are headings.
    pub(super) heads: usize,
    pub(super) columns: Columns,
}

/// Finds the table of figures that begins with the first of `rows`.
pub(super) fn block(rows: &[Row]) -> Option<Block> {
    rows.first().filter(|row| row.len() >= 2)?;
    let rows = &rows[..extent(rows)];
    let length = rows.iter().rposition(|row| has_figure(row))? + 1;
    let rows = &rows[..length];
    let numbered: Vec<&Row> = rows.iter().filter(|row| has_figure(row)).collect();
    let numbers = number_columns(&numbered)?;
    if numbered.len() < if numbers.len() > 1 { 2 } else { 3 } {
        return None;
    }
    let columns = with_texts(&numbered, numbers)?;
    let is_label = |item: &Item<Piece>| hit(&columns, item).is_some_and(|(from, _)| from == 0);
    let is_head = |row: &&Row| !(has_figure(row) || row.len() == 1 && is_label(&row[0]));
    let heads = rows.iter().take_while(is_head).count();
    let is_fine = rows[..heads].iter().all(|row| is_heading(row, None, &columns, &[]));
    (heads <= MAX_HEADS && is_fine).then_some(Block { length, heads, columns })
}

/// How many of the rows may belong to one table.
fn extent(rows: &[Row]) -> usize {
    let is_long = |row: &Row, chars: usize| row.len() == 1 && !has_figure(row) && row[0].chars > chars;
    let mut numbers_from = f32::MAX;
    for (at, row) in rows.iter().enumerate().take(MAX_ROWS) {
        let Some(first) = row.first() else { return at };
        let is_far = at > 0 && first.base - rows[at - 1][0].base > ROW_GAP * first.size.max(rows[at - 1][0].size);
        let is_paragraph = is_long(row, MAX_LABEL_CHARS)
            || is_long(row, LONG_LABEL_CHARS) && rows.get(at + 1).is_some_and(|next| is_long(next, LONG_LABEL_CHARS));
        // Headings below numbers are those of another table.
        let is_next = !has_figure(row) && first.rect.left > numbers_from - 2.0 * first.size;
        let is_year_row =
            !has_figure(row) && numbers_from < f32::MAX && row.iter().filter(|item| is_year(item)).count() > 1;
        if is_far || is_paragraph || is_next || is_year_row || is_no_row(row) {
            return at;
        }
        let figures = row.iter().filter(|item| is_figure(item));
        numbers_from = figures.map(|item| item.rect.left).fold(numbers_from, f32::min);
    }
    rows.len().min(MAX_ROWS)
}

fn is_figure(item: &Item<Piece>) -> bool {
    item.number && !is_year(item)
}

fn has_figure(row: &[Item<Piece>]) -> bool {
    row.iter().any(is_figure)
}

/// The columns of the numbers; `None` if rows have several numbers in one.
fn number_columns(rows: &[&Row]) -> Option<Columns> {
    let columns = joined(rows.iter().flat_map(|row| row.iter()).filter(|item| is_figure(item)));
    let is_twice = |row: &&&Row| {
        let places: Vec<_> = row.iter().filter(|item| is_figure(item)).map(|item| hit(&columns, item)).collect();
        places.windows(2).any(|pair| pair[0] == pair[1])
    };
    (rows.iter().filter(is_twice).count() * 100 <= TWICE * rows.len()).then_some(columns)
}

/// The left and right ends of the groups of items that overlap.
fn joined<'a>(items: impl Iterator<Item = &'a Item<Piece>>) -> Columns {
    let mut spans: Columns = items.map(|item| (item.rect.left, item.rect.right)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut columns = Columns::new();
    for (left, right) in spans {
        match columns.last_mut() {
            Some(last) if left < last.1 => last.1 = last.1.max(right),
            _ => columns.push((left, right)),
        }
    }
    columns
}

/// The columns of numbers with those of text; the first one heads the rows. `None` if the rows have no labels, or several texts in one
/// column.
fn with_texts(rows: &[&Row], numbers: Columns) -> Option<Columns> {
    let edge = numbers.first()?.0;
    let labelled = rows.iter().filter(|row| !is_figure(&row[0]) && row[0].rect.left < edge - row[0].size).count();
    if labelled * 100 < LABELLED * rows.len() {
        return None;
    }
    let is_text = |item: &&Item<Piece>| !is_figure(item) && hit(&numbers, item).is_none();
    let texts = joined(rows.iter().flat_map(|row| row.iter()).filter(is_text));
    let labels = *texts.first().filter(|labels| labels.0 < edge)?;
    let is_twice = |row: &&&Row| {
        let places: Vec<_> = row.iter().filter(is_text).map(|item| hit(&texts, item)).collect();
        places.windows(2).any(|pair| pair[0] == pair[1])
    };
    if rows.iter().filter(is_twice).count() * 100 > TWO_TEXTS * rows.len() {
        return None;
    }
    let count = |column: &(f32, f32)| {
        let is_in = |item: &&Item<Piece>| column.0 < item.rect.right && item.rect.left < column.1;
        rows.iter().flat_map(|row| row.iter()).filter(is_text).filter(is_in).count()
    };
    let others = texts.iter().skip(1).filter(|column| count(column) > 1);
    let mut columns: Columns = std::iter::once(labels).chain(others.copied()).chain(numbers.iter().copied()).collect();
    columns.sort_by(|a, b| a.0.total_cmp(&b.0));
    columns.windows(2).all(|pair| pair[0].1 <= pair[1].0).then_some(columns)
}

/// How many of the lines above a table of figures, the last of which is next to it, are headings of its columns.
pub(super) fn heads_above(above: &[Row], first: &Row, columns: &Columns, rules: &[Rect]) -> usize {
    let mut below = first;
    let mut heads = 0;
    for row in above.iter().rev().take(MAX_HEADS) {
        let (Some(item), Some(next)) = (row.first(), below.first()) else { break };
        let is_near = next.base - item.base < HEAD_GAP * item.size.max(next.size);
        if !is_near || has_figure(row) || !is_heading(row, Some(below), columns, rules) {
            break;
        }
        below = row;
        heads += 1;
    }
    heads
}

/// Whether a line holds headings of columns. `below` is the line under it, if it is one of which it is not known that it belongs to the
/// table.
fn is_heading(row: &Row, below: Option<&Row>, columns: &Columns, rules: &[Rect]) -> bool {
    let row = parted(row, columns);
    let (left, right) = super::ends(columns);
    let over = |at: usize| {
        let place = hit(columns, &row[at]);
        match place {
            Some((from, to)) if from == to => from > 0,
            Some((0, _)) => {
                over_several(&row, at, columns, rules, below).is_some() || row[at].rect.middle().0 > columns[0].1
            }
            Some(_) => true,
            None => row[at].rect.left > columns[0].1,
        }
    };
    let heads = (0..row.len()).filter(|&at| over(at)).count();
    let is_short = |item: &Item<Piece>| {
        let slack = item.size;
        item.chars <= MAX_HEAD_CHARS && left - 3.0 * slack <= item.rect.left && item.rect.right <= right + slack
    };
    let is_one = |at: usize| over(at) || hit(columns, &row[at]) == Some((0, 0)) && row.len() > 1;
    if heads == 0 || !(0..row.len()).all(|at| is_short(&row[at]) && is_one(at)) {
        return false;
    }
    let (Some(below), [item]) = (below, row.as_slice()) else { return true };
    let is_single = |item: &Item<Piece>| hit(columns, item).is_some_and(|(from, to)| from == to);
    // A piece alone may be a caption, unless it stands over the middle of columns, or close to what it heads.
    let is_close = || below.first().is_some_and(|next| next.base - item.base < STACKED * item.size.max(next.size));
    over_several(&row, 0, columns, rules, Some(below)).is_some()
        || is_year(item)
        || is_close() && below.iter().any(|under| hit(columns, under) == hit(columns, item) && is_single(item))
}

/// Puts labels into the row of their numbers where a table sets them a little higher or lower. The row stands where its label does, so
/// that the lines of a long label stay closer to each other than rows do.
pub(super) fn level(rows: Vec<Row>) -> Vec<Row> {
    let is_label = |row: &Row| row.len() == 1 && !row[0].number;
    let is_numbers = |row: &Row| !row.is_empty() && row.iter().all(|item| item.number);
    let distance = |label: &Row, numbers: &Row| {
        let (label, first) = (&label[0], &numbers[0]);
        let distance = (first.base - label.base).abs() / label.size.max(first.size);
        (label.rect.right < first.rect.left && distance < LEVEL).then_some(distance)
    };
    // For each row of numbers the place of its label.
    let label_of = |at: usize| {
        let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
        let near = beside.filter_map(|other| {
            let label = rows.get(other).filter(|row| is_label(row))?;
            Some((distance(label, &rows[at])?, other))
        });
        near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
    };
    let pairs: Vec<(usize, usize)> =
        (0..rows.len()).filter(|&at| is_numbers(&rows[at])).filter_map(|at| Some((at, label_of(at)?))).collect();
    let mut labels: Vec<usize> = pairs.iter().map(|(_, label)| *label).collect();
    labels.dedup();
    if pairs.len() < MIN_UNLEVEL || labels.len() < pairs.len() {
        return rows;
    }
    let mut labels: Vec<Option<Item<Piece>>> = vec![None; rows.len()];
    let mut is_moved = vec![false; rows.len()];
    for (at, label) in pairs {
        labels[at] = Some(rows[label][0].clone());
        is_moved[label] = true;
    }
    let levelled = rows.into_iter().zip(labels).zip(is_moved).filter(|(_, is_moved)| !is_moved);
    levelled.map(|((row, label), _)| label.into_iter().chain(row).collect()).collect()
}
