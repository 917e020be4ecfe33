//! Drawings: text boxes, pictures by their descriptions, charts, diagrams. Also those of the old kind (VML).

use domain::document::{Block, BlockKind};

use super::{Reader, runs::Paragraph};
use crate::ooxml::{self, chart, diagram};
use reading::{
    fault::Fault,
    xml::{Node, Tree},
};

impl Reader<'_, '_> {
    /// Reads a drawing: what it holds is anchored in the paragraph.
    pub(super) fn drawing(&mut self, drawing: Node<'_>, to: &mut Paragraph) -> Result<(), Fault> {
        let before = to.anchored.len();
        let mut found = Found::default();
        self.parts_of_drawing(drawing, to, &mut found)?;
        let is_bare = found.picture && !found.described && to.anchored.len() == before;
        self.pictures += usize::from(is_bare);
        // A document within this one has files of its own.
        if self.embedded == 0 {
            let files = found.files.into_iter().map(|part| BlockKind::PictureFile { part, described: !is_bare });
            to.anchored.extend(files.map(Block::from));
        }
        Ok(())
    }

    fn parts_of_drawing(&mut self, node: Node<'_>, to: &mut Paragraph, found: &mut Found) -> Result<(), Fault> {
        if self.deeper() {
            for child in node.children() {
                self.part_of_drawing(child, to, found)?;
            }
        } else {
            to.anchored.push(Block::paragraph(node.text()));
        }
        self.depth -= 1;
        Ok(())
    }

    fn part_of_drawing(&mut self, node: Node<'_>, to: &mut Paragraph, found: &mut Found) -> Result<(), Fault> {
        match node.name() {
            "txbxContent" => to.anchored.extend(self.blocks(node)?),
            "txBody" => to.anchored.extend(ooxml::plain_paragraphs(node)),
            "docPr" | "cNvPr" => {
                let described = ooxml::description(node);
                found.described |= described.is_some() || node.find("decorative").is_some();
                found.describe(described, to);
            }
            "chart" => {
                if let Some(xml) =
                    node.prefixed("id").and_then(|id| self.link(&id)).map(|link| self.package.xml(&link.target))
                {
                    let Some(xml) = xml? else { return Ok(()) };
                    to.anchored.extend(chart::blocks(Tree::parse(&xml)?.root()));
                }
            }
            "relIds" => {
                if let Some(xml) =
                    node.attr("dm").and_then(|id| self.link(&id)).map(|link| self.package.xml(&link.target))
                {
                    let Some(xml) = xml? else { return Ok(()) };
                    to.anchored.extend(diagram::blocks(Tree::parse(&xml)?.root()));
                }
            }
            "textpath" => {
                if let Some(words) = node.attr("string").filter(|words| !words.trim().is_empty()) {
                    to.anchored.push(Block::paragraph(words.into_owned()));
                }
            }
            "AlternateContent" => {
                let mut done = Ok(());
                ooxml::choose(node, |branch| {
                    let before = (to.line.additions, to.anchored.len());
                    done = self.parts_of_drawing(branch, to, found);
                    done.is_err() || before != (to.line.additions, to.anchored.len())
                });
                done?;
            }
            "blip" => self.picture_file(node, "embed", found),
            "OLEObject" => self.attachments += usize::from(node.attr("DrawAspect").as_deref() == Some("Icon")),
            name => {
                found.picture |= matches!(name, "pic" | "imagedata");
                if name == "imagedata" {
                    self.picture_file(node, "id", found);
                }
                if name == "imagedata" || matches!(name, "shape" | "rect" | "group") {
                    let alternative = node.attr("alt").filter(|text| !text.trim().is_empty());
                    let title = || node.attr("title").filter(|_| name == "imagedata");
                    let text = alternative.or_else(title).map(|text| text.trim().to_owned());
                    found.described |= text.as_ref().is_some_and(|text| !text.is_empty());
                    found.describe(text, to);
                }
                self.parts_of_drawing(node, to, found)?;
            }
        }
        Ok(())
    }
}

impl Reader<'_, '_> {
    /// Notes the file of a picture, which the attribute `id` names.
    fn picture_file(&self, node: Node<'_>, id: &str, found: &mut Found) {
        let link = node.prefixed(id).and_then(|id| self.link(&id)).filter(|link| !link.external);
        if let Some(link) = link.filter(|link| !found.files.contains(&link.target)) {
            found.files.push(link.target);
        }
    }
}

/// What a drawing has shown so far.
#[derive(Default)]
struct Found {
    picture: bool,
    described: bool,
    /// The parts of its pictures; both forms of a drawing name the same.
    files: Vec<String>,
    /// Its descriptions; the picture often repeats that of its frame.
    descriptions: Vec<String>,
}

impl Found {
    fn describe(&mut self, description: Option<String>, to: &mut Paragraph) {
        let Some(text) = description.filter(|text| !text.is_empty() && !self.descriptions.contains(text)) else {
            return;
        };
        to.anchored.push(BlockKind::Picture(text.clone()).into());
        self.descriptions.push(text);
    }
}
