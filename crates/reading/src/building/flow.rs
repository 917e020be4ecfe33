//! Blocks one after the other, list items gathered into lists.

use domain::document::{Block, BlockKind, Inline, ListItem};

use super::line::Line;

/// Blocks under construction.
#[derive(Default)]
pub struct Flow {
    blocks: Vec<Block>,
    /// The items of the list that is open, with their levels.
    items: Vec<(u8, ListItem)>,
    /// What stands after the open list.
    after: Vec<Block>,
    /// Text of paragraphs whose ends were deleted: it goes on in the next paragraph.
    pub carried: Line,
}

impl Flow {
    /// Adds a block. It ends an open list.
    pub fn push(&mut self, block: impl Into<Block>) {
        self.close_list();
        self.blocks.push(block.into());
    }

    /// Adds a list item.
    pub fn item(&mut self, level: u8, marker: Option<String>, blocks: Vec<Block>) {
        self.items.push((level, ListItem { marker, blocks }));
    }

    /// Adds blocks that belong to what is there, as notes do: they do not cut a list in two.
    pub fn after(&mut self, blocks: impl IntoIterator<Item = Block>) {
        self.after.extend(blocks);
        if self.items.is_empty() {
            self.blocks.append(&mut self.after);
        }
    }

    fn close_list(&mut self) {
        if !self.items.is_empty() {
            self.blocks.push(BlockKind::List(nested(std::mem::take(&mut self.items))).into());
        }
        self.blocks.append(&mut self.after);
    }

    /// The finished blocks.
    pub fn finish(mut self) -> Vec<Block> {
        let carried = std::mem::take(&mut self.carried);
        if !carried.is_blank() {
            self.push(BlockKind::Paragraph(carried.finish()));
        }
        self.close_list();
        self.blocks
    }
}

/// Items of several levels as lists within items.
fn nested(items: Vec<(u8, ListItem)>) -> Vec<ListItem> {
    let mut top: Vec<ListItem> = Vec::new();
    // The open lists, the innermost last. Each but the first belongs to the last item of the one before.
    let mut open: Vec<(u8, Vec<ListItem>)> = Vec::new();
    for (level, item) in items {
        while open.last().is_some_and(|(last, _)| *last > level) {
            // What follows at a level between two others belongs to the outer one's list.
            if open.len() == 1 {
                open[0].0 = level;
                break;
            }
            fold(&mut open);
        }
        match open.last_mut() {
            Some((last, list)) if *last == level => list.push(item),
            _ => open.push((level, vec![item])),
        }
    }
    while open.len() > 1 {
        fold(&mut open);
    }
    top.extend(open.into_iter().flat_map(|(_, list)| list));
    top
}

/// Puts the innermost list into the last item of the one around it.
fn fold(open: &mut Vec<(u8, Vec<ListItem>)>) {
    if let Some((_, inner)) = open.pop()
        && let Some((_, outer)) = open.last_mut()
        && let Some(item) = outer.last_mut()
    {
        item.blocks.push(BlockKind::List(inner).into());
    }
}

/// A mark in front of a line.
pub fn marked(mark: &str, mut text: Vec<Inline>) -> Vec<Inline> {
    text.insert(0, Inline::text(format!("{mark} ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markdown(levels: &[u8]) -> String {
        let mut flow = Flow::default();
        for (at, level) in levels.iter().enumerate() {
            flow.item(*level, None, vec![Block::paragraph(at.to_string())]);
        }
        crate::render::tidy_markdown(&domain::document::Document { blocks: flow.finish(), ..Default::default() })
    }

    #[test]
    fn items_nest_by_their_levels() {
        assert_eq!(markdown(&[0, 1, 1, 0]), "- 0\n  - 1\n  - 2\n- 3\n");
        assert_eq!(markdown(&[2, 0, 1]), "- 0\n- 1\n  - 2\n");
        assert_eq!(markdown(&[0, 3, 1]), "- 0\n  - 1\n  - 2\n");
    }

    #[test]
    fn a_note_stands_after_the_list_of_its_item() {
        let mut flow = Flow::default();
        flow.item(0, None, vec![Block::paragraph("a")]);
        flow.after([Block::paragraph("note")]);
        flow.item(0, None, vec![Block::paragraph("b")]);
        flow.push(Block::paragraph("text"));
        assert_eq!(flow.finish().len(), 3);
    }
}
