//! Tables between horizontal rules of like extent.

use domain::document::Table;

use super::{
    Columns, Row,
    around::{Placed, headings, is_crossed, is_year, labels as labels_of_rows},
    cells::table,
    hit, holds_markers, is_number, parted, widened, with_signs,
};
use crate::pdf::{
    columns::Item,
    geometry::{Rect, median},
    page,
    words::Piece,
};

/// Text in the usual line of a column of text, at least, in characters: a table has at least one narrower column.
const TEXT_LINE: f32 = 20.0;
/// The longest line across a table between its rules, in characters.
const MAX_ACROSS_CHARS: usize = 80;
/// Rules of a page that are looked at, and pairs of them.
const MAX_RULES: usize = 1500;
const MAX_TRIES: usize = 400;
/// How far the ends of rules of like extent may differ, in points.
const LIKE: f32 = 4.0;
/// How far below the last rule the first row of a table may stand that has its headings between the rules, in parts of the font's size.
const HEADED: f32 = 2.0;
/// The shortest rule of a table, in points.
const MIN_WIDTH: f32 = 60.0;

/// A slanted heading of a column: where it begins, and the heading itself.
pub(in crate::pdf) struct Label {
    pub(in crate::pdf) begin: Piece,
    pub(in crate::pdf) piece: Piece,
}

/// The tables between horizontal rules of like extent, with their places and orders; their pieces are taken out of `pieces`
/// and `labels`.
pub(in crate::pdf) fn ruled(
    pieces: &mut Vec<Piece>,
    labels: &mut Vec<Label>,
    rules: &[Rect],
) -> Vec<(Table, Rect, usize)> {
    let mut found = Vec::new();
    if rules.len() > MAX_RULES {
        return found;
    }
    let mut tries = 0..MAX_TRIES;
    for group in like_rules(rules) {
        let mut from = 0;
        while from + 1 < group.len() {
            let to = (from + 1..group.len()).rev().find_map(|to| {
                tries.next()?;
                let table = between(pieces, labels, &group[from..=to], rules)?;
                Some((to, table))
            });
            from = match to {
                Some((to, (table, rect, order, taken))) => {
                    let mut at = 0;
                    let mut is_left = || {
                        at += 1;
                        !taken.contains(&(at - 1))
                    };
                    pieces.retain(|_| is_left());
                    labels.retain(|_| is_left());
                    found.push((table, rect, order));
                    to
                }
                None => from + 1,
            };
        }
    }
    found
}

/// Groups of horizontal rules that begin and end alike, from top to bottom.
fn like_rules(rules: &[Rect]) -> Vec<Vec<Rect>> {
    // Rules are often drawn cell by cell.
    let mut sorted: Vec<Rect> = rules.to_vec();
    sorted.sort_by(|a, b| a.middle().1.total_cmp(&b.middle().1).then(a.left.total_cmp(&b.left)));
    let mut whole: Vec<Rect> = Vec::new();
    for rule in sorted {
        match whole.last_mut() {
            Some(last) if (last.middle().1 - rule.middle().1).abs() < 1.0 && rule.left - last.right < 2.0 => {
                *last = last.union(&rule);
            }
            _ => whole.push(rule),
        }
    }
    let mut groups: Vec<Vec<Rect>> = Vec::new();
    for rule in whole.into_iter().filter(|rule| rule.width() >= MIN_WIDTH) {
        let is_like = |group: &&mut Vec<Rect>| {
            group
                .last()
                .is_some_and(|last| (last.left - rule.left).abs() < LIKE && (last.right - rule.right).abs() < LIKE)
        };
        match groups.iter_mut().find(is_like) {
            // Double rules are one.
            Some(group) if group.last().is_some_and(|last| rule.top - last.bottom < 3.0) => {}
            Some(group) => group.push(rule),
            None => groups.push(vec![rule]),
        }
    }
    groups.retain(|group| group.len() >= 2);
    groups
}

type Found = (Table, Rect, usize, Vec<usize>);

/// The table between the first and the last of `bounds`, and the places of its pieces in `pieces` and, behind them, `labels`.
fn between(pieces: &[Piece], labels: &[Label], bounds: &[Rect], rules: &[Rect]) -> Option<Found> {
    let (first, last) = (bounds.first()?, bounds.last()?);
    let rect = Rect { top: first.top, bottom: last.bottom, ..first.union(last) };
    let placed = |is_inside: bool| -> Vec<Placed> {
        let all = pieces.iter().chain(labels.iter().map(|label| &label.begin)).enumerate();
        let chosen = all.filter(|(_, piece)| {
            let (x, y) = piece.body().middle();
            let inside = rect.top < y && y < rect.bottom && rect.left - LIKE < x && x < rect.right + LIKE;
            inside == is_inside
        });
        chosen.map(|(at, piece)| (at, page::item(piece.clone()))).collect()
    };
    let mut taken = placed(true);
    let (mut rows, mut columns) = rows_and_columns(&taken)?;
    if heads_others(taken.iter().map(|(_, item)| item), &rect, pieces) || !is_ruled_table(&rows, &columns, bounds) {
        return None;
    }
    let mut outside = placed(false);
    if is_crossed(taken.iter().chain(&outside), &rect) {
        return None;
    }
    let found = labels_of_rows(&outside, &rows, &columns, &rect);
    if !found.is_empty() {
        outside.retain(|(at, _)| found.iter().all(|(label, _)| label != at));
        taken.extend(found);
        (rows, columns) = rows_and_columns(&taken)?;
    }
    let above = headings(outside, &rows[0][0], &columns, &rect, rules);
    let has_heads = !above.is_empty();
    taken.extend(above);
    let rows: Vec<Row> = rows_of(&taken).iter().map(|row| parted(row, &columns)).collect();
    let heads = count_heads(&rows, &columns, bounds, has_heads);
    let order = taken.iter().map(|(_, item)| item.order).min()?;
    let rect = taken.iter().fold(rect, |rect, (_, item)| rect.union(&item.rect));
    let places = taken.into_iter().map(|(at, _)| at).collect();
    Some((table(&rows, &columns, heads, rules), rect, order, places))
}

