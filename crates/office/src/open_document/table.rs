//! Tables.

use domain::document::{Block, BlockKind, Cell, ListItem, Table};

use super::Reader;
use reading::{fault::Fault, xml::Node};

/// A row or cell that is repeated is read at most this often.
const MAX_REPEATS: usize = 16;

impl Reader<'_, '_> {
    pub(super) fn table(&mut self, node: Node<'_>) -> Result<Table, Fault> {
        let mut table = Table::default();
        self.rows(node, false, &mut table)?;
        Ok(table)
    }

    fn rows(&mut self, node: Node<'_>, header: bool, table: &mut Table) -> Result<(), Fault> {
        if !self.deeper() {
            self.depth -= 1;
            return Ok(());
        }
        for row in node.children() {
            match row.name() {
                "table-row" => self.row(row, header, table)?,
                "table-header-rows" => self.rows(row, table.header_rows == table.rows.len(), table)?,
                "table-rows" | "table-row-group" => self.rows(row, header, table)?,
                _ => {}
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn row(&mut self, row: Node<'_>, header: bool, table: &mut Table) -> Result<(), Fault> {
        if matches!(row.attr("visibility").as_deref(), Some("collapse" | "filter")) {
            self.hidden += 1;
            return Ok(());
        }
        let mut cells = Vec::new();
        for cell in row.all("table-cell") {
            let span = |name| cell.number(name).unwrap_or(1_u32).max(1);
            let blocks = without_bullet(self.blocks(cell)?);
            let own = Cell { blocks, columns: span("number-columns-spanned"), rows: span("number-rows-spanned") };
            let times = if is_plain(&own) { repeats(cell, "number-columns-repeated") } else { 1 };
            cells.extend(std::iter::repeat_n(own, times));
        }
        let blank = cells.iter().all(|cell| cell.blocks.is_empty());
        let times = if blank || !cells.iter().all(is_plain) { 1 } else { repeats(row, "number-rows-repeated") };
        table.header_rows += if header { times } else { 0 };
        table.rows.extend(std::iter::repeat_n(cells, times));
        Ok(())
    }
}

/// Whether a cell holds only text: other things are not repeated, for they may hold repeated things again.
fn is_plain(cell: &Cell) -> bool {
    cell.blocks.iter().all(|block| matches!(block.kind, BlockKind::Paragraph(_)))
}

/// The only item of a cell as a plain paragraph: a single bullet says nothing, and hides the value behind it.
fn without_bullet(mut blocks: Vec<Block>) -> Vec<Block> {
    if let [Block { kind: BlockKind::List(items), .. }] = blocks.as_mut_slice()
        && let [ListItem { marker: None, blocks }] = items.as_mut_slice()
    {
        return std::mem::take(blocks);
    }
    blocks
}

fn repeats(node: Node<'_>, name: &str) -> usize {
    node.number(name).unwrap_or(1).clamp(1, MAX_REPEATS)
}
