//! Parses a page in linear time: bounds what a hostile page can make html5ever repeat.
//!
//! - html5ever compares each attribute of a tag with all before it: surplus ones are cut from the source.
//! - Each tag is looked up in the stack of open elements: tags below [`MAX_DEPTH`] are dropped, their text stays.
//! - Open formatting elements are opened again in each new block: without attributes, the HTML standard bounds them to
//!   three of a kind.
//! - Elements beyond [`MAX_NODES`] are dropped.

mod source;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use html5ever::{
    LocalName, TokenizerResult,
    buffer_queue::BufferQueue,
    tendril::StrTendril,
    tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink},
};

use super::tree::{Handle, Sink, Tree, is_void};

/// How deep elements may be nested; browsers stop at 512.
const MAX_DEPTH: u32 = 256;
/// The most nodes of a tree: about 200 MB.
const MAX_NODES: usize = 2_000_000;

/// The page's tree, and how many elements were dropped. `xml`: a tag such as `<title/>` has no content.
pub(super) fn parse(html: &str, xml: bool) -> (Tree, usize) {
    let builder = TreeBuilder::new(Sink::new(), TreeBuilderOpts::default());
    let filter = Filter { builder, xml, dropped: Cell::new(0), open: RefCell::default() };
    let tokenizer = Tokenizer::new(filter, TokenizerOpts::default());
    let input = BufferQueue::default();
    for piece in source::pieces(html) {
        input.push_back(StrTendril::from_slice(piece));
    }
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    let dropped = tokenizer.sink.dropped.get();
    (tokenizer.sink.builder.sink.finish(), dropped)
}

/// Stands between tokenizer and tree builder.
struct Filter {
    builder: TreeBuilder<Handle, Sink>,
    xml: bool,
    /// Start tags that were dropped.
    dropped: Cell<usize>,
    /// Of these, by name, those whose end tags are still to come.
    open: RefCell<HashMap<LocalName, usize>>,
}

impl Filter {
    /// Whether the tree builder gets the tag.
    fn passes(&self, tag: &Tag) -> bool {
        if tag.kind == TagKind::EndTag {
            return match self.open.borrow_mut().get_mut(&tag.name) {
                Some(open) if *open > 0 => {
                    *open -= 1;
                    false
                }
                _ => true,
            };
        }
        let sink = &self.builder.sink;
        // The tree builder must see what changes the tokenizer's state.
        let full = sink.len() >= MAX_NODES || sink.depth() >= MAX_DEPTH && !is_void(&tag.name);
        if !full || is_raw(&tag.name) && sink.len() < 2 * MAX_NODES {
            return true;
        }
        self.dropped.set(self.dropped.get() + 1);
        if !is_void(&tag.name) && !tag.self_closing {
            *self.open.borrow_mut().entry(tag.name.clone()).or_default() += 1;
        }
        false
    }
}

impl TokenSink for Filter {
    type Handle = Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Handle> {
        let Token::TagToken(mut tag) = token else { return self.builder.process_token(token, line) };
        if self.xml && tag.self_closing && !is_void(&tag.name) && !self.in_foreign() && !is_foreign(&tag.name) {
            return TokenSinkResult::Continue;
        }
        if !self.passes(&tag) {
            // Words in front of the tag and after it stay apart.
            return self.builder.process_token(Token::CharacterTokens(StrTendril::from_char('\n')), line);
        }
        if is_formatting(&tag.name) {
            tag.attrs.retain(|attribute| match &*attribute.name.local {
                "href" => &*tag.name == "a",
                "style" => super::hidden::by_style(&attribute.value),
                name => name == "hidden",
            });
            for attribute in &mut tag.attrs {
                if &*attribute.name.local == "style" {
                    attribute.value = "display:none".into();
                }
            }
        }
        self.builder.process_token(Token::TagToken(tag), line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.in_foreign()
    }
}

impl Filter {
    fn in_foreign(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

fn is_foreign(name: &str) -> bool {
    matches!(name, "svg" | "math")
}

/// Elements whose content is no markup.
fn is_raw(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "title"
            | "textarea"
            | "xmp"
            | "iframe"
            | "noembed"
            | "noframes"
            | "noscript"
            | "plaintext"
    )
}

/// The HTML standard's formatting elements.
fn is_formatting(name: &str) -> bool {
    matches!(
        name,
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "nobr" | "s" | "small" | "strike" | "strong" | "tt" | "u"
    )
}
