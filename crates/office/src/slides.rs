//! Reads PowerPoint presentations (PresentationML): slides in the order of the show, each a page.
//!
//! The shapes of a slide are read by their places, its title first. Prompts of layouts and masters are never read; text
//! that a layout or master itself shows is read once. Comments and speaker notes stand at the end of their slide.

mod beside;
mod layouts;
pub mod order;
mod shapes;
mod text;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use domain::{
    document::{Block, Document, LeftOut, Notice},
    ports::ParseLimits,
};

use layouts::{Layout, Master};
use reading::{
    fault::Fault,
    limits::check_pages,
    package::{Package, Relationship, by_id},
    xml::Tree,
};

/// The most page numbers in a notice.
const MAX_LISTED: usize = 100;

/// Reads the presentation.
pub fn read(bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    let main = package.main_part()?.unwrap_or_else(|| "ppt/presentation.xml".into());
    let links = by_id(package.relationships(&main)?);
    let xml = package.xml(&main)?.ok_or(Fault::Corrupt)?;
    let tree = Tree::parse(&xml)?;
    let root = tree.root();
    let ids = root.child("sldIdLst").into_iter().flat_map(|list| list.all("sldId"));
    let slides: Vec<Option<String>> = ids
        .map(|slide| {
            let id = slide.prefixed("id")?;
            links.get(&*id).map(|link| link.target.clone())
        })
        .collect();
    let pages = check_pages(limits, slides.len())?;
    let size = root.child("sldSz").and_then(|size| Some((size.number("cx")?, size.number("cy")?)));
    let mut reader = Reader::new(&mut package, size.unwrap_or((0.0, 0.0)));
    reader.read_authors(&links)?;
    let mut blocks = Vec::new();
    let mut failed: Vec<u32> = Vec::new();
    for (number, part) in (1..).zip(slides) {
        let read = part.map_or(Ok(None), |part| reader.slide(number, &part))?;
        match read {
            Some(slide) => blocks.extend(slide),
            None => failed.push(number),
        }
    }
    let left_out = [
        (LeftOut::HiddenSlides, reader.hidden_slides),
        (LeftOut::HiddenText, reader.hidden),
        (LeftOut::Pictures, reader.pictures),
        (LeftOut::DeepParts, reader.deep),
    ];
    let mut notices: Vec<Notice> =
        left_out.into_iter().filter_map(|(what, count)| Notice::left_out(what, count)).collect();
    if let Ok(count @ 1..) = u32::try_from(failed.len()) {
        failed.truncate(MAX_LISTED);
        notices.push(Notice::FailedPages { pages: failed, count });
    }
    Ok(Document { blocks, pages, notices, ..Document::default() })
}

/// Reads the parts of one presentation.
struct Reader<'r, 'p> {
    package: &'r mut Package<'p>,
    /// The relationships of the part that is being read.
    links: BTreeMap<String, Relationship>,
    /// Width and height of a slide.
    size: (f64, f64),
    /// Authors of comments by their ids.
    authors: HashMap<String, String>,
    layouts: HashMap<String, Rc<Layout>>,
    masters: HashMap<String, Rc<Master>>,
    /// Layouts and masters whose own text has been read.
    shown: HashSet<String>,
    depth: usize,
    hidden_slides: usize,
    hidden: usize,
    pictures: usize,
    deep: usize,
}

impl<'r, 'p> Reader<'r, 'p> {
    fn new(package: &'r mut Package<'p>, size: (f64, f64)) -> Self {
        Self {
            package,
            links: BTreeMap::new(),
            size,
            authors: HashMap::new(),
            layouts: HashMap::new(),
            masters: HashMap::new(),
            shown: HashSet::new(),
            depth: 0,
            hidden_slides: 0,
            hidden: 0,
            pictures: 0,
            deep: 0,
        }
    }

    /// The blocks of a slide; `None` if its part is missing.
    fn slide(&mut self, number: u32, part: &str) -> Result<Option<Vec<Block>>, Fault> {
        let Some(xml) = self.package.xml(part)? else { return Ok(None) };
        let tree = Tree::parse(&xml)?;
        let slide = tree.root();
        if slide.flag("show") == Some(false) {
            self.hidden_slides += 1;
            return Ok(Some(Vec::new()));
        }
        self.links = by_id(self.package.relationships(part)?);
        let links = self.links.clone();
        let of_kind = |kind: &str| {
            links
                .values()
                .filter(|link| link.kind == kind && !link.external)
                .map(|link| link.target.clone())
                .collect::<Vec<_>>()
        };
        let layout = match of_kind("slideLayout").first() {
            Some(part) => self.layout(part)?,
            None => Rc::default(),
        };
        let mut blocks = vec![Block::page(number)];
        if let Some(shapes) = slide.child("cSld").and_then(|content| content.child("spTree")) {
            blocks.extend(self.shape_tree(shapes, &layout, number)?);
        }
        if slide.flag("showMasterSp") != Some(false) {
            blocks.extend(self.shown_by_layout(&layout));
        }
        for comments in of_kind("comments") {
            blocks.extend(self.comments(&comments)?);
        }
        for notes in of_kind("notesSlide") {
            blocks.extend(self.notes(&notes)?);
        }
        Ok(Some(blocks))
    }

    /// The relationship of the part that is being read with this id.
    fn link(&self, id: &str) -> Option<&Relationship> {
        self.links.get(id)
    }

    /// The text that the layout and its master show themselves, the first time.
    fn shown_by_layout(&mut self, layout: &Layout) -> Vec<Block> {
        let mut blocks = Vec::new();
        if self.shown.insert(layout.part.clone()) {
            blocks.extend(layout.own.iter().cloned());
        }
        if layout.shows_master && self.shown.insert(layout.master.part.clone()) {
            blocks.extend(layout.master.own.iter().cloned());
        }
        blocks
    }
}

#[cfg(test)]
mod tests;
