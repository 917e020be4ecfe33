//! Blocks of rich text: paragraphs, lists, tables within tables.

use domain::document::{Block, BlockKind, Cell, Inline, ListItem, Table};

/// Edges of cells that are nearer than this are one, in twips.
const SAME_EDGE: i32 = 30;
/// How deep tables may be nested; deeper ones stand at this depth.
const MAX_TABLES: usize = 32;

/// How words look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) italic: bool,
    pub(super) strike: bool,
    pub(super) raised: bool,
    pub(super) lowered: bool,
}

/// What the paragraph is that ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paragraph {
    /// A heading's level.
    pub(super) heading: Option<u8>,
    /// The level of a list item, from 0.
    pub(super) level: usize,
    /// How many tables it stands in.
    pub(super) tables: usize,
}

/// How a cell is merged with others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CellShape {
    /// The right edge.
    pub(super) right: i32,
    /// It belongs to the cell at its left.
    pub(super) joins_left: bool,
    /// It belongs to the cell above.
    pub(super) joins_above: bool,
}

/// Makes blocks.
#[derive(Debug, Default)]
pub(super) struct Build {
    blocks: Vec<Block>,
    line: Vec<(Style, Inline)>,
    /// Words before this place of the line are not added to.
    barrier: usize,
    /// The number or bullet of the paragraph.
    pub(super) marker: String,
    /// What follows the paragraph: comments, pictures, text boxes.
    pub(super) pending: Vec<Block>,
    tables: Vec<OpenTable>,
}

#[derive(Debug, Default)]
struct OpenTable {
    rows: Vec<(Vec<CellShape>, Vec<Vec<Block>>)>,
    header_rows: usize,
    cells: Vec<Vec<Block>>,
    cell: Vec<Block>,
}

impl Build {
    /// Adds words to the line.
    pub(super) fn push(&mut self, style: Style, words: &str) {
        let open = self.line.len() > self.barrier;
        match self.line.last_mut() {
            _ if words.is_empty() => {}
            Some((same, Inline::Text(before))) if open && *same == style => {
                before.push_str(words);
            }
            _ => self.line.push((style, Inline::text(words))),
        }
    }

    /// Adds what is no words.
    pub(super) fn add(&mut self, inline: Inline) {
        self.line.push((Style::default(), inline));
    }

    /// The place in the line that is reached.
    pub(super) fn mark(&mut self) -> usize {
        self.barrier = self.line.len();
        self.barrier
    }

    /// Makes what was added since `mark` a link.
    pub(super) fn link(&mut self, mark: usize, target: &str) {
        if mark < self.line.len() {
            let text = inlines(self.line.split_off(mark), false);
            self.add(Inline::Link { target: target.to_owned(), text });
        }
        self.mark();
    }

    /// Drops what was added since `mark`.
    pub(super) fn drop_since(&mut self, mark: usize) {
        self.line.truncate(mark);
        self.mark();
    }

    /// Ends the paragraph.
    pub(super) fn end_paragraph(&mut self, paragraph: Paragraph) {
        let tables = paragraph.tables.min(MAX_TABLES);
        self.at_depth(tables);
        let heading = paragraph.heading.filter(|_| tables == 0);
        let mut text = inlines(std::mem::take(&mut self.line), heading.is_some());
        self.barrier = 0;
        let marker = std::mem::take(&mut self.marker).trim().to_owned();
        let pending = std::mem::take(&mut self.pending);
        let blocks = self.open_blocks();
        let blank = text.iter().all(|inline| match inline {
            Inline::Text(words) => words.trim().is_empty(),
            Inline::LineBreak => true,
            _ => false,
        });
        match heading {
            _ if blank => {}
            Some(level) => {
                if !marker.is_empty() {
                    text.insert(0, Inline::text(format!("{marker} ")));
                }
                blocks.push(BlockKind::Heading { level, text }.into());
            }
            None if marker.is_empty() => blocks.push(BlockKind::Paragraph(text).into()),
            None => {
                let bullet = !marker.contains(char::is_alphanumeric) || marker == "o";
                let marker = if bullet { None } else { Some(marker) };
                let item = ListItem { marker, blocks: vec![BlockKind::Paragraph(text).into()] };
                push_item(blocks, paragraph.level.min(9), item);
            }
        }
        blocks.extend(pending);
    }

    /// Ends a cell of the table at this depth.
    pub(super) fn end_cell(&mut self, paragraph: Paragraph) {
        let tables = paragraph.tables.max(1);
        self.end_paragraph(Paragraph { tables, ..paragraph });
        if let Some(table) = self.tables.last_mut() {
            let cell = std::mem::take(&mut table.cell);
            table.cells.push(cell);
        }
    }

