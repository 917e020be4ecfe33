//! What stands in a paragraph.

use domain::document::{AsideKind, Block, BlockKind, Inline};

use super::Reader;
use reading::{
    building::line::{Line, Look, PAGE_NUMBER},
    fault::Fault,
    xml::{Child, Node},
};

/// A paragraph under construction.
#[derive(Default)]
pub(super) struct Paragraph {
    pub(super) line: Line,
    /// Text boxes, pictures and objects that are anchored in it.
    pub(super) anchored: Vec<Block>,
    pub(super) look: Look,
}

impl Reader<'_, '_> {
    /// Reads the content of a paragraph or of a part of it.
    pub(super) fn content(&mut self, node: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        if self.deeper() {
            for child in node.content() {
                match child {
                    // Blanks and line ends in the file are one blank.
                    Child::Text(text) => to.line.text(to.look, &text.replace(['\n', '\r', '\t'], " ")),
                    Child::Element(node) => self.inline(node, to)?,
                }
            }
        } else {
            to.line.text(to.look, &node.text());
        }
        self.depth -= 1;
        Ok(())
    }

    fn inline(&mut self, node: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        match node.name() {
            "s" => to.line.text(to.look, " "),
            "tab" => to.line.text(to.look, "\t"),
            "line-break" => to.line.push(Inline::LineBreak),
            "span" => {
                let style = self.styles.get("text", &node.attr("style-name").unwrap_or_default());
                if style.hidden == Some(true) {
                    self.hidden += 1;
                    return Ok(());
                }
                let around = to.look;
                to.look = style.look(around);
                self.content(node, to)?;
                to.look = around;
            }
            "a" => {
                let around = to.line.link.clone();
                to.line.link = node.attr("href").map(|target| target.into_owned().into());
                self.content(node, to)?;
                to.line.link = around;
            }
            "note" => self.note(node, to)?,
            "annotation" => self.annotation(node)?,
            "ruby" => {
                let part = |name| node.child(name).map(Node::text).unwrap_or_default();
                to.line.text(to.look, &format!("{}({})", part("ruby-base"), part("ruby-text")));
            }
            "page-number" | "page-count" if self.at_edge => to.line.text(to.look, PAGE_NUMBER),
            "page-number" => {}
            "hidden-text" | "hidden-paragraph" if node.flag("is-hidden") != Some(false) => self.hidden += 1,
            // A number that other programs compute again stands in `number`.
            "number" | "soft-page-break" | "script" | "title" | "desc" | "forms" | "event-listeners" => {}
            "frame" | "g" | "custom-shape" | "rect" | "ellipse" | "circle" | "line" | "polygon" | "polyline"
            | "path" | "connector" | "caption" | "measure" | "regular-polygon" => self.anchor(node, to)?,
            _ => self.content(node, to)?,
        }
        Ok(())
    }

    /// A drawing in the paragraph: an equation stands in the line, all else after it.
    fn anchor(&mut self, node: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        let mut blocks = self.shape(node)?;
        if let [Block { kind: BlockKind::Formula(latex), .. }] = blocks.as_mut_slice() {
            to.line.push(Inline::Formula(std::mem::take(latex)));
        } else {
            to.anchored.append(&mut blocks);
        }
        Ok(())
    }

    fn note(&mut self, note: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        let label = note.child("note-citation").map(Node::text).unwrap_or_default().trim().to_owned();
        if let Some(body) = note.child("note-body") {
            let waiting = std::mem::take(&mut self.waiting);
            let blocks = self.blocks(body)?;
            self.waiting = waiting;
            to.line.push(Inline::NoteRef(label.clone()));
            self.waiting.push(BlockKind::Footnote { label, blocks }.into());
        }
        Ok(())
    }

    /// A comment; it waits for the end of its block.
    pub(super) fn annotation(&mut self, comment: Node<'_>) -> Result<(), Fault> {
        let by = comment.child("creator").map(Node::text).unwrap_or_default().trim().to_owned();
        let waiting = std::mem::take(&mut self.waiting);
        let mut blocks = Vec::new();
        for part in comment.children().filter(|part| matches!(part.name(), "p" | "list")) {
            let mut flow = reading::building::flow::Flow::default();
            match part.name() {
                "p" => {
                    let mut to = Paragraph::default();
                    self.content(part, &mut to)?;
                    flow.push(BlockKind::Paragraph(to.line.finish()));
                }
                _ => self.body(part, &mut flow)?,
            }
            blocks.extend(flow.finish());
        }
        self.waiting = waiting;
        self.waiting.push(BlockKind::Aside { kind: AsideKind::Comment, by, blocks }.into());
        Ok(())
    }
}
