//! The shapes of a slide.

use domain::document::{Block, BlockKind, Cell, Table};

use super::{
    Reader,
    layouts::{Bullets, Layout, placeholder_of},
    order::{Frame, sorted},
};
use crate::ooxml::{self, chart, diagram};
use reading::{
    fault::Fault,
    xml::{Node, Tree},
};

/// Groups nest down to this depth.
const MAX_DEPTH: usize = 100;

/// A shape with text.
type Shape = (Option<Frame>, Vec<Block>);

/// Maps the places in a group to places on the slide: `(scale, shift)` for both directions.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    x: (f64, f64),
    y: (f64, f64),
}

impl Mapping {
    const SLIDE: Self = Self { x: (1.0, 0.0), y: (1.0, 0.0) };

    fn frame(self, frame: Frame) -> Frame {
        Frame {
            left: frame.left * self.x.0 + self.x.1,
            top: frame.top * self.y.0 + self.y.1,
            right: frame.right * self.x.0 + self.x.1,
            bottom: frame.bottom * self.y.0 + self.y.1,
        }
    }

    /// The mapping within a group that stands here.
    fn into_group(self, group: Node<'_>) -> Self {
        let places = transform(group).and_then(|transform| {
            let pair =
                |name: &str, x, y| Some((transform.child(name)?.number::<f64>(x)?, transform.child(name)?.number(y)?));
            Some((
                pair("off", "x", "y")?,
                pair("ext", "cx", "cy")?,
                pair("chOff", "x", "y")?,
                pair("chExt", "cx", "cy")?,
            ))
        });
        let Some((off, ext, inner_off, inner_ext)) = places else { return self };
        let along = |outer: (f64, f64), off: f64, ext: f64, inner_off: f64, inner_ext: f64| {
            let scale = if inner_ext > 0.0 && ext > 0.0 { ext / inner_ext } else { 1.0 };
            (outer.0 * scale, outer.0 * (off - inner_off * scale) + outer.1)
        };
        Self {
            x: along(self.x, off.0, ext.0, inner_off.0, inner_ext.0),
            y: along(self.y, off.1, ext.1, inner_off.1, inner_ext.1),
        }
    }
}

fn transform(shape: Node<'_>) -> Option<Node<'_>> {
    let properties = |name: &str| shape.child(name).and_then(|properties| properties.child("xfrm"));
    properties("spPr").or_else(|| properties("grpSpPr")).or_else(|| shape.child("xfrm"))
}

/// Where a shape stands, in the units of what it stands in.
pub(super) fn frame_of(shape: Node<'_>) -> Option<Frame> {
    let transform = transform(shape)?;
    let (off, ext) = (transform.child("off")?, transform.child("ext")?);
    let (left, top): (f64, f64) = (off.number("x")?, off.number("y")?);
    Some(Frame { left, top, right: left + ext.number::<f64>("cx")?, bottom: top + ext.number::<f64>("cy")? })
}

/// A slide under way.
struct Slide<'l> {
    layout: &'l Layout,
    number: u32,
    title: Vec<Block>,
}

impl Reader<'_, '_> {
    /// The blocks of a slide's shapes in reading order, the title first.
    pub(super) fn shape_tree(&mut self, tree: Node<'_>, layout: &Layout, number: u32) -> Result<Vec<Block>, Fault> {
        let mut slide = Slide { layout, number, title: Vec::new() };
        let mut shapes = Vec::new();
        self.shapes(tree, Mapping::SLIDE, &mut slide, &mut shapes)?;
        let mut blocks = slide.title;
        blocks.extend(sorted(shapes).into_iter().flatten());
        Ok(blocks)
    }

