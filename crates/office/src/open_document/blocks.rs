//! Blocks of text: paragraphs, headings, lists, tables, sections.

use domain::document::{Block, BlockKind, Inline};

use super::{
    Reader,
    lists::{Counter, Mark, Open},
    paragraph::Paragraph,
};
use reading::{
    building::flow::{Flow, marked},
    fault::Fault,
    xml::Node,
};

impl Reader<'_, '_> {
    /// The blocks in `node`.
    pub(super) fn blocks(&mut self, node: Node<'_>) -> Result<Vec<Block>, Fault> {
        let mut flow = Flow::default();
        let lists = std::mem::take(&mut self.lists);
        self.body(node, &mut flow)?;
        self.lists = lists;
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

    pub(super) fn block(&mut self, node: Node<'_>, flow: &mut Flow) -> Result<(), Fault> {
        match node.name() {
            "p" | "h" => {
                self.paragraph(node, flow)?;
                self.push_notes(flow);
            }
            "list" => self.list(node, flow)?,
            "table" => {
                self.tables += 1;
                let table = self.table(node)?;
                self.tables -= 1;
                flow.push(BlockKind::Table(table));
                self.push_notes(flow);
            }
            "section" if node.attr("display").as_deref() == Some("none") => self.hidden += 1,
            // The sources of an index say how it is made.
            name if name.ends_with("-source") => {}
            "tracked-changes" | "forms" | "sequence-decls" | "variable-decls" | "user-field-decls" | "title"
            | "desc" | "event-listeners" => {}
            "annotation" => {
                self.annotation(node)?;
                self.push_notes(flow);
            }
            "frame" | "g" | "custom-shape" | "rect" | "ellipse" | "circle" | "line" | "polygon" | "polyline"
            | "path" | "connector" | "caption" | "measure" | "regular-polygon" => {
                let blocks = self.shape(node)?;
                blocks.into_iter().for_each(|block| flow.push(block));
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
        let style_name = node.attr("style-name").unwrap_or_default();
        let style = self.styles.get("paragraph", &style_name);
        if style.hidden == Some(true) {
            self.hidden += 1;
            return Ok(());
        }
        let mut to = Paragraph::default();
        to.look.struck = style.look(to.look).struck;
        self.content(node, &mut to)?;
        if self.at_edge {
            to.line = to.line.without_page_number();
        }
        let Paragraph { line, mut anchored, .. } = to;
        let mark = self.lists.last_mut().and_then(|list| list.mark.take());
        let level = u8::try_from(self.lists.len().saturating_sub(1)).unwrap_or(u8::MAX);
        if line.is_blank() {
            anchored.into_iter().for_each(|block| flow.push(block));
            return Ok(());
        }
        if node.is("h") && !self.at_edge {
            let level: u8 = node.number("outline-level").unwrap_or(1).max(1);
            let number = mark.or_else(|| self.heading_number(node, level));
            let text = line.without_emphasis().finish();
            let text = match number {
                Some(Mark::Number(number)) => marked(&number, text),
                Some(Mark::Bullet) | None => text,
            };
            flow.push(BlockKind::Heading { level, text });
        } else if let Some(mark) = mark {
            let marker = match mark {
                Mark::Number(number) => Some(number),
                Mark::Bullet => None,
            };
            let mut blocks = vec![BlockKind::Paragraph(line.finish()).into()];
            blocks.append(&mut anchored);
            flow.item(level, marker, blocks);
        } else if style.is_title && !self.at_edge {
            flow.push(BlockKind::Heading { level: 1, text: line.without_emphasis().finish() });
        } else {
            let mut text = line.finish();
            flow.push(match text.as_mut_slice() {
                [Inline::Formula(latex)] => BlockKind::Formula(std::mem::take(latex)),
                _ => BlockKind::Paragraph(text),
            });
        }
        flow.after(anchored);
        Ok(())
    }

    fn heading_number(&mut self, heading: Node<'_>, level: u8) -> Option<Mark> {
        let at = usize::from(level - 1);
        if heading.flag("is-list-header") == Some(true) || !self.styles.outline.is_numbered(at) {
            return None;
        }
        let start = heading.number("start-value").filter(|_| heading.flag("restart-numbering") == Some(true));
        self.styles.outline.next(&mut self.outline, at, start)
    }

    fn list(&mut self, list: Node<'_>, flow: &mut Flow) -> Result<(), Fault> {
        if !self.deeper() {
            flow.push(Block::paragraph(list.text()));
            self.depth -= 1;
            return Ok(());
        }
        let style = list.attr("style-name").map(|name| name.into_owned());
        let style = style.or_else(|| self.lists.last().map(|outer| outer.style.clone())).unwrap_or_default();
        let continues = list.flag("continue-numbering") == Some(true) || list.attr("continue-list").is_some();
        if self.lists.is_empty() && !continues {
            self.counters.insert(style.clone(), Counter::default());
        }
        self.lists.push(Open { style: style.clone(), mark: None });
        let level = self.lists.len() - 1;
        for item in list.children() {
            if item.is("list-item") && has_text_of_its_own(item) {
                let styles = self.styles.clone();
                let none = Default::default();
                let look = styles.lists.get(&style).unwrap_or(&none);
                let counter = self.counters.entry(style.clone()).or_default();
                let mark = look.next(counter, level, item.number("start-value"));
                if let Some(open) = self.lists.last_mut() {
                    open.mark = mark;
                }
            }
            self.body(item, flow)?;
            if let Some(open) = self.lists.last_mut() {
                open.mark = None;
            }
        }
        self.lists.pop();
        self.depth -= 1;
        Ok(())
    }
}

/// Whether an item has more than a list within it. One that has not is there for its depth only.
fn has_text_of_its_own(item: Node<'_>) -> bool {
    item.children().next().is_none_or(|first| !first.is("list"))
}
