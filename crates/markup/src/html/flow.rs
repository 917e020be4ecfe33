//! The blocks of a page.

use domain::document::{Block, BlockKind, Inline};

use super::{
    hidden::{self, Hidden},
    line,
    tree::{Kind, Tree},
};

/// How deep the reader goes; below, it takes the text.
const MAX_DEPTH: usize = 1500;

/// Walks the tree.
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    /// By node: whether a block is in it.
    holds_block: Vec<bool>,
    pub(super) depth: usize,
    /// The styles that the words being read stand in.
    pub(super) styles: u8,
    /// Whether there was a heading of level 1.
    pub(super) has_main_heading: bool,
    /// Hidden elements with text.
    pub(super) hidden: usize,
    /// Pictures without a description.
    pub(super) pictures: usize,
    /// Elements that are too deep.
    pub(super) deep: usize,
}

/// Blocks, and the line that is still open.
#[derive(Default)]
pub(super) struct Flow {
    pub(super) blocks: Vec<Block>,
    line: Vec<Inline>,
}

impl Flow {
    /// Ends the open line.
    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line::is_blank(&line) {
            self.blocks.push(BlockKind::Paragraph(line).into());
        }
    }

    fn push(&mut self, kind: BlockKind) {
        self.flush();
        self.blocks.push(kind.into());
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        let mut holds_block = vec![false; tree.len()];
        for id in tree.descendants(super::tree::ROOT) {
            if !starts_block(tree, id) {
                continue;
            }
            // Ends at the first ancestor that knows already.
            let mut above = tree.parent(id);
            while let Some(at) = above.filter(|&at| !holds_block[at as usize]) {
                holds_block[at as usize] = true;
                above = tree.parent(at);
            }
        }
        Self { tree, holds_block, depth: 0, styles: 0, has_main_heading: false, hidden: 0, pictures: 0, deep: 0 }
    }

    /// The blocks in a node.
    pub(super) fn blocks(&mut self, id: u32) -> Vec<Block> {
        let mut flow = Flow::default();
        self.children(id, &mut flow);
        flow.flush();
        flow.blocks
    }

    /// Whether this place is too deep; counted.
    pub(super) fn too_deep(&mut self) -> bool {
        let deep = self.depth >= MAX_DEPTH;
        self.deep += usize::from(deep);
        deep
    }

    /// Whether the page does not show the element; counted if there is text in it.
    pub(super) fn is_hidden(&mut self, id: u32) -> bool {
        let hidden = hidden::of(self.tree, id);
        if hidden == Some(Hidden::Text) {
            let blank = |id| !matches!(self.tree.kind(id), Kind::Text(text) if !text.trim().is_empty());
            // The content of a template is no part of the tree.
            self.hidden += usize::from(self.tree.name(id) == "template" || !self.tree.descendants(id).all(blank));
        }
        hidden.is_some()
    }

    pub(super) fn children(&mut self, id: u32, flow: &mut Flow) {
        if self.too_deep() {
            let text = self.text(id);
            line::push(&mut flow.line, &text);
            return;
        }
        let tree = self.tree;
        self.depth += 1;
        for child in tree.children(id) {
            self.node(child, flow);
        }
        self.depth -= 1;
    }

    fn node(&mut self, id: u32, flow: &mut Flow) {
        let Kind::Html(name) = self.tree.kind(id) else { return self.inline(id, &mut flow.line) };
        if !self.holds_block[id as usize] && !starts_block(self.tree, id) {
            return self.inline(id, &mut flow.line);
        }
        if self.is_hidden(id) {
            return;
        }
        if let Some(level) = self.heading_level(id, name) {
            let text = self.words(id);
            self.has_main_heading |= name == "h1" && !line::is_blank(&text);
            return flow.push(BlockKind::Heading { level, text });
        }
        match name {
            "hr" => flow.flush(),
            "ul" | "ol" | "menu" | "dir" => {
                let list = self.list(id);
                flow.push(list);
            }
            // An item without a list.
            "li" => {
                let item = self.item(id, None);
                flow.flush();
                match flow.blocks.last_mut().map(|block| &mut block.kind) {
                    Some(BlockKind::List(items)) => items.push(item),
                    _ => flow.push(BlockKind::List(vec![item])),
                }
            }
            "dl" => {
                let list = self.definitions(id);
                flow.push(list);
            }
            "table" => {
                flow.flush();
                let blocks = self.table(id);
                flow.blocks.extend(blocks);
            }
            "pre" | "listing" | "xmp" | "plaintext" => {
                let text = self.text(id);
                flow.push(BlockKind::Code(text));
            }
            "blockquote" => {
                let blocks = self.blocks(id);
                flow.push(BlockKind::Quote(blocks));
            }
            "summary" | "legend" => {
                let blocks = self.blocks(id);
                flow.flush();
                flow.blocks.extend(restyled(blocks, &Inline::Strong));
            }
            "b" | "strong" => self.styled_blocks(id, flow, &Inline::Strong),
            "a" => {
                let target = self.tree.attribute(id, "href").unwrap_or_default().trim().to_owned();
                self.styled_blocks(id, flow, &|text| Inline::Link { target: target.clone(), text });
            }
            "textarea" | "select" => self.inline(id, &mut flow.line),
            // What holds blocks within a line, and is no block itself.
            name if !is_block(name) && !shown_as_block(self.tree, id) => self.children(id, flow),
            _ => {
                flow.flush();
                match self.sole_picture(id) {
                    Some(picture) => {
                        let description = self.alternative(picture);
                        flow.push(BlockKind::Picture(description));
                    }
                    None => self.children(id, flow),
                }
                flow.flush();
            }
        }
    }

    fn styled_blocks(&mut self, id: u32, flow: &mut Flow, style: &dyn Fn(Vec<Inline>) -> Inline) {
        flow.flush();
        let blocks = self.blocks(id);
        flow.blocks.extend(restyled(blocks, style));
    }

    fn heading_level(&self, id: u32, name: &str) -> Option<u8> {
        match name.as_bytes() {
            [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
            _ if self.tree.attribute(id, "role") == Some("heading") => {
                let level = self.tree.attribute(id, "aria-level").and_then(|level| level.trim().parse().ok());
                Some(level.unwrap_or(2_u8).clamp(1, 6))
            }
            _ => None,
        }
    }

    /// The picture that is all that the block shows.
    fn sole_picture(&self, id: u32) -> Option<u32> {
        let mut at = id;
        loop {
            if self.tree.name(at) == "img" {
                return Some(at);
            }
            let mut shown = self.tree.children(at).filter(|&child| match self.tree.kind(child) {
                Kind::Text(text) => !text.trim().is_empty(),
                Kind::Html("source") => false,
                _ => true,
            });
            at = shown.next()?;
            if shown.next().is_some() || hidden::of(self.tree, at).is_some() {
                return None;
            }
        }
    }
}

