//! Tables whose columns are only aligned, with horizontal rules or without any.

mod around;
mod cells;
mod figures;
mod ruled;

#[cfg(test)]
mod tests;

use domain::document::Table;

use super::{
    columns::Item,
    geometry::Rect,
    lines::{self, Line},
    page, parting,
    words::{Bit, Piece},
};
use cells::table;
pub(super) use ruled::{Label, heads_others, ruled};

/// Text in the usual cell of a table of two columns, at most, in characters.
const SHORT_CELL: usize = 40;
/// How far the middle of a heading may stand from that of its columns, in parts of their width.
const CENTRED: f32 = 0.1;
/// Heading lines above the first row of a table without rules.
const MAX_HEAD_LINES: usize = 2;
/// The widest blank before the number of a note, in parts of the font's size.
const NOTE_GAP: f32 = 1.2;
/// The most columns over which headings of several columns are looked for.
const MAX_HEADED: usize = 60;

type Row = Vec<Item<Piece>>;
type Columns = Vec<(f32, f32)>;

/// A part of a region.
pub(super) enum Part {
    /// A line of text.
    Line(Line),
    /// A table of aligned columns, and its place.
    Table(Table, Rect),
}

/// Finds the tables among the rows of a region whose columns are aligned. `rules` are the horizontal rules of the page.
pub(super) fn parts(rows: Vec<Row>, rules: &[Rect]) -> Vec<Part> {
    let rows = figures::level(rows);
    let joined: Vec<Row> = rows.iter().map(|row| with_signs(row)).collect();
    let mut parts = Vec::new();
    let (mut at, mut lines) = (0, 0);
    while let Some(row) = rows.get(at) {
        let (length, heads, columns) = if let Some(block) = figures::block(&joined[at..]) {
            let above = figures::heads_above(&joined[at - lines..at], &joined[at], &block.columns, rules);
            parts.truncate(parts.len() - above);
            at -= above;
            (block.length + above, block.heads + above, block.columns)
        } else if let Some((length, columns)) = aligned(&joined[at..]) {
            let heads = (0..lines.min(MAX_HEAD_LINES))
                .take_while(|above| is_head(&joined[at - above - 1], &joined[at - above], &columns, rules))
                .count();
            parts.truncate(parts.len() - heads);
            at -= heads;
            (length + heads, heads, columns)
        } else {
            parts.extend(Line::of(row).map(Part::Line));
            lines += 1;
            at += 1;
            continue;
        };
        let table_rows: Vec<Row> = joined[at..at + length].iter().map(|row| parted(row, &columns)).collect();
        let rect = Rect::around(table_rows.iter().flatten().map(|item| &item.content.rect));
        parts.extend(rect.map(|rect| Part::Table(table(&table_rows, &columns, heads, rules), rect)));
        lines = 0;
        at += length;
    }
    parts
}

/// The row with its pieces parted where they stand in several columns.
fn parted(row: &[Item<Piece>], columns: &Columns) -> Row {
    let mut parts = Row::new();
    for item in row {
        match hit(columns, item) {
            Some((from, to)) if from < to && !item.content.gaps.is_empty() => {
                parts.extend(parting::at_columns(&item.content, columns).into_iter().map(page::item));
            }
            _ => parts.push(item.clone()),
        }
    }
    parts
}

/// The row with signs such as “$” and “%” joined to the numbers beside them.
fn with_signs(row: &[Item<Piece>]) -> Row {
    let mut joined: Row = Vec::new();
    for item in row {
        let is_joined = joined.last().is_some_and(|last: &Item<Piece>| {
            let (before, after) = (last.content.text(), item.content.text());
            let gap = item.rect.left - last.rect.right;
            (is_currency(&before) && begins_number(&after))
                || (begins_number(&before) && is_sign_behind(&after))
                || (!last.number && gap < NOTE_GAP * last.size && is_note(&after))
        });
        match joined.last_mut().filter(|_| is_joined) {
            Some(last) => {
                lines::append(&mut last.content.bits, &item.content.bits, " ");
                last.content.gaps.push((last.rect.right, item.rect.left));
                last.content.gaps.extend_from_slice(&item.content.gaps);
                last.content.rect = last.content.rect.union(&item.content.rect);
                last.rect = last.rect.union(&item.rect);
                last.chars += item.chars;
                last.content.chars += item.content.chars;
            }
            None => joined.push(item.clone()),
        }
    }
    joined
}

