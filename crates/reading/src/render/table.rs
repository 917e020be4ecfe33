//! Tables as pipe tables: each value stands under its column heading and beside its row heading.

use super::{Writer, inline};
use domain::document::{Block, BlockKind, Cell, Table};

/// The widest table, in columns. Spans beyond it are cut.
const MAX_COLUMNS: usize = 2000;
/// The most places of a table in which merged cells are repeated.
const MAX_PLACES: usize = 2_000_000;
/// Characters that a merged cell may add across one row: a value is short and found in each column, a remark is said once.
const MAX_REPEATED: usize = 120;
/// The same down the rows, in each of which a value is looked for.
const MAX_REPEATED_DOWN: usize = 600;

/// Writes the table, then the tables that stood in its cells.
pub(super) fn write(out: &mut Writer, table: &Table) {
    out.push(&inline::paragraph(&table.caption));
    if sets_the_page(table) {
        for cell in table.rows.iter().flatten() {
            out.blocks(&cell.blocks);
        }
        return;
    }
    let (mut texts, mut nested) = (Vec::new(), Vec::new());
    let grid = Grid::new(table, |cell| {
        texts.push(cell_text(cell, &mut nested));
        texts.len() - 1
    });
    grid.write(out, &texts, table.header_rows);
    for inner in nested {
        write(out, inner);
    }
}

/// Whether the table has one column, or a cell with a heading and text below it: then it sets the page, and its cells
/// hold no values.
fn sets_the_page(table: &Table) -> bool {
    let widest = table.rows.iter().map(Vec::len).max().unwrap_or(0);
    let headed = |cell: &Cell| {
        let heading = cell.blocks.iter().position(|block| matches!(block.kind, BlockKind::Heading { .. }));
        heading.is_some_and(|at| widest <= 2 || at + 1 < cell.blocks.len())
    };
    widest <= 1 || table.rows.iter().flatten().any(headed)
}

/// The words of a cell on one line. Tables within it are added to `nested`.
fn cell_text<'a>(cell: &'a Cell, nested: &mut Vec<&'a Table>) -> String {
    let mut parts = Vec::new();
    collect(&cell.blocks, &mut parts, nested);
    parts.retain(|part| !part.is_empty());
    parts.join("<br>").replace('|', "\\|")
}

fn collect<'a>(blocks: &'a [Block], parts: &mut Vec<String>, nested: &mut Vec<&'a Table>) {
    for block in blocks {
        match &block.kind {
            BlockKind::Table(table) => nested.push(table),
            BlockKind::Heading { text, .. } => parts.push(inline::on_one_line(text)),
            BlockKind::Paragraph(text) => parts.push(inline::in_cell(text)),
            BlockKind::List(items) => {
                for item in items {
                    let from = parts.len();
                    collect(&item.blocks, parts, nested);
                    if let Some(first) = parts.get_mut(from) {
                        *first = format!("{} {first}", item.marker.as_deref().unwrap_or("-"));
                    }
                }
            }
            BlockKind::Code(text) => parts.extend(text.lines().map(|line| format!("`{line}`"))),
            BlockKind::Quote(blocks) => collect(blocks, parts, nested),
            BlockKind::Page(_) | BlockKind::PictureFile { .. } => {}
            BlockKind::Formula(_)
            | BlockKind::Footnote { .. }
            | BlockKind::Aside { .. }
            | BlockKind::Picture(_)
            | BlockKind::Markdown(_) => {
                let mut inner = Writer::default();
                inner.block(&block.kind);
                parts.push(inner.text.replace("\n> ", " ").replace('\n', " "));
            }
        }
    }
}

/// The places of a table. A place names the cell that covers it.
struct Grid {
    rows: Vec<Vec<Option<Place>>>,
    columns: usize,
    /// Cells for which there is no place.
    overflow: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Place {
    cell: usize,
    /// Columns that the cell covers.
    columns: usize,
    /// Rows that the cell covers.
    rows: usize,
    /// Whether the cell begins in this column.
    first_column: bool,
    /// Whether the cell begins in this row.
    first_row: bool,
}

impl Grid {
    /// Lays out the cells; `add` gives each its number.
    fn new<'a>(table: &'a Table, mut add: impl FnMut(&'a Cell) -> usize) -> Self {
        let height = table.rows.len();
        let mut rows: Vec<Vec<Option<Place>>> = vec![Vec::new(); height];
        let (mut places, mut overflow) = (0_usize, Vec::new());
        for (top, cells) in table.rows.iter().enumerate() {
            let mut left = 0;
            for cell in cells {
                while rows[top].get(left).is_some_and(Option::is_some) {
                    left += 1;
                }
                if left >= MAX_COLUMNS {
                    overflow.push(add(cell));
                    continue;
                }
                let fits = |span: u32, most: usize| usize::try_from(span).unwrap_or(1).clamp(1, most.max(1));
                let (mut columns, mut down) = (fits(cell.columns, MAX_COLUMNS - left), fits(cell.rows, height - top));
                if places.saturating_add(columns * down) > MAX_PLACES {
                    (columns, down) = (1, 1);
                }
                places += columns * down;
                let cell = add(cell);
                for (below, row) in rows[top..top + down].iter_mut().enumerate() {
                    if row.len() < left + columns {
                        row.resize(left + columns, None);
                    }
                    for (at, place) in row[left..left + columns].iter_mut().enumerate() {
                        place.get_or_insert(Place {
                            cell,
                            columns,
                            rows: down,
                            first_column: at == 0,
                            first_row: below == 0,
                        });
                    }
                }
                left += columns;
            }
        }
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        Self { rows, columns, overflow }
    }

