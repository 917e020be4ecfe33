//! Tables by the HTML standard's table model.

use domain::document::{Block, BlockKind, Cell, Inline, Table};

use super::{flow::Reader, tree::Kind};

/// The most columns that a cell may cover, by the standard.
const MAX_COLUMNS: u32 = 1000;
/// A cell with more text than this many characters, in a table that names no headings, is a part of the page.
const LONG_CELL: usize = 1500;

/// Rows between which no cell reaches.
struct Group {
    rows: Vec<u32>,
    head: bool,
}

impl Reader<'_> {
    /// The table; the blocks of its cells if it only sets the page.
    pub(super) fn table(&mut self, id: u32) -> Vec<Block> {
        let tree = self.tree;
        let mut table = Table::default();
        let captions: Vec<u32> = tree.children(id).filter(|&child| tree.name(child) == "caption").collect();
        for caption in captions {
            if !self.is_hidden(caption) {
                if !table.caption.is_empty() {
                    table.caption.push(Inline::LineBreak);
                }
                let words = self.words(caption);
                table.caption.extend(words);
            }
        }
        let mut headings = 0;
        let mut all_headings = true;
        for group in self.groups(id) {
            let below = group.rows.len();
            for (at, row) in group.rows.into_iter().enumerate() {
                let (cells, heads) = self.row(row, below - at);
                all_headings &= group.head || heads;
                headings += usize::from(all_headings);
                table.rows.push(cells);
            }
        }
        // A table of headings only has no head.
        let named = headings > 0 || !table.caption.is_empty();
        table.header_rows = if headings < table.rows.len() { headings } else { 1.min(headings) };
        let layout = matches!(tree.attribute(id, "role"), Some("presentation" | "none"))
            || !named && !self.has_headings(id) && table.rows.iter().flatten().any(sets_the_page);
        if !layout {
            return vec![BlockKind::Table(table).into()];
        }
        table.rows.into_iter().flatten().flat_map(|cell| cell.blocks).collect()
    }

    /// The table's groups of rows: heads first, feet last.
    fn groups(&mut self, id: u32) -> Vec<Group> {
        let tree = self.tree;
        let mut groups: Vec<(u8, Group)> = Vec::new();
        for child in tree.children(id) {
            let order = match tree.name(child) {
                "thead" => 0,
                "tbody" | "tr" => 1,
                "tfoot" => 2,
                _ => continue,
            };
            if self.is_hidden(child) {
                continue;
            }
            let rows = if tree.name(child) == "tr" {
                vec![child]
            } else {
                tree.children(child).filter(|&row| tree.name(row) == "tr").collect()
            };
            let mut shown = Vec::with_capacity(rows.len());
            for row in rows {
                if !self.is_hidden(row) {
                    shown.push(row);
                }
            }
            groups.push((order, Group { rows: shown, head: order == 0 }));
        }
        groups.sort_by_key(|(order, _)| *order);
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// The cells of a row, and whether all head columns. `below`: rows from this one to the end of its group.
    fn row(&mut self, id: u32, below: usize) -> (Vec<Cell>, bool) {
        let tree = self.tree;
        let (mut cells, mut heads) = (Vec::new(), true);
        for child in tree.children(id) {
            let name = tree.name(child);
            if !matches!(name, "td" | "th") || self.is_hidden(child) {
                continue;
            }
            let of_row =
                tree.attribute(child, "scope").is_some_and(|scope| scope.to_ascii_lowercase().starts_with("row"));
            heads &= name == "th" && !of_row;
            let below = u32::try_from(below).unwrap_or(u32::MAX);
            let columns = span(tree.attribute(child, "colspan")).filter(|columns| (1..=MAX_COLUMNS).contains(columns));
            let rows = match span(tree.attribute(child, "rowspan")) {
                // 0: to the end of the group.
                Some(0) => below,
                rows => rows.unwrap_or(1).min(below),
            };
            cells.push(Cell { blocks: self.blocks(child), columns: columns.unwrap_or(1), rows: rows.max(1) });
        }
        heads &= !cells.is_empty();
        (cells, heads)
    }

    /// Whether a cell of the table, and not of one in it, is a heading.
    fn has_headings(&self, id: u32) -> bool {
        let mut next = Some(id);
        while let Some(at) = next {
            let name = self.tree.name(at);
            if name == "th" {
                return true;
            }
            let into = !matches!(self.tree.kind(at), Kind::Text(_)) && name != "td" && (name != "table" || at == id);
            next = self.tree.after(at, id, into);
        }
        false
    }
}

/// Whether the cell is a part of the page and no value.
fn sets_the_page(cell: &Cell) -> bool {
    let long = |block: &Block| match &block.kind {
        BlockKind::Paragraph(text) => length(text),
        BlockKind::List(items) => items.len().saturating_mul(20),
        BlockKind::Table(_) => LONG_CELL,
        _ => 0,
    };
    cell.blocks.len() > 1 && cell.blocks.iter().map(long).fold(0, usize::saturating_add) >= LONG_CELL
}

fn length(text: &[Inline]) -> usize {
    let of = |inline: &Inline| match inline {
        Inline::Text(words) => words.len(),
        Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Link { text: inner, .. } => length(inner),
        _ => 1,
    };
    text.iter().map(of).fold(0, usize::saturating_add)
}

/// A span as the standard reads numbers: blanks before and anything after are allowed.
fn span(value: Option<&str>) -> Option<u32> {
    let value = value?.trim_start();
    let value = value.strip_prefix('+').unwrap_or(value);
    let digits = value.get(..value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()))?;
    digits.parse::<u32>().ok().or_else(|| (!digits.is_empty()).then_some(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_read_as_browsers_do() {
        assert_eq!((span(Some(" 2px")), span(Some("-1")), span(Some(""))), (Some(2), None, None));
        assert_eq!(span(Some("99999999999")), Some(u32::MAX));
    }
}
