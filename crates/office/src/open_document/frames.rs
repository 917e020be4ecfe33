//! Frames and shapes: text boxes, pictures by their descriptions, tables, equations, charts.

use domain::document::{Block, BlockKind};

use super::{Reader, math};
use reading::{
    fault::Fault,
    package::resolve,
    xml::{Node, Tree},
};

impl Reader<'_, '_> {
    /// The blocks of a frame, a shape or a group of shapes.
    pub(super) fn shape(&mut self, shape: Node<'_>) -> Result<Vec<Block>, Fault> {
        if !self.deeper() {
            self.depth -= 1;
            return Ok(vec![Block::paragraph(shape.text())]);
        }
        let mut blocks: Vec<Block> =
            description(shape).map(|text| BlockKind::Picture(text).into()).into_iter().collect();
        let described = !blocks.is_empty();
        // A frame holds the same thing in several forms, the best first.
        let mut done = false;
        for child in shape.children() {
            match child.name() {
                "text-box" => blocks.extend(self.blocks(child)?),
                "table" => {
                    let table = self.table(child)?;
                    blocks.push(BlockKind::Table(table).into());
                    done = true;
                }
                "object" => {
                    let object = self.object(child)?;
                    done |= !object.is_empty();
                    blocks.extend(object);
                }
                "image" if !done => {
                    self.pictures += usize::from(!described);
                    let part = child.prefixed("href").map(|href| resolve("", &href));
                    blocks.extend(part.map(|part| Block::from(BlockKind::PictureFile { part, described })));
                    done = true;
                }
                "image" | "title" | "desc" | "glue-point" | "enhanced-geometry" | "event-listeners" => {}
                "frame" | "g" | "custom-shape" | "rect" | "ellipse" | "circle" | "line" | "polygon" | "polyline"
                | "path" | "connector" | "caption" | "measure" | "regular-polygon" => blocks.extend(self.shape(child)?),
                "p" | "list" => {}
                _ => {}
            }
        }
        if shape.children().any(|child| matches!(child.name(), "p" | "list")) {
            blocks.extend(self.own_text(shape)?);
        }
        self.depth -= 1;
        Ok(blocks)
    }

    /// The text that stands in a shape itself.
    fn own_text(&mut self, shape: Node<'_>) -> Result<Vec<Block>, Fault> {
        let mut flow = reading::building::flow::Flow::default();
        let lists = std::mem::take(&mut self.lists);
        for child in shape.children().filter(|child| matches!(child.name(), "p" | "list")) {
            self.block(child, &mut flow)?;
        }
        self.lists = lists;
        Ok(flow.finish())
    }

    /// An embedded object: an equation or a chart.
    fn object(&mut self, object: Node<'_>) -> Result<Vec<Block>, Fault> {
        if let Some(equation) = object.child("math") {
            return Ok(formula(equation));
        }
        let Some(folder) = object.attr("href") else { return Ok(Vec::new()) };
        let Some(xml) = self.package.xml(&format!("{}/content.xml", resolve("", &folder)))? else {
            return Ok(Vec::new());
        };
        let tree = Tree::parse(&xml)?;
        let root = tree.root();
        if root.is("math") {
            return Ok(formula(root));
        }
        let mut charts = root.descendants().filter(|node| node.is("chart") && node.child("plot-area").is_some());
        let Some(chart) = charts.next() else {
            return Ok(Vec::new());
        };
        let titles = chart.descendants().filter(|node| matches!(node.name(), "title" | "subtitle"));
        let mut blocks: Vec<Block> = titles.map(|title| Block::paragraph(title.text())).collect();
        if let Some(table) = chart.find("table") {
            blocks.push(BlockKind::Table(self.table(table)?).into());
        }
        Ok(blocks)
    }
}

fn formula(math: Node<'_>) -> Vec<Block> {
    let latex = math::latex(math);
    if latex.is_empty() { Vec::new() } else { vec![BlockKind::Formula(latex).into()] }
}

/// The description of a picture or shape: its long one, else its title.
fn description(shape: Node<'_>) -> Option<String> {
    let text = |name| shape.child(name).map(Node::text).filter(|text| !text.trim().is_empty());
    let text = text("desc").or_else(|| text("title"))?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
