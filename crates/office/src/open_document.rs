//! Reads OpenDocument texts and presentations.
//!
//! A text has no pages here; the slides of a presentation are pages, read by the places of their shapes. Headers and
//! footers of the page styles that are used stand once, at the top and at the end.

mod blocks;
mod frames;
mod lists;
mod math;
mod paragraph;
mod slides;
mod styles;
mod table;

use std::rc::Rc;

use domain::{
    document::{Block, Document, LeftOut, Notice},
    ports::ParseLimits,
};

use lists::Counter;
use reading::{
    fault::Fault,
    package::Package,
    render,
    xml::{Node, Tree},
};
use styles::Styles;

/// Elements nest down to this depth; what is nested more deeply is read as plain text.
const MAX_DEPTH: usize = 1000;

/// Reads the document.
pub fn read(bytes: &[u8], limits: &ParseLimits) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    let manifest = package.xml("META-INF/manifest.xml")?.unwrap_or_default();
    if Tree::parse(&manifest)?.root().find("encryption-data").is_some() {
        return Err(Fault::Encrypted);
    }
    let content = package.xml("content.xml")?.ok_or(Fault::Corrupt)?;
    let styles = package.xml("styles.xml")?.unwrap_or_default();
    let (content, styles) = (Tree::parse(&content)?, Tree::parse(&styles)?);
    let (content, styles) = (content.root(), styles.root());
    let mut reader =
        Reader::new(&mut package, Styles::of(&[styles.child("styles"), content.child("automatic-styles")]));
    // Automatic styles of headers may have the names of those in the text.
    let edge_styles = Rc::new(Styles::of(&[styles.child("styles"), styles.child("automatic-styles")]));
    let body = content.child("body").ok_or(Fault::Corrupt)?;
    let (blocks, pages) = match body.child("presentation") {
        Some(presentation) => reader.presentation(presentation, styles, &edge_styles, limits)?,
        None => (reader.text(body, content, styles, &edge_styles)?, 0),
    };
    let left_out = [
        (LeftOut::HiddenSlides, reader.hidden_slides),
        (LeftOut::HiddenText, reader.hidden),
        (LeftOut::Pictures, reader.pictures),
        (LeftOut::DeepParts, reader.deep),
    ];
    let notices = left_out.into_iter().filter_map(|(what, count)| Notice::left_out(what, count)).collect();
    Ok(Document { blocks, pages, notices, ..Document::default() })
}

/// Reads the parts of one document.
struct Reader<'r, 'p> {
    package: &'r mut Package<'p>,
    styles: Rc<Styles>,
    /// The lists that are open, the innermost last.
    lists: Vec<lists::Open>,
    /// How far lists have counted, by their styles.
    counters: std::collections::HashMap<String, Counter>,
    /// How far headings have counted.
    outline: Counter,
    /// Notes and comments whose marks have been read.
    waiting: Vec<Block>,
    at_edge: bool,
    depth: usize,
    tables: usize,
    hidden_slides: usize,
    hidden: usize,
    pictures: usize,
    deep: usize,
}

impl<'r, 'p> Reader<'r, 'p> {
    fn new(package: &'r mut Package<'p>, styles: Styles) -> Self {
        Self {
            package,
            styles: Rc::new(styles),
            lists: Vec::new(),
            counters: Default::default(),
            outline: Counter::default(),
            waiting: Vec::new(),
            at_edge: false,
            depth: 0,
            tables: 0,
            hidden_slides: 0,
            hidden: 0,
            pictures: 0,
            deep: 0,
        }
    }

    /// The blocks of a text with its headers and footers.
    fn text(
        &mut self,
        body: Node<'_>,
        content: Node<'_>,
        styles: Node<'_>,
        edge_styles: &Rc<Styles>,
    ) -> Result<Vec<Block>, Fault> {
        let pages = styles::used_pages(content, styles);
        let mut seen = std::collections::HashSet::new();
        let mut blocks = self.edges(&pages, "header", edge_styles, &mut seen)?;
        blocks.extend(self.blocks(body)?);
        blocks.append(&mut self.waiting);
        blocks.extend(self.edges(&pages, "footer", edge_styles, &mut seen)?);
        Ok(blocks)
    }

    /// The headers or footers of the page styles, those with new texts.
    fn edges(
        &mut self,
        pages: &[Node<'_>],
        place: &str,
        styles: &Rc<Styles>,
        seen: &mut std::collections::HashSet<String>,
    ) -> Result<Vec<Block>, Fault> {
        let own = std::mem::replace(&mut self.styles, styles.clone());
        self.at_edge = true;
        let mut found = Vec::new();
        for edge in pages.iter().flat_map(|page| page.children()) {
            if !edge.name().starts_with(place) || edge.flag("display") == Some(false) {
                continue;
            }
            let document = Document { blocks: self.blocks(edge)?, ..Document::default() };
            if seen.insert(render::tidy_markdown(&document)) {
                found.extend(document.blocks);
            }
        }
        self.at_edge = false;
        self.styles = own;
        Ok(found)
    }

    /// Whether reading may go one level deeper. Counts what is nested too deeply.
    fn deeper(&mut self) -> bool {
        self.depth += 1;
        let fits = self.depth <= MAX_DEPTH;
        if !fits {
            self.deep += 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests;
