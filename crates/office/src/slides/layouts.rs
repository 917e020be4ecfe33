//! What slides inherit from their layout and master: places of placeholders, bullets, and text that these show.

use std::rc::Rc;

use domain::document::Block;

use super::{Reader, order::Frame, shapes::frame_of};
use crate::ooxml;
use reading::{
    building::number::Format,
    fault::Fault,
    xml::{Node, Tree},
};

/// Levels of a text, in PowerPoint.
const LEVELS: usize = 9;

/// What stands in front of a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bullet {
    None,
    Sign,
    Number { format: Format, before: &'static str, after: &'static str, start: u32 },
}

impl Bullet {
    /// The bullet that paragraph properties name.
    pub(super) fn of(properties: Node<'_>) -> Option<Self> {
        properties.children().find_map(|child| match child.name() {
            "buNone" => Some(Self::None),
            "buChar" | "buBlip" => Some(Self::Sign),
            "buAutoNum" => {
                let scheme = child.attr("type").unwrap_or_default();
                let format = match &*scheme {
                    s if s.starts_with("alphaLc") => Format::LowerLetter,
                    s if s.starts_with("alphaUc") => Format::UpperLetter,
                    s if s.starts_with("romanLc") => Format::LowerRoman,
                    s if s.starts_with("romanUc") => Format::UpperRoman,
                    s if s.starts_with("circleNum") => Format::Circled,
                    s if s.starts_with("ea1Ch") => Format::Chinese,
                    _ => Format::Decimal,
                };
                let (before, after) = match &*scheme {
                    s if s.ends_with("Period") => ("", "."),
                    s if s.ends_with("ParenR") => ("", ")"),
                    s if s.ends_with("ParenBoth") => ("(", ")"),
                    _ => ("", ""),
                };
                Some(Self::Number { format, before, after, start: child.number("startAt").unwrap_or(1) })
            }
            _ => None,
        })
    }
}

/// The bullets of each level; `None` where nothing is said.
#[derive(Debug, Clone, Default)]
pub(super) struct Bullets([Option<Bullet>; LEVELS]);

impl Bullets {
    /// The bullets of a list style, the children of which are `lvl1pPr` to `lvl9pPr`.
    pub(super) fn of(style: Option<Node<'_>>) -> Self {
        let mut bullets = Self::default();
        for level in style.into_iter().flat_map(Node::children) {
            let digit = level.name().strip_prefix("lvl").and_then(|rest| rest.chars().next()?.to_digit(10));
            let at = digit.and_then(|digit| usize::try_from(digit).ok()?.checked_sub(1));
            if let Some(place) = at.and_then(|at| bullets.0.get_mut(at)) {
                *place = Bullet::of(level);
            }
        }
        bullets
    }

    /// The bullet of a level, from 0.
    pub(super) fn at(&self, level: usize) -> Option<&Bullet> {
        self.0.get(level)?.as_ref()
    }
}

/// A placeholder of a layout or master.
#[derive(Debug, Clone)]
pub(super) struct Placeholder {
    pub(super) kind: String,
    idx: String,
    pub(super) frame: Option<Frame>,
    pub(super) bullets: Bullets,
}

/// A slide layout.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) part: String,
    placeholders: Vec<Placeholder>,
    /// The text that it shows itself.
    pub(super) own: Vec<Block>,
    pub(super) shows_master: bool,
    pub(super) master: Rc<Master>,
}

/// A slide master.
#[derive(Debug, Default)]
pub(super) struct Master {
    pub(super) part: String,
    placeholders: Vec<Placeholder>,
    pub(super) own: Vec<Block>,
    /// The bullets of text in placeholders for content.
    body: Bullets,
}

/// The type and index of a shape's placeholder; `None` if it is none.
pub(super) fn placeholder_of(shape: Node<'_>) -> Option<(String, String)> {
    let properties = shape.children().find(|child| child.name().starts_with("nv"))?;
    let placeholder = properties.child("nvPr")?.child("ph")?;
    let kind = placeholder.attr("type").unwrap_or("obj".into()).into_owned();
    Some((kind, placeholder.attr("idx").unwrap_or_default().into_owned()))
}