    /// Ends a row of the table at this depth.
    pub(super) fn end_row(&mut self, depth: usize, shapes: &[CellShape], header: bool) {
        self.at_depth(depth.clamp(1, MAX_TABLES));
        if let Some(table) = self.tables.last_mut() {
            // What follows the last cell's end is not on the page, unless the row has none.
            let rest = std::mem::take(&mut table.cell);
            if table.cells.is_empty() && !rest.is_empty() {
                table.cells.push(rest);
            }
            if header && table.header_rows == table.rows.len() {
                table.header_rows += 1;
            }
            let cells = std::mem::take(&mut table.cells);
            table.rows.push((shapes.to_vec(), cells));
        }
    }

    /// All blocks.
    pub(super) fn finish(mut self, paragraph: Paragraph) -> Vec<Block> {
        self.end_paragraph(paragraph);
        self.at_depth(0);
        self.blocks
    }

    /// Where blocks go now.
    fn open_blocks(&mut self) -> &mut Vec<Block> {
        match self.tables.last_mut() {
            Some(table) => &mut table.cell,
            None => &mut self.blocks,
        }
    }

    /// Opens or ends tables, until this many are open.
    fn at_depth(&mut self, depth: usize) {
        while self.tables.len() > depth {
            if let Some(table) = self.tables.pop() {
                let blocks = table.finish();
                self.open_blocks().extend(blocks);
            }
        }
        self.tables.resize_with(depth, OpenTable::default);
    }
}

impl OpenTable {
    /// The table; what stands in no row follows it.
    fn finish(mut self) -> Vec<Block> {
        let rest: Vec<Block> = self.cells.drain(..).flatten().chain(self.cell.drain(..)).collect();
        if self.rows.is_empty() {
            return rest;
        }
        let edges = self.edges();
        let column = |right: i32| edges.partition_point(|&edge| edge < right - SAME_EDGE);
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        // By column: the row and the place of the cell above.
        let mut above: Vec<Option<(usize, usize)>> = vec![None; edges.len() + 1];
        for (shapes, cells) in self.rows {
            let (mut row, mut left): (Vec<Cell>, usize) = (Vec::new(), 0);
            for (at, blocks) in cells.into_iter().enumerate() {
                let shape = shapes.get(at).copied();
                let right = shape.map_or(left + 1, |shape| (column(shape.right) + 1).max(left + 1));
                let columns = u32::try_from(right - left).unwrap_or(1);
                let shape = shape.unwrap_or_default();
                if let (true, Some(before)) = (shape.joins_left, row.last_mut()) {
                    before.columns = before.columns.saturating_add(columns);
                    before.blocks.extend(blocks);
                } else if let (true, Some((top, place))) = (shape.joins_above, above.get(left).copied().flatten())
                    && let Some(cell) = rows.get_mut(top).and_then(|row: &mut Vec<Cell>| row.get_mut(place))
                {
                    cell.rows = cell.rows.saturating_add(1);
                    cell.blocks.extend(blocks);
                } else {
                    if let Some(above) = above.get_mut(left) {
                        *above = Some((rows.len(), row.len()));
                    }
                    row.push(Cell { blocks, columns, rows: 1 });
                }
                left = right;
            }
            rows.push(row);
        }
        let table = Table { caption: Vec::new(), header_rows: self.header_rows, rows };
        std::iter::once(BlockKind::Table(table).into()).chain(rest).collect()
    }

    /// The right edges of all cells, each once.
    fn edges(&self) -> Vec<i32> {
        let mut edges: Vec<i32> = self
            .rows
            .iter()
            .flat_map(|(shapes, cells)| shapes.iter().take(cells.len()))
            .map(|shape| shape.right)
            .collect();
        edges.sort_unstable();
        edges.dedup_by(|next, before| *next - *before <= SAME_EDGE);
        edges
    }
}

fn push_item(blocks: &mut Vec<Block>, level: usize, item: ListItem) {
    match blocks.last_mut().map(|block| &mut block.kind) {
        Some(BlockKind::List(items)) => match items.last_mut().filter(|_| level > 0) {
            Some(last) => push_item(&mut last.blocks, level - 1, item),
            None => items.push(item),
        },
        _ => blocks.push(BlockKind::List(vec![item]).into()),
    }
}

/// The line with its styles. In a heading all words are bold.
fn inlines(line: Vec<(Style, Inline)>, heading: bool) -> Vec<Inline> {
    let styled = |(style, inline): (Style, Inline)| {
        let Inline::Text(words) = inline else { return inline };
        let mut inline = match style {
            Style { raised: true, .. } => Inline::Superscript(words),
            Style { lowered: true, .. } => Inline::Subscript(words),
            _ => Inline::Text(words),
        };
        if style.strike {
            inline = Inline::Deleted(vec![inline]);
        }
        if style.italic {
            inline = Inline::Emphasis(vec![inline]);
        }
        if style.bold && !heading {
            inline = Inline::Strong(vec![inline]);
        }
        inline
    };
    line.into_iter().map(styled).collect()
}
