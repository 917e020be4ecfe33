//! Tables whose columns are only aligned, with horizontal rules or without any.

use domain::document::{BlockKind, Cell, Inline, Table};

use super::{
    columns::Item,
    geometry::{Rect, median},
    lines::{self, Line},
    words::{Bit, Piece},
};

/// Distances are in parts of the font's size, unless it is said otherwise.
/// Text in the usual cell of a table of two columns, at most, in characters.
const SHORT_CELL: usize = 40;
/// Text in the usual line of a column of text, at least, in characters: a table has at least one narrower column.
const TEXT_LINE: f32 = 20.0;
/// The longest line across a table between its rules, in characters.
const MAX_ACROSS_CHARS: usize = 80;
/// The greatest distance of a line from the one before whose cells it goes on with.
const GOES_ON: f32 = 1.35;
/// The distance of lines of one row, at most, in parts of the distance of rows.
const WITHIN_ROW: f32 = 0.75;
/// How far the middle of a heading may stand from that of its columns, in parts of their width.
const CENTRED: f32 = 0.1;
/// Heading lines above the first row of a table without rules.
const MAX_HEAD_LINES: usize = 2;

/// Rules of a page that are looked at, and pairs of them.
const MAX_RULES: usize = 1500;
const MAX_TRIES: usize = 400;
/// The most columns over which headings of several columns are looked for.
const MAX_HEADED: usize = 60;
/// How far the ends of rules of like extent may differ, in points.
const LIKE: f32 = 4.0;
/// The shortest rule of a table, in points.
const MIN_WIDTH: f32 = 60.0;

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
    let joined: Vec<Row> = rows.iter().map(|row| with_signs(row)).collect();
    let mut parts = Vec::new();
    let (mut at, mut lines) = (0, 0);
    while let Some(row) = rows.get(at) {
        let Some((length, columns)) = aligned(&joined[at..]) else {
            parts.extend(Line::of(row).map(Part::Line));
            lines += 1;
            at += 1;
            continue;
        };
        let heads = (0..lines.min(MAX_HEAD_LINES))
            .take_while(|above| is_head(&joined[at - above - 1], &joined[at - above], &columns, rules))
            .count();
        parts.truncate(parts.len() - heads);
        let table_rows = &joined[at - heads..at + length];
        let rect = Rect::around(table_rows.iter().flatten().map(|item| &item.content.rect));
        parts.extend(rect.map(|rect| Part::Table(table(table_rows, &columns, heads, rules), rect)));
        lines = 0;
        at += length;
    }
    parts
}

