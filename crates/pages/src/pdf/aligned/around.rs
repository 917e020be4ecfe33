//! What belongs to a table between rules and stands outside of them: the labels of rows left of rules that are drawn under the
//! numbers only, and the headings above the first rule.

use super::{Columns, Row, SHORT_CELL, hit, over_rule};
use crate::pdf::{columns::Item, geometry::Rect, words::Piece};

/// Lines of headings above the first rule, at most.
const MAX_LINES: usize = 8;
/// The share of the rows with numbers that have a label, from which on what stands left of the rules are labels.
const LABELLED: f32 = 0.7;
/// How far the base of a label may be from that of its row, in parts of the font's size: labels of two lines stand around it.
const LEVEL: f32 = 0.8;
/// How far a line above labels may stand left of them, in parts of the font's size.
const OUTDENT: f32 = 3.0;
/// The distance of two lines of one heading, at most, in parts of the font's size.
const STACKED: f32 = 1.35;
/// The distance of two headings, at most, in parts of the font's size.
const APART: f32 = 2.2;

/// A piece and its place among all.
pub(super) type Placed = (usize, Item<Piece>);

/// The labels left of a table whose first column holds numbers.
pub(super) fn labels(outside: &[Placed], rows: &[Row], columns: &Columns, rect: &Rect) -> Vec<Placed> {
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else { return Vec::new() };
    let of_first = || rows.iter().flatten().filter(|item| hit(columns, item) == Some((0, 0)));
    let numbers = of_first().filter(|item| item.number).count();
    if numbers * 3 < of_first().count() * 2 {
        return Vec::new();
    }
    let left: Vec<&Placed> = outside
        .iter()
        .filter(|(_, item)| {
            let (_, y) = item.rect.middle();
            item.rect.right < first.0 && rect.top < y && y < rect.bottom
        })
        .collect();
    let is_numbered = |row: &&Row| row.iter().any(|item| item.number && !is_year(item));
    let numbered: Vec<&Row> = rows.iter().filter(is_numbered).collect();
    let label = |row: &&Row| {
        let level = left.iter().filter(|(_, item)| (item.base - row[0].base).abs() < LEVEL * row[0].size);
        let nearest = level.max_by(|a, b| a.1.rect.right.total_cmp(&b.1.rect.right));
        nearest.filter(|(_, item)| !item.number).map(|(_, item)| item.rect)
    };
    // Where the rows go on to the right, the rules are those of a part of the table.
    let goes_on = |row: &&&Row| {
        outside.iter().any(|(_, item)| item.rect.left > last.1 && (item.base - row[0].base).abs() < 0.3 * row[0].size)
    };
    if numbered.iter().filter(goes_on).count() * 2 > numbered.len() {
        return Vec::new();
    }
    let found: Vec<Rect> = numbered.iter().filter_map(label).collect();
    let Some(place) = Rect::around(found.iter()).filter(|place| place.width() < rect.width()) else {
        return Vec::new();
    };
    if (found.len() as f32) < LABELLED * numbered.len() as f32 {
        return Vec::new();
    }
    // A line without numbers may be longer, or stand further left.
    let within = |item: &Item<Piece>| (place.left - OUTDENT * item.size..=place.right).contains(&item.rect.left);
    let labels: Vec<Placed> = left.into_iter().filter(|(_, item)| within(item)).cloned().collect();
    // Numbers among them: another table stands there.
    let others = labels.iter().filter(|(_, item)| item.number).count();
    if others * 4 > labels.len() { Vec::new() } else { labels }
}

/// Whether a line of text that begins left of the rules, and so is none of the table's, runs through it: two tables stand there.
pub(super) fn is_crossed<'a>(mut all: impl Iterator<Item = &'a Placed>, rect: &Rect) -> bool {
    let middle = rect.middle().0;
    all.any(|(_, item)| {
        let (_, y) = item.rect.middle();
        rect.top < y && y < rect.bottom && item.rect.left < rect.left - OUTDENT * item.size && item.rect.right > middle
    })
}

/// The headings above a table whose first line is `below`. `rules` are those of the page.
pub(super) fn headings(
    outside: Vec<Placed>,
    below: &Item<Piece>,
    columns: &Columns,
    rect: &Rect,
    rules: &[Rect],
) -> Vec<Placed> {
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else { return Vec::new() };
    let mut above: Vec<Placed> = outside
        .into_iter()
        .filter(|(_, item)| {
            let (x, y) = item.rect.middle();
            y < rect.top && first.0 <= x && x <= last.1.max(rect.right)
        })
        .collect();
    above.sort_by(|a, b| b.1.base.total_cmp(&a.1.base));
    let mut lines: Vec<Vec<Placed>> = Vec::new();
    let mut under = below.clone();
    for line in above.chunk_by(|a, b| a.1.base - b.1.base < 0.3 * a.1.size) {
        let size = line[0].1.size.max(under.size);
        let distance = under.base - line[0].1.base;
        let is_near = distance < APART * size || lines.is_empty() && rect.top - line[0].1.base < size;
        if lines.len() == MAX_LINES || !is_near || !is_heading(line, lines.last(), columns, rules) {
            break;
        }
        under = line[0].1.clone();
        lines.push(line.to_vec());
    }
    lines.into_iter().flatten().collect()
}

/// Whether a line is one of headings. `below` is the one under it, which is. What stands over the first column, which heads the rows,
/// says what they are and stands beside headings of other columns.
fn is_heading(line: &[Placed], below: Option<&Vec<Placed>>, columns: &Columns, rules: &[Rect]) -> bool {
    let over_several =
        |item: &Item<Piece>| over_rule(item, columns, rules).is_some_and(|(from, to)| 0 < from && from < to);
    let is_short = |item: &Item<Piece>| {
        item.chars <= SHORT_CELL && (!item.number || is_year(item)) && item.rect.left > columns[0].0 - 2.0
    };
    let over = |item: &Item<Piece>| hit(columns, item).filter(|(from, to)| from == to).map(|(from, _)| from);
    let heads = |(_, item): &&Placed| over(item).is_some_and(|column| column > 0) || over_several(item);
    let others = line.iter().filter(heads).count();
    let is_one = |placed: &Placed| is_short(&placed.1) && (heads(&placed) || others > 0 && over(&placed.1) == Some(0));
    if others == 0 || !line.iter().all(is_one) {
        return false;
    }
    // A piece alone may be a caption or a unit, unless a rule or a line below says what it heads.
    let goes_on = |item: &Item<Piece>| {
        below.is_some_and(|below| {
            below.iter().any(|(_, other)| {
                other.base - item.base < STACKED * item.size.min(other.size)
                    && hit(columns, other) == hit(columns, item)
                    && !rules.iter().any(|rule| is_between(rule, item, other))
            })
        })
    };
    line.len() > 1 || line.iter().all(|(_, item)| over_several(item) || goes_on(item))
}

fn is_between(rule: &Rect, above: &Item<Piece>, below: &Item<Piece>) -> bool {
    let (x, _) = above.rect.middle();
    (above.base..below.base).contains(&rule.top) && rule.left < x && x < rule.right
}

/// Whether a number is a year, as headings are.
pub(super) fn is_year(item: &Item<Piece>) -> bool {
    let text = item.content.text();
    text.trim().parse::<u16>().is_ok_and(|year| (1900..2100).contains(&year))
}
