//! Tables between horizontal rules of like extent.

use domain::document::Table;

use super::{Columns, Row, cells::table, hit, holds_markers, widened, with_signs};
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
    let all = pieces.iter().chain(labels.iter().map(|label| &label.begin)).enumerate();
    let (taken, inside): (Vec<usize>, Vec<Item<Piece>>) = all
        .filter(|(_, piece)| {
            let (x, y) = piece.body().middle();
            rect.top < y && y < rect.bottom && rect.left - LIKE < x && x < rect.right + LIKE
        })
        .map(|(at, piece)| (at, page::item(piece.clone())))
        .unzip();
    let order = inside.iter().map(|item| item.order).min()?;
    let rows: Vec<Row> = base_lines(inside).iter().map(|row| with_signs(row)).collect();
    let columns = columns_of(&rows)?;
    if !is_ruled_table(&rows, &columns, bounds) {
        return None;
    }
    // What stands above the second rule is the head, if there is a third one.
    let heads = match bounds {
        [_, head, _, ..] => rows.iter().take_while(|row| row[0].base < head.bottom).count(),
        _ => 0,
    };
    let heads = if heads == rows.len() { 0 } else { heads };
    Some((table(&rows, &columns, heads, rules), rect, order, taken))
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