    fn shapes(
        &mut self,
        tree: Node<'_>,
        mapping: Mapping,
        slide: &mut Slide<'_>,
        found: &mut Vec<Shape>,
    ) -> Result<(), Fault> {
        for node in tree.children() {
            match node.name() {
                "sp" | "pic" | "graphicFrame" | "cxnSp" | "grpSp" => self.shape(node, mapping, slide, found)?,
                "AlternateContent" => {
                    let mut done = Ok(());
                    ooxml::choose(node, |branch| {
                        let before = (found.len(), slide.title.len());
                        // Alternatives within alternatives are no deeper than groups.
                        done = self.in_depth(branch, mapping, slide, found);
                        done.is_err() || before != (found.len(), slide.title.len())
                    });
                    done?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn in_depth(
        &mut self,
        tree: Node<'_>,
        mapping: Mapping,
        slide: &mut Slide<'_>,
        found: &mut Vec<Shape>,
    ) -> Result<(), Fault> {
        if self.depth >= MAX_DEPTH {
            self.deep += 1;
            let bodies = tree.descendants().filter(|node| node.is("txBody"));
            found.push((None, bodies.flat_map(ooxml::plain_paragraphs).collect()));
            return Ok(());
        }
        self.depth += 1;
        let done = self.shapes(tree, mapping, slide, found);
        self.depth -= 1;
        done
    }

    fn shape(
        &mut self,
        shape: Node<'_>,
        mapping: Mapping,
        slide: &mut Slide<'_>,
        found: &mut Vec<Shape>,
    ) -> Result<(), Fault> {
        let named = shape.children().find(|child| child.name().starts_with("nv")).and_then(|nv| nv.child("cNvPr"));
        if named.is_some_and(|named| named.flag("hidden") == Some(true)) {
            self.hidden += 1;
            return Ok(());
        }
        let placeholder = placeholder_of(shape);
        let kind = placeholder.as_ref().map(|(kind, _)| kind.as_str()).unwrap_or_default();
        if kind == "sldNum" {
            return Ok(());
        }
        let inherited = placeholder.as_ref().map(|(kind, idx)| slide.layout.inherited(kind, idx)).unwrap_or_default();
        let own = frame_of(shape).map(|frame| mapping.frame(frame));
        let mut frame = own.or_else(|| inherited.iter().find_map(|placeholder| placeholder.frame));
        let mut blocks: Vec<Block> =
            named.and_then(ooxml::description).map(|text| BlockKind::Picture(text).into()).into_iter().collect();
        match shape.name() {
            "grpSp" => {
                let mut inner = Vec::new();
                self.in_depth(shape, mapping.into_group(shape), slide, &mut inner)?;
                let around = inner.iter().filter_map(|(frame, _)| *frame).reduce(Frame::around);
                frame = around.or(frame);
                blocks.extend(sorted(inner).into_iter().flatten());
            }
            "graphicFrame" => blocks.extend(self.graphic(shape)?),
            "pic" => {
                let described = !blocks.is_empty();
                self.pictures += usize::from(!described);
                let link = shape.find("blip").and_then(|blip| blip.prefixed("embed")).and_then(|id| self.link(&id));
                let part = link.filter(|link| !link.external).map(|link| link.target.clone());
                blocks.extend(part.map(|part| Block::from(BlockKind::PictureFile { part, described })));
            }
            _ => {
                if let Some(body) = shape.child("txBody") {
                    if matches!(kind, "title" | "ctrTitle") && slide.title.is_empty() {
                        let text = self.title(body);
                        let heading = Block::from(BlockKind::Heading { level: 2, text });
                        slide.title = self.placed(frame, slide.number, vec![heading]).1;
                    } else {
                        let bullets: Vec<Bullets> =
                            inherited.into_iter().map(|placeholder| placeholder.bullets).collect();
                        blocks.extend(self.text(body, &bullets));
                    }
                }
            }
        }
        if blocks.is_empty() {
            return Ok(());
        }
        if frame.is_some_and(|frame| frame.is_outside(self.size)) {
            self.hidden += 1;
            return Ok(());
        }
        found.push(self.placed(frame, slide.number, blocks));
        Ok(())
    }

    /// The blocks with their place on the slide, unless they have a narrower one.
    fn placed(&self, frame: Option<Frame>, number: u32, mut blocks: Vec<Block>) -> Shape {
        if let Some(place) = frame.and_then(|frame| frame.on_page(number, self.size)) {
            for block in blocks.iter_mut().filter(|block| block.boxes.is_empty()) {
                block.boxes = vec![place];
            }
        }
        (frame, blocks)
    }

    /// A table, chart, diagram, or the picture of an embedded object.
    fn graphic(&mut self, frame: Node<'_>) -> Result<Vec<Block>, Fault> {
        let Some(data) = frame.find("graphicData") else { return Ok(Vec::new()) };
        if let Some(table) = data.child("tbl") {
            return Ok(vec![BlockKind::Table(self.table(table)).into()]);
        }
        let part = |reader: &Self, node: Option<Node<'_>>, id: &str| {
            node.and_then(|node| node.prefixed(id)).and_then(|id| reader.link(&id)).map(|link| link.target.clone())
        };
        type Read = fn(Node<'_>) -> Vec<Block>;
        let readers: [(&str, &str, Read); 2] = [("chart", "id", chart::blocks), ("relIds", "dm", diagram::blocks)];
        for (name, id, read) in readers {
            if let Some(part) = part(self, data.find(name), id)
                && let Some(xml) = self.package.xml(&part)?
            {
                return Ok(read(Tree::parse(&xml)?.root()));
            }
        }
        let description = data.descendants().filter(|node| node.is("cNvPr")).find_map(ooxml::description);
        self.pictures += usize::from(description.is_none());
        Ok(description.map(|text| BlockKind::Picture(text).into()).into_iter().collect())
    }

    fn table(&self, table: Node<'_>) -> Table {
        let mut rows = Vec::new();
        for row in table.all("tr") {
            let mut cells = Vec::new();
            for cell in row.all("tc") {
                if cell.flag("hMerge") == Some(true) || cell.flag("vMerge") == Some(true) {
                    continue;
                }
                let span = |name| cell.number(name).unwrap_or(1_u32).max(1);
                let blocks = cell.child("txBody").map(|body| self.text(body, &[])).unwrap_or_default();
                cells.push(Cell { blocks, columns: span("gridSpan"), rows: span("rowSpan") });
            }
            rows.push(cells);
        }
        // That the first row looks different does not say how many rows are headings.
        Table { caption: Vec::new(), header_rows: 0, rows }
    }
}