/// The kind of a master's placeholder from which one of this kind inherits.
fn master_kind(kind: &str) -> &str {
    match kind {
        "title" | "ctrTitle" => "title",
        "dt" | "ftr" | "sldNum" | "hdr" | "sldImg" => kind,
        _ => "body",
    }
}

impl Layout {
    /// What a placeholder of this type and index inherits: first what the layout says, then what the master says.
    pub(super) fn inherited(&self, kind: &str, idx: &str) -> Vec<Placeholder> {
        let by_idx = self.placeholders.iter().find(|own| !idx.is_empty() && own.idx == idx);
        let own = by_idx.or_else(|| self.placeholders.iter().find(|own| master_kind(&own.kind) == master_kind(kind)));
        let kind = own.map_or(kind, |own| &own.kind);
        let master = self.master.placeholders.iter().find(|own| own.kind == master_kind(kind));
        let mut found: Vec<Placeholder> = own.into_iter().chain(master).cloned().collect();
        if master_kind(kind) == "body" {
            found.push(Placeholder {
                kind: "body".into(),
                idx: String::new(),
                frame: None,
                bullets: self.master.body.clone(),
            });
        }
        found
    }
}

impl Reader<'_, '_> {
    /// The layout in this part.
    pub(super) fn layout(&mut self, part: &str) -> Result<Rc<Layout>, Fault> {
        if let Some(layout) = self.layouts.get(part) {
            return Ok(layout.clone());
        }
        let mut layout = Layout { part: part.to_owned(), ..Layout::default() };
        if let Some(xml) = self.package.xml(part)? {
            let tree = Tree::parse(&xml)?;
            (layout.placeholders, layout.own) = inherited_shapes(tree.root(), self.size);
            layout.shows_master = tree.root().flag("showMasterSp").unwrap_or(true);
            let links = self.package.relationships(part)?;
            if let Some(master) = links.iter().find(|link| link.kind == "slideMaster") {
                layout.master = self.master(&master.target)?;
            }
        }
        let layout = Rc::new(layout);
        self.layouts.insert(part.to_owned(), layout.clone());
        Ok(layout)
    }

    fn master(&mut self, part: &str) -> Result<Rc<Master>, Fault> {
        if let Some(master) = self.masters.get(part) {
            return Ok(master.clone());
        }
        let mut master = Master { part: part.to_owned(), ..Master::default() };
        if let Some(xml) = self.package.xml(part)? {
            let tree = Tree::parse(&xml)?;
            (master.placeholders, master.own) = inherited_shapes(tree.root(), self.size);
            master.body = Bullets::of(tree.root().path(&["txStyles", "bodyStyle"]));
        }
        let master = Rc::new(master);
        self.masters.insert(part.to_owned(), master.clone());
        Ok(master)
    }
}

/// The placeholders of a layout or master, and the text of its other shapes that are on a slide of this size.
fn inherited_shapes(root: Node<'_>, size: (f64, f64)) -> (Vec<Placeholder>, Vec<Block>) {
    let (mut placeholders, mut own) = (Vec::new(), Vec::new());
    for top in root.path(&["cSld", "spTree"]).into_iter().flat_map(Node::children) {
        let is_seen = !frame_of(top).is_some_and(|frame| frame.is_outside(size));
        for shape in top.descendants().chain([top]).filter(|node| node.is("sp")) {
            match placeholder_of(shape) {
                Some((kind, idx)) => {
                    let bullets = Bullets::of(shape.path(&["txBody", "lstStyle"]));
                    placeholders.push(Placeholder { kind, idx, frame: frame_of(shape), bullets });
                }
                None if is_seen => own.extend(shape.child("txBody").map(ooxml::plain_paragraphs).unwrap_or_default()),
                None => {}
            }
        }
    }
    (placeholders, own)
}