    fn write(&self, out: &mut Writer, texts: &[String], header_rows: usize) {
        let said = |place: &Option<Place>| place.is_some_and(|place| !texts[place.cell].is_empty());
        // A column in which no cell begins is there only for spans.
        let mut kept = vec![false; self.columns];
        for (at, place) in self.rows.iter().flat_map(|row| row.iter().enumerate()) {
            kept[at] |= said(place) && place.is_some_and(|place| place.first_column);
        }
        let kept: Vec<usize> = (0..self.columns).filter(|&at| kept[at]).collect();
        let mut rows: Vec<&[Option<Place>]> =
            self.rows.iter().filter(|row| row.iter().any(said)).map(Vec::as_slice).collect();
        let mut header_rows = if header_rows == 0 { self.guessed_header() } else { header_rows }.min(rows.len());
        // A first row of one cell is the table's title.
        while rows.len() > 1 {
            let Some(title) = sole_cell(rows[0], &kept) else { break };
            out.push(&texts[title]);
            rows.remove(0);
            header_rows = header_rows.saturating_sub(1);
        }
        let (head, body) = rows.split_at(header_rows.clamp(1, rows.len().max(1)).min(rows.len()));
        if kept.is_empty() {
            return;
        }
        let mut lines = String::new();
        let heads: Vec<String> = kept.iter().map(|&column| joined_head(head, column, texts)).collect();
        push_row(&mut lines, heads.iter().map(String::as_str));
        push_row(&mut lines, kept.iter().map(|_| "---"));
        for row in body {
            let whole = sole_cell(row, &kept).is_some();
            let text = |&column: &usize| match row.get(column).copied().flatten() {
                // What spans the row, heads it, or is a remark, is said once.
                Some(place) if !place.first_column && (whole || begins_row(row, column) || is_remark(place, texts)) => {
                    ""
                }
                Some(place) if !place.first_row && is_remark_down(place, texts) => "",
                Some(place) => texts[place.cell].as_str(),
                None => "",
            };
            if kept.iter().any(|column| !text(column).is_empty()) {
                push_row(&mut lines, kept.iter().map(text));
            }
        }
        out.push(&lines);
        self.overflow.iter().for_each(|&cell| out.push(&texts[cell]));
    }

    /// How many rows are headings in a table that does not say: a merged cell in the first row covers others below.
    fn guessed_header(&self) -> usize {
        let Some(first) = self.rows.first() else { return 0 };
        let places = || first.iter().flatten();
        let down = places().map(|place| place.rows).max().unwrap_or(1);
        let across = places().any(|place| place.columns > 1 && place.columns < self.columns);
        let all = places().all(|place| place.rows == down);
        match down {
            1 if across => 2,
            1 => 1,
            // All cells of the first row are equally high, or some head columns of their own below them.
            _ if across || all => down,
            _ => 1,
        }
    }
}

/// The cell that alone fills the row over several columns.
fn sole_cell(row: &[Option<Place>], columns: &[usize]) -> Option<usize> {
    let cell = |at: &usize| row.get(*at).copied().flatten().map(|place| place.cell);
    let first = cell(columns.first()?)?;
    (columns.len() > 1 && columns.iter().all(|at| cell(at) == Some(first))).then_some(first)
}

/// Whether the cell over `column` is the first of its row.
fn begins_row(row: &[Option<Place>], column: usize) -> bool {
    let cell = |at: usize| row.get(at).copied().flatten().map(|place| place.cell);
    cell(0) == cell(column)
}

/// Whether what covers several columns is too long for a value of each.
fn is_remark(place: Place, texts: &[String]) -> bool {
    texts[place.cell].chars().count() * (place.columns - 1) > MAX_REPEATED
}

/// The same for several rows.
fn is_remark_down(place: Place, texts: &[String]) -> bool {
    texts[place.cell].chars().count() * (place.rows - 1) > MAX_REPEATED_DOWN
}

/// The headings over a column, from the top, each once.
fn joined_head(head: &[&[Option<Place>]], column: usize, texts: &[String]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for row in head {
        if let Some(place) = row.get(column).copied().flatten() {
            let text = if !place.first_column && is_remark(place, texts) { "" } else { texts[place.cell].as_str() };
            if !text.is_empty() && parts.last() != Some(&text) {
                parts.push(text);
            }
        }
    }
    parts.join(" / ")
}

fn push_row<'a>(lines: &mut String, cells: impl Iterator<Item = &'a str>) {
    lines.push('|');
    for cell in cells {
        lines.push(' ');
        lines.push_str(cell);
        lines.push_str(" |");
    }
    lines.push('\n');
}