/// The row with signs such as “$” and “%” joined to the numbers beside them.
fn with_signs(row: &[Item<Piece>]) -> Row {
    let mut joined: Row = Vec::new();
    for item in row {
        let is_joined = joined.last().is_some_and(|last: &Item<Piece>| {
            let (before, after) = (last.content.text(), item.content.text());
            (is_currency(&before) && begins_number(&after)) || (begins_number(&before) && is_sign_behind(&after))
        });
        match joined.last_mut().filter(|_| is_joined) {
            Some(last) => {
                lines::append(&mut last.content.bits, &item.content.bits, " ");
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

fn begins_number(text: &str) -> bool {
    let text = text.trim_start_matches(['(', '-', '−', '–', '+', '$', '€', '£', ' ']);
    text.starts_with(|c: char| c.is_ascii_digit()) || matches!(text, "" | "—")
}

/// Whether a cell holds a number.
fn is_number(item: &Item<Piece>) -> bool {
    let text = item.content.text();
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
fn is_head(row: &[Item<Piece>], below: &[Item<Piece>], columns: &Columns, rules: &[Rect]) -> bool {
    let (Some(first), Some(next)) = (row.first(), below.first()) else { return false };
    let ends = ends(columns);
    let several: Vec<bool> = (0..row.len()).map(|at| over_several(row, at, columns, rules).is_some()).collect();
    next.base - first.base < 2.2 * first.size.max(next.size)
        && row.iter().zip(&several).all(|(item, several)| {
            ends.0 - 2.0 <= item.rect.left
                && item.rect.right <= ends.1 + 2.0
                && item.chars <= SHORT_CELL
                && (*several || hit(columns, item).is_some_and(|(a, b)| a == b))
        })
        && several.contains(&true)
}

/// The columns that the heading at `at` of a heading line stands over, if they are several.
fn over_several(row: &[Item<Piece>], at: usize, columns: &Columns, rules: &[Rect]) -> Option<(usize, usize)> {
    let item = &row[at];
    let (middle, _) = item.rect.middle();
    let is_free = |a: usize, b: usize| {
        row.iter()
            .enumerate()
            .all(|(other, item)| other == at || hit(columns, item).is_none_or(|(c, d)| d < a || b < c))
    };
    // A rule below it, as wide as its columns.
    let under = rules.iter().find(|rule| {
        let (x, y) = rule.middle();
        (0.0..1.4 * item.size).contains(&(y - item.base))
            && rule.left < item.rect.left + 2.0
            && item.rect.right < rule.right + 2.0
            && (x - middle).abs() <= CENTRED * rule.width()
    });
    let covered = |rule: &Rect| {
        let hit = |column: &(f32, f32)| (rule.left..=rule.right).contains(&((column.0 + column.1) / 2.0));
        columns.iter().position(hit).zip(columns.iter().rposition(hit))
    };
    let by_rule = under.and_then(covered).filter(|&(a, b)| a < b && is_free(a, b));
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
    ranges.filter(is_over).max_by_key(|(a, b)| b - a)
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

/// A slanted heading of a column: where it begins, and the heading itself.
pub(super) struct Label {
    pub(super) begin: Piece,
    pub(super) piece: Piece,
}

/// The tables between horizontal rules of like extent, with their places and orders; their pieces are taken out of `pieces`
/// and `labels`.
pub(super) fn ruled(pieces: &mut Vec<Piece>, labels: &mut Vec<Label>, rules: &[Rect]) -> Vec<(Table, Rect, usize)> {
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
        .map(|(at, piece)| (at, super::page::item(piece.clone())))
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

/// A cell of a row that is being made: the columns that it covers and its text.
#[derive(Debug, Clone)]
struct Draft {
    columns: (usize, usize),
    text: Vec<Inline>,
    number: bool,
}

/// The table of `rows`, the first `heads` of which are headings.
fn table(rows: &[Row], columns: &Columns, heads: usize, rules: &[Rect]) -> Table {
    let pitch = pitch(&rows[heads..]);
    let mut out: Vec<(Vec<Draft>, bool)> = Vec::new();
    let mut last_base = f32::NEG_INFINITY;
    for (at, row) in rows.iter().enumerate() {
        let drafts = drafts(row, columns, at < heads, rules);
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

fn drafts(row: &[Item<Piece>], columns: &Columns, is_head: bool, rules: &[Rect]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (at, item) in row.iter().enumerate() {
        let nearest = || {
            let (x, _) = item.rect.middle();
            let away = |column: &(f32, f32)| (column.0 - x).max(x - column.1).max(0.0);
            let nearest = (0..columns.len()).min_by(|a, b| away(&columns[*a]).total_cmp(&away(&columns[*b])));
            nearest.map_or((0, 0), |column| (column, column))
        };
        let span = match () {
            () if is_head => over_several(row, at, columns, rules).or_else(|| hit(columns, item)),
            // A long text runs over into free columns, which are not its own.
            () => hit(columns, item).map(|(a, b)| match is_across(row, (a, b), columns) {
                true => (0, columns.len() - 1),
                false => (a, a),
            }),
        };
        let draft = Draft {
            columns: span.unwrap_or_else(nearest),
            text: lines::inlines(&item.content.bits),
            number: is_number(item),
        };
        add(&mut drafts, draft);
    }
    drafts
}

/// Whether the row is one line in the middle of the table, over several columns: it is about all of them.
fn is_across(row: &[Item<Piece>], hit: (usize, usize), columns: &Columns) -> bool {
    let ends = ends(columns);
    let off = |item: &Item<Piece>| ((ends.0 + ends.1) / 2.0 - item.rect.middle().0).abs();
    hit.0 < hit.1 && row.len() == 1 && row.iter().all(|item| off(item) < CENTRED * (ends.1 - ends.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, left: f32, base: f32) -> Piece {
        let rect = Rect { left, top: base - 8.0, right: left + 5.0 * text.chars().count() as f32, bottom: base + 2.0 };
        let bits = vec![Bit::Plain(text.to_owned())];
        let chars = text.chars().count();
        let [bold, fixed, right_to_left, slanted] = [false; 4];
        let order = base as usize * 1000 + left as usize;
        Piece { bits, rect, base, size: 10.0, turn: 0, order, chars, bold, fixed, right_to_left, slanted }
    }

    fn rule(left: f32, right: f32, y: f32) -> Rect {
        Rect { left, top: y, right, bottom: y + 0.5 }
    }

    /// The cells' texts, with how many columns each covers where it is more than one.
    fn texts(table: &Table) -> Vec<String> {
        let text = |cell: &Cell| {
            let words: String = cell
                .blocks
                .iter()
                .flat_map(|block| if let BlockKind::Paragraph(text) = &block.kind { text.clone() } else { Vec::new() })
                .map(|inline| if let Inline::Text(text) = inline { text } else { String::new() })
                .collect();
            if cell.columns > 1 { format!("{words}×{}", cell.columns) } else { words }
        };
        table.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
    }

    fn aligned_texts(lines: &[&[(&str, f32)]], rules: &[Rect]) -> Vec<Vec<String>> {
        let row = |(at, line): (usize, &&[(&str, f32)])| {
            line.iter()
                .map(|(text, left)| super::super::page::item(piece(text, *left, 20.0 + 12.0 * at as f32)))
                .collect()
        };
        let rows: Vec<Row> = lines.iter().enumerate().map(row).collect();
        let tables = parts(rows, rules).into_iter().filter_map(|part| match part {
            Part::Table(table, _) => Some(texts(&table)),
            Part::Line(_) => None,
        });
        tables.collect()
    }

    #[test]
    fn between_rules_heads_spans_and_cells_of_several_lines_are_found() {
        let rules = [rule(0.0, 300.0, 0.0), rule(0.0, 300.0, 16.0), rule(0.0, 300.0, 120.0)];
        let mut pieces = vec![
            piece("Source", 0.0, 10.0),
            piece("Tokens", 150.0, 10.0),
            piece("Words", 250.0, 10.0),
            piece("The whole mix of the year that ended in December", 20.0, 28.0),
            piece("DCLM", 0.0, 44.0),
            piece("3.71", 160.0, 44.0),
            piece("3.32", 260.0, 44.0),
            piece("StarCoder", 0.0, 60.0),
            piece("filtered", 10.0, 69.0),
            piece("83.0", 160.0, 69.0),
            piece("70.0", 260.0, 69.0),
            piece("version", 10.0, 78.0),
            piece("arXiv", 0.0, 94.0),
            piece("20.8", 160.0, 94.0),
            piece("19.3", 260.0, 94.0),
            piece("Total", 0.0, 110.0),
            piece("3.90", 160.0, 110.0),
            piece("3.48", 260.0, 110.0),
            piece("Text below the table", 0.0, 140.0),
        ];
        let mut labels = Vec::new();
        let found = ruled(&mut pieces, &mut labels, &rules);
        assert_eq!(
            texts(&found[0].0),
            [
                "Source|Tokens|Words",
                "The whole mix of the year that ended in December×3",
                "DCLM|3.71|3.32",
                "StarCoder filtered version|83.0|70.0",
                "arXiv|20.8|19.3",
                "Total|3.90|3.48",
            ]
        );
        assert_eq!((found.len(), found[0].0.header_rows, pieces.len()), (1, 1, 1));
    }

    #[test]
    fn text_between_rules_is_no_table() {
        let rules = [rule(0.0, 500.0, 0.0), rule(0.0, 500.0, 200.0)];
        let line = "The lock keeper opens the gate at dawn.";
        let mut pieces: Vec<Piece> =
            (1..12).flat_map(|at| [0.0, 250.0].map(|left| piece(line, left, 15.0 * at as f32))).collect();
        assert!(ruled(&mut pieces, &mut Vec::new(), &rules).is_empty());
        assert_eq!(pieces.len(), 22);
    }

    #[test]
    fn a_heading_over_several_columns_and_currency_signs_belong_to_their_cells() {
        let found = aligned_texts(
            &[
                &[("Year Ended", 180.0)],
                &[("Jan 2025", 105.0), ("Jan 2024", 255.0)],
                &[("Revenue", 0.0), ("$", 100.0), ("178", 130.0), ("$", 250.0), ("141", 280.0)],
                &[("Research", 0.0), ("3,423", 120.0), ("2,532", 270.0)],
            ],
            &[rule(100.0, 310.0, 23.0)],
        );
        assert_eq!(found, [["|Year Ended×2", "|Jan 2025|Jan 2024", "Revenue|$ 178|$ 141", "Research|3,423|2,532"]]);
    }

    #[test]
    fn a_caption_above_aligned_columns_stays_text() {
        let found = aligned_texts(
            &[
                &[("Table 5: What the boats carried", 0.0)],
                &[("Boat", 0.0), ("Load", 100.0), ("Day", 200.0)],
                &[("Swan", 0.0), ("coal", 100.0), ("3", 200.0)],
                &[("Gull", 0.0), ("rope", 100.0), ("4", 200.0)],
            ],
            &[],
        );
        assert_eq!(found, [["Boat|Load|Day", "Swan|coal|3", "Gull|rope|4"]]);
    }
}