/// Whether what stands between rules has no numbers, and a row of numbers stands right below: then these are its headings.
pub(in crate::pdf) fn heads_others<'a>(
    mut inside: impl Iterator<Item = &'a Item<Piece>>,
    rect: &Rect,
    pieces: &[Piece],
) -> bool {
    if inside.any(|item| item.number && !is_year(item)) {
        return false;
    }
    let is_below = |piece: &&Piece| {
        let (x, y) = piece.body().middle();
        rect.left < x && x < rect.right && rect.bottom < y && y < rect.bottom + HEADED * piece.size
    };
    pieces.iter().filter(is_below).filter(|piece| is_number(piece)).count() >= 2
}

/// How many of the first rows are headings: what stands above the first rule, and, if there is a third one, above the second, down
/// to the first row with numbers, or to the name of a group of rows.
fn count_heads(rows: &[Row], columns: &Columns, bounds: &[Rect], has_heads: bool) -> usize {
    let first = bounds[0].top;
    let limit = if let [_, second, _, ..] = bounds { second.bottom } else { first };
    let is_group = |row: &Row| has_heads && row.len() == 1 && hit(columns, &row[0]) == Some((0, 0));
    let has_numbers = |row: &Row| row.iter().any(|item| item.number && !is_year(item));
    let is_head = |row: &&Row| row[0].base < first || row[0].base < limit && !is_group(row) && !has_numbers(row);
    let heads = rows.iter().take_while(is_head).count();
    if heads == rows.len() { 0 } else { heads }
}

fn rows_of(items: &[Placed]) -> Vec<Row> {
    let items = items.iter().map(|(_, item)| item.clone()).collect();
    base_lines(items).iter().map(|row| with_signs(row)).collect()
}

fn rows_and_columns(items: &[Placed]) -> Option<(Vec<Row>, Columns)> {
    let rows = rows_of(items);
    let columns = columns_of(&rows)?;
    let rows: Vec<Row> = rows.iter().map(|row| parted(row, &columns)).collect();
    let columns = columns_of(&rows)?;
    Some((rows, columns))
}

/// The lines of `items`, from top to bottom, each from left to right.
fn base_lines(mut items: Vec<Item<Piece>>) -> Vec<Row> {
    items.sort_by(|a, b| a.base.total_cmp(&b.base));
    let mut rows: Vec<Row> = Vec::new();
    for item in items {
        match rows.last_mut() {
            Some(row) if item.base - row[0].base < 0.3 * item.size => row.push(item),
            _ => rows.push(vec![item]),
        }
    }
    rows.iter_mut().for_each(|row| row.sort_by(|a, b| a.rect.left.total_cmp(&b.rect.left)));
    rows
}

/// The columns of the rows, by those with the most pieces; lines across several columns have no say.
fn columns_of(rows: &[Row]) -> Option<Columns> {
    let mut order: Vec<&Row> = rows.iter().filter(|row| row.len() >= 2).collect();
    order.sort_by_key(|row| std::cmp::Reverse(row.len()));
    let mut columns = Columns::new();
    for row in order {
        columns = widened(&columns, row).unwrap_or(columns);
    }
    // Single pieces make a column wider, but make none.
    for row in rows.iter().filter(|row| row.len() == 1) {
        columns = widened(&columns, row).filter(|wider| wider.len() == columns.len()).unwrap_or(columns);
    }
    (columns.len() >= 2).then_some(columns)
}

/// Whether what stands between rules is a table, and not text.
fn is_ruled_table(rows: &[Row], columns: &Columns, bounds: &[Rect]) -> bool {
    let is_across = |row: &Row| row.iter().any(|item| hit(columns, item).is_some_and(|(a, b)| a < b));
    let full = rows.iter().filter(|row| row.len() >= 2).count();
    let across = rows.iter().filter(|row| is_across(row)).count();
    if full < 2 || full * 3 < rows.len() || across * 3 > rows.len() || holds_markers(rows) {
        return false;
    }
    // A paragraph: two tables stand above and below it.
    let is_prose = |row: &Row| row.len() == 1 && is_across(row) && row[0].chars > MAX_ACROSS_CHARS;
    if rows.windows(2).any(|pair| pair.iter().all(is_prose)) {
        return false;
    }
    let is_text = |at: usize| {
        let inside = rows.iter().flatten().filter(|item| hit(columns, item) == Some((at, at)));
        median(&mut inside.map(|item| item.chars as f32).collect::<Vec<_>>()).is_some_and(|chars| chars >= TEXT_LINE)
    };
    if (0..columns.len()).all(is_text) {
        return false;
    }
    // Text between two of the rules: the caption of another table.
    bounds.windows(2).all(|pair| {
        let inside = || rows.iter().filter(|row| pair[0].top < row[0].base && row[0].base < pair[1].bottom);
        let chars: usize = inside().flatten().map(|item| item.chars).sum();
        inside().any(|row| row.len() >= 2) || chars <= MAX_ACROSS_CHARS
    })
}
