//! Paragraphs, headings, list items and tables.

use std::collections::HashMap;

use domain::document::{Block, BlockKind, Cell, Inline, Table};

use super::{Reader, numbering::Mark, runs::Paragraph};
use crate::ooxml::math;
use reading::{
    building::{
        flow::{Flow, marked},
        line::Line,
    },
    fault::Fault,
    xml::Node,
};

impl Reader<'_, '_> {
    /// The blocks in `node`: the content of a cell, a text box, a note.
    pub(super) fn blocks(&mut self, node: Node<'_>) -> Result<Vec<Block>, Fault> {
        let mut flow = Flow::default();
        self.body(node, &mut flow)?;
        Ok(flow.finish())
    }

    /// Reads the blocks in `node` into `flow`.
    pub(super) fn body(&mut self, node: Node<'_>, flow: &mut Flow) -> Result<(), Fault> {
        if self.deeper() {
            for child in node.children() {
                self.block(child, flow)?;
            }
        } else {
            flow.push(Block::paragraph(node.text()));
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a block, or what wraps blocks.
    pub(super) fn block(&mut self, node: Node<'_>, flow: &mut Flow) -> Result<(), Fault> {
        match node.name() {
            "p" => {
                self.paragraph(node, flow)?;
                self.push_notes(flow);
            }
            "tbl" => {
                self.tables += 1;
                let table = self.table(node)?;
                self.tables -= 1;
                flow.push(BlockKind::Table(table));
                self.push_notes(flow);
            }
            "altChunk" => {
                let blocks = self.alternative_chunk(node)?;
                blocks.into_iter().for_each(|block| flow.push(block));
            }
            "oMath" => flow.push(BlockKind::Formula(math::latex(node))),
            "commentRangeEnd" => self.comment(&node.attr("id").unwrap_or_default()),
            "del" | "moveFrom" | "sectPr" | "sdtPr" | "sdtEndPr" | "tcPr" | "tblPr" | "tblGrid" => {}
            "AlternateContent" => {
                if let Some(branch) = node.child("Choice").or_else(|| node.child("Fallback")) {
                    self.body(branch, flow)?;
                }
            }
            _ => self.body(node, flow)?,
        }
        Ok(())
    }

    /// Adds the notes and comments that wait. Those of a table follow it.
    fn push_notes(&mut self, flow: &mut Flow) {
        if self.tables == 0 {
            flow.after(std::mem::take(&mut self.waiting));
        }
    }

    fn paragraph(&mut self, node: Node<'_>, flow: &mut Flow) -> Result<(), Fault> {
        let properties = node.child("pPr");
        let style_id = properties.and_then(|properties| properties.val("pStyle"));
        let style = self.styles.paragraph(style_id.as_deref());
        let mark = properties.and_then(|properties| properties.child("rPr"));
        let end_deleted = mark.is_some_and(|mark| mark.child("del").is_some() || mark.child("moveFrom").is_some());

        let mut to =
            Paragraph { line: std::mem::take(&mut flow.carried), style: style.run.clone(), ..Paragraph::default() };
        to.line.link = self.targets.last().cloned();
        self.runs(node, &mut to)?;
        self.end_fields();
        self.hidden += to.hidden;
        let drop_cap = properties.and_then(|properties| properties.child("framePr")?.attr("dropCap"));
        // The first letter of a paragraph may be set as a frame of its own.
        if end_deleted || drop_cap.is_some_and(|kind| kind != "none") {
            flow.carried = to.line;
            flow.after(to.anchored);
            return Ok(());
        }
        if self.at_edge {
            to.line = to.line.without_page_number();
        }
        let blank = to.line.is_blank();
        let numbering = properties.and_then(|properties| properties.child("numPr"));
        let own = |name| numbering.and_then(|numbering| numbering.child(name)?.attr("val"));
        let number = own("numId").map(|id| id.into_owned()).or_else(|| style.numbering.clone());
        let of_style = own("numId").is_none();
        let level = own("ilvl").and_then(|level| level.parse().ok()).or(style.level.filter(|_| of_style));
        let numbered_by = if of_style { style.numbered_by.as_str() } else { style_id.as_deref().unwrap_or_default() };
        let mark = match number {
            // A paragraph of which nothing is seen is not counted.
            Some(number) if !(blank && to.hidden > 0) => self.numbering.next(&number, level, numbered_by),
            _ => None,
        };
        let outline = properties.and_then(|properties| properties.child("outlineLvl")?.number::<u8>("val"));
        let heading = match outline {
            Some(outline @ 0..=8) => Some(outline + 1),
            Some(_) => None,
            None => style.heading,
        };
        match (heading, mark) {
            _ if blank => {
                to.anchored.drain(..).for_each(|block| flow.push(block));
            }
            (Some(level), mark) if !self.at_edge => {
                let text = to.line.without_emphasis().finish();
                let text = match mark {
                    Some((_, Mark::Number(number))) => marked(&number, text),
                    Some((_, Mark::Bullet)) | None => text,
                };
                flow.push(BlockKind::Heading { level, text });
            }
            (_, Some((level, mark))) => {
                let level = if level == 0 { style.named_level.unwrap_or(0) } else { level };
                let marker = match mark {
                    Mark::Number(number) => Some(number),
                    Mark::Bullet => None,
                };
                let mut blocks = vec![BlockKind::Paragraph(to.line.finish()).into()];
                blocks.append(&mut to.anchored);
                flow.item(level, marker, blocks);
            }
            (_, None) => paragraphs(to.line).into_iter().for_each(|block| flow.push(block)),
        }
        flow.after(to.anchored);
        Ok(())
    }

    fn table(&mut self, node: Node<'_>) -> Result<Table, Fault> {
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        let mut header_rows = 0;
        // The cell that goes on downwards in a column: its row and its place there.
        let mut open: HashMap<u32, (usize, usize)> = HashMap::new();
        for row in through_wrappers(node, "tr") {
            let properties = row.child("trPr");
            let has = |name: &str| properties.is_some_and(|properties| properties.on(name).unwrap_or(false));
            if properties.is_some_and(|properties| properties.child("del").is_some()) {
                continue;
            }
            if has("hidden") {
                self.hidden += 1;
                continue;
            }
            if has("tblHeader") && header_rows == rows.len() {
                header_rows += 1;
            }
            let at = rows.len();
            let mut cells: Vec<Cell> = Vec::new();
            let skipped =
                |name| properties.and_then(|properties| properties.child(name)?.number::<u32>("val")).unwrap_or(0);
            let mut column = 0_u32;
            let mut still_open = HashMap::new();
            if skipped("gridBefore") > 0 {
                column = skipped("gridBefore");
                cells.push(Cell { columns: column, ..Cell::new(Vec::new()) });
            }
            for cell in through_wrappers(row, "tc") {
                let properties = cell.child("tcPr");
                if properties.is_some_and(|properties| properties.child("cellDel").is_some()) {
                    continue;
                }
                let merge = |name| {
                    let merge = properties.and_then(|properties| properties.child(name))?;
                    Some(merge.attr("val").is_none_or(|value| value == "continue"))
                };
                let span = properties.and_then(|properties| properties.child("gridSpan")?.number("val"));
                let columns: u32 = span.unwrap_or(1).max(1);
                if merge("hMerge") == Some(true)
                    && let Some(last) = cells.last_mut()
                {
                    last.columns = last.columns.saturating_add(columns);
                    column = column.saturating_add(columns);
                    continue;
                }
                match merge("vMerge") {
                    Some(true) if open.contains_key(&column) => {
                        let origin = open[&column];
                        if let Some(cell) = rows.get_mut(origin.0).and_then(|row| row.get_mut(origin.1)) {
                            cell.rows = cell.rows.saturating_add(1);
                        }
                        still_open.insert(column, origin);
                    }
                    merge => {
                        if merge.is_some() {
                            still_open.insert(column, (at, cells.len()));
                        }
                        cells.push(Cell { columns, ..Cell::new(self.blocks(cell)?) });
                    }
                }
                column = column.saturating_add(columns);
            }
            open = still_open;
            rows.push(cells);
        }
        Ok(Table { caption: Vec::new(), header_rows, rows })
    }
}

/// A line as a paragraph; equations with nothing between them as blocks of their own.
fn paragraphs(line: Line) -> Vec<Block> {
    let text = line.finish();
    let is_blank = |inline: &Inline| match inline {
        Inline::Text(words) => words.trim().is_empty(),
        Inline::Formula(_) | Inline::LineBreak => true,
        _ => false,
    };
    if !text.iter().all(is_blank) {
        return vec![BlockKind::Paragraph(text).into()];
    }
    let formula = |inline| match inline {
        Inline::Formula(latex) => Some(BlockKind::Formula(latex).into()),
        _ => None,
    };
    text.into_iter().filter_map(formula).collect()
}

/// The children of this name, also those within content controls and the like.
fn through_wrappers<'t>(node: Node<'t>, name: &str) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    let mut open: Vec<Node<'t>> = vec![node];
    while let Some(next) = open.pop() {
        if next.is(name) {
            found.push(next);
            continue;
        }
        let at = open.len();
        open.extend(next.children().filter(|child| {
            child.is(name) || matches!(child.name(), "sdt" | "sdtContent" | "customXml" | "smartTag" | "ins" | "moveTo")
        }));
        open[at..].reverse();
    }
    found
}
