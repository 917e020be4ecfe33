//! Tables.

use domain::document::{Cell, Table};

use super::Reader;
use crate::{fault::Fault, xml::Node};

/// A row or cell that is repeated is read at most this often.
const MAX_REPEATS: usize = 50;

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
            let blocks = self.blocks(cell)?;
            let own = Cell { blocks, columns: span("number-columns-spanned"), rows: span("number-rows-spanned") };
            let times = repeats(cell, "number-columns-repeated");
            cells.extend(std::iter::repeat_n(own, times));
        }
        let blank = cells.iter().all(|cell| cell.blocks.is_empty());
        let times = if blank { 1 } else { repeats(row, "number-rows-repeated") };
        table.header_rows += if header { times } else { 0 };
        table.rows.extend(std::iter::repeat_n(cells, times));
        Ok(())
    }
}

fn repeats(node: Node<'_>, name: &str) -> usize {
    node.number(name).unwrap_or(1).clamp(1, MAX_REPEATS)
}
