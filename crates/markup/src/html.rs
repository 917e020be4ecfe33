//! Reads HTML: the tree that a browser would make of a page, as blocks.
//!
//! `bounded` makes the tree in linear time, `flow` its blocks and `line` their words. `encoding` finds a page's encoding.

mod bounded;
pub mod encoding;
mod flow;
mod form;
mod hidden;
mod line;
mod list;
mod math;
mod table;
mod tree;

#[cfg(test)]
mod tests;

use domain::document::{Block, Document, LeftOut, Notice};

/// How a page is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The page's title becomes a heading where there is no main heading.
    pub(crate) title: bool,
    /// The source is XML: a tag such as `<title/>` has no content.
    pub(crate) xml: bool,
}

/// The page as blocks. Its title becomes a heading where there is no main heading.
pub fn document(html: &str) -> Document {
    read(html, Options { title: true, xml: html.trim_start().starts_with("<?xml") })
}

/// The page as blocks.
pub fn read(html: &str, options: Options) -> Document {
    let (tree, dropped) = bounded::parse(html, options.xml);
    let mut reader = flow::Reader::new(&tree);
    let mut blocks = reader.blocks(tree::ROOT);
    if options.title && !reader.has_main_heading {
        let title = line::one_line(&title(&tree));
        if !title.is_empty() {
            blocks.insert(0, Block::heading(1, title));
        }
    }
    let counts = [
        (LeftOut::HiddenText, reader.hidden),
        (LeftOut::Pictures, reader.pictures),
        (LeftOut::DeepParts, dropped + reader.deep),
    ];
    let notices = counts.into_iter().filter_map(|(what, count)| Notice::left_out(what, count)).collect();
    Document { blocks, notices, ..Document::default() }
}

fn title(tree: &tree::Tree) -> String {
    let found = tree.descendants(tree::ROOT).find(|&id| tree.name(id) == "title");
    let text = found.map(|id| tree.children(id)).into_iter().flatten();
    text.filter_map(|id| if let tree::Kind::Text(text) = tree.kind(id) { Some(text) } else { None }).collect()
}