/// The blocks with their words in a style.
fn restyled(mut blocks: Vec<Block>, style: &dyn Fn(Vec<Inline>) -> Inline) -> Vec<Block> {
    for block in &mut blocks {
        if let BlockKind::Paragraph(text) | BlockKind::Heading { text, .. } = &mut block.kind
            && !matches!(text.as_slice(), [Inline::Strong(_) | Inline::Link { .. }])
        {
            *text = vec![style(std::mem::take(text))];
        }
    }
    blocks
}

/// Whether a block begins with this node.
fn starts_block(tree: &Tree, id: u32) -> bool {
    match tree.kind(id) {
        Kind::Html(name) => is_block(name) || tree.attribute(id, "role") == Some("heading") || shown_as_block(tree, id),
        _ => false,
    }
}

/// Whether a style makes the element a block.
fn shown_as_block(tree: &Tree, id: u32) -> bool {
    let blocks = |(name, value): (String, String)| {
        name == "display" && matches!(&*value, "block" | "flex" | "grid" | "list-item" | "flow-root" | "table")
    };
    tree.attribute(id, "style").is_some_and(|style| hidden::declarations(style).any(blocks))
}

/// Whether browsers show the element as a block.
pub(super) fn is_block(name: &str) -> bool {
    const BLOCKS: [&str; 61] = [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "frameset",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "listing",
        "main",
        "menu",
        "nav",
        "ol",
        "optgroup",
        "option",
        "p",
        "plaintext",
        "pre",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "xmp",
        "head",
        "title",
        "noscript",
        "template",
        "frame",
        "marquee",
        "noframes",
    ];
    BLOCKS.contains(&name)
}