fn is_currency(text: &str) -> bool {
    matches!(text.trim(), "$" | "€" | "£" | "¥" | "US$" | "($" | "$(" | "EUR" | "USD" | "CHF" | "GBP")
}

fn is_sign_behind(text: &str) -> bool {
    matches!(text.trim(), "%" | ")" | ")%" | "%)" | "€")
}

/// Whether a text is the number of a note, in brackets: after words, and not in a column of its own.
fn is_note(text: &str) -> bool {
    let digits = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    digits.is_some_and(|text| {
        let is_letter = text.len() == 1 && text.bytes().all(|b| b.is_ascii_lowercase());
        is_letter || (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    })
}

fn begins_number(text: &str) -> bool {
    let rest = text.trim_start_matches(['(', '-', '−', '–', '+', '$', '€', '£', '¥', ' ']);
    let is_dash = || matches!(text.trim_matches([' ', '(', ')', '%', '$', '€', '£', '¥']), "—" | "―" | "–" | "-" | "−");
    rest.starts_with(|c: char| c.is_ascii_digit()) || rest.is_empty() || is_dash()
}

/// Whether a piece is a number.
pub(super) fn is_number(piece: &Piece) -> bool {
    let text = piece.text();
    begins_number(&text) && text.chars().filter(|c| c.is_alphabetic()).count() <= 2
}

/// How many of the first rows are a table, and its columns.
fn aligned(rows: &[Row]) -> Option<(usize, Columns)> {
    let first = rows.first().filter(|row| row.len() >= 2)?;
    let mut columns: Columns = Vec::new();
    let (mut length, mut full_rows, mut chars, mut cells) = (0, 0, 0, 0);
    let mut accepted = columns.clone();
    let mut last = first.first()?;
    for (at, row) in rows.iter().enumerate() {
        let Some(begin) = row.first() else { break };
        if at > 0 && begin.base - last.base > 2.6 * begin.size.max(last.size) || is_no_row(row) {
            break;
        }
        let Some(widened) = widened(&columns, row) else { break };
        columns = widened;
        last = begin;
        if row.len() >= 2 {
            length = at + 1;
            full_rows += 1;
            cells += row.len();
            chars += row.iter().map(|item| item.chars).sum::<usize>();
            accepted = columns.clone();
        }
    }
    let is_table = match accepted.len() {
        0 | 1 => false,
        2 => full_rows >= 3 && chars <= SHORT_CELL * cells && full_rows * 10 >= 7 * length,
        _ => full_rows >= 2 && full_rows * 2 >= length,
    };
    (is_table && !holds_markers(&rows[..length])).then_some((length, accepted))
}

/// Rows that are lines of a list of contents: with dots that lead to a page number.
fn is_no_row(row: &[Item<Piece>]) -> bool {
    row.iter().any(|item| lines::leader(&item.content.text()).is_some())
}

/// The columns with the pieces of `row` in them; `None` if a piece covers several columns.
fn widened(columns: &[(f32, f32)], row: &[Item<Piece>]) -> Option<Columns> {
    let mut wider = columns.to_vec();
    for item in row {
        let (left, right) = (item.rect.left, item.rect.right);
        let mut hit = wider.iter_mut().filter(|column| column.0 < right && left < column.1);
        match (hit.next(), hit.next()) {
            (None, _) => {
                wider.push((left, right));
                wider.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
            (Some(column), None) => *column = (column.0.min(left), column.1.max(right)),
            (Some(_), Some(_)) => return None,
        }
    }
    wider.windows(2).all(|pair| pair[0].1 < pair[1].0).then_some(wider)
}

/// Whether the first column holds only numbers or bullets of a list.
fn holds_markers(rows: &[Row]) -> bool {
    rows.iter().filter(|row| row.len() >= 2).all(|row| {
        let text = row[0].content.text();
        let text = text.trim();
        let is_number = text.len() <= 8
            && text.bytes().any(|b| b.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b".()[]".contains(&b));
        (row.len() == 2 && is_number && text.ends_with(['.', ')', ']']))
            || lines::marker(&[Bit::Plain(format!("{text} x"))]).is_some()
            || text.chars().count() == 1 && !text.chars().all(char::is_alphanumeric)
    })
}

/// Whether `row`, the one above `below`, holds a heading of several of the columns.
fn is_head(row: &[Item<Piece>], below: &Row, columns: &Columns, rules: &[Rect]) -> bool {
    let (Some(first), Some(next)) = (row.first(), below.first()) else { return false };
    let ends = ends(columns);
    let several: Vec<bool> =
        (0..row.len()).map(|at| over_several(row, at, columns, rules, Some(below)).is_some()).collect();
    next.base - first.base < 2.2 * first.size.max(next.size)
        && row.iter().zip(&several).all(|(item, several)| {
            ends.0 - 2.0 <= item.rect.left
                && item.rect.right <= ends.1 + 2.0
                && item.chars <= SHORT_CELL
                && (*several || hit(columns, item).is_some_and(|(a, b)| a == b))
        })
        && several.contains(&true)
}

/// The columns that the heading at `at` of a heading line stands over, if they are several. `below` is the line under it.
fn over_several(
    row: &[Item<Piece>],
    at: usize,
    columns: &Columns,
    rules: &[Rect],
    below: Option<&Row>,
) -> Option<(usize, usize)> {
    let item = &row[at];
    let (middle, _) = item.rect.middle();
    let is_free = |a: usize, b: usize| {
        row.iter()
            .enumerate()
            .all(|(other, item)| other == at || hit(columns, item).is_none_or(|(c, d)| d < a || b < c))
    };
    let by_rule = over_rule(item, columns, rules).filter(|&(a, b)| a < b && is_free(a, b));
    if by_rule.is_some() {
        return by_rule;
    }
    // Over the middle of columns that nothing else stands over. The first column heads the rows.
    let over = hit(columns, item);
    let count = if columns.len() <= MAX_HEADED { columns.len() } else { 0 };
    let ranges = (1..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    let is_over = |&(a, b): &(usize, usize)| {
        let (left, right) = (columns[a].0, columns[b].1);
        let off = ((left + right) / 2.0 - middle).abs();
        left < item.rect.right
            && item.rect.left < right
            && over.is_none_or(|(c, d)| a <= c && d <= b)
            && off <= (CENTRED * (right - left)).min(item.size)
            && is_free(a, b)
    };
    // Where the line below has nothing in one of them, it goes on with a heading of several lines.
    let is_headed = |column: usize| {
        below.is_none_or(|row| {
            row.iter().any(|item| hit(columns, item).is_some_and(|(a, b)| a <= column && column <= b))
        })
    };
    ranges.filter(is_over).filter(|&(a, b)| (a..=b).all(is_headed)).max_by_key(|(a, b)| b - a)
}

/// The columns that the rule below a heading covers, if the heading stands over its middle.
fn over_rule(item: &Item<Piece>, columns: &Columns, rules: &[Rect]) -> Option<(usize, usize)> {
    let (middle, _) = item.rect.middle();
    let rule = rules.iter().find(|rule| {
        let (x, y) = rule.middle();
        (0.0..1.4 * item.size).contains(&(y - item.base))
            && rule.left < item.rect.left + 2.0
            && item.rect.right < rule.right + 2.0
            && (x - middle).abs() <= CENTRED * rule.width()
    })?;
    let hit = |column: &(f32, f32)| (rule.left..=rule.right).contains(&((column.0 + column.1) / 2.0));
    columns.iter().position(hit).zip(columns.iter().rposition(hit))
}

/// The left and the right end of the columns.
fn ends(columns: &Columns) -> (f32, f32) {
    columns.first().zip(columns.last()).map_or((0.0, 0.0), |(first, last)| (first.0, last.1))
}

/// The columns that a piece stands in.
fn hit(columns: &Columns, item: &Item<Piece>) -> Option<(usize, usize)> {
    let is_hit = |column: &(f32, f32)| column.0 < item.rect.right && item.rect.left < column.1;
    columns.iter().position(is_hit).zip(columns.iter().rposition(is_hit))
}
