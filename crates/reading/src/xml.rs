//! An XML part as a tree. Names are without their prefixes: files use any prefix, and the readers tell elements of
//! equal names by where they stand.
//!
//! The nodes stand in one vector in the order of the file, so no nesting is too deep to build or to drop. Entities of a
//! document type are not expanded.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{Event, attributes::Attributes},
};

use super::fault::Fault;

/// A parsed part.
pub struct Tree<'x> {
    nodes: Vec<Entry<'x>>,
}

struct Entry<'x> {
    what: What<'x>,
    /// The node after this one's last descendant.
    end: u32,
}

#[derive(Clone, Copy)]
enum What<'x> {
    /// What stands between `<` and `>`; empty for the root.
    Element(&'x str),
    Text(&'x str),
    /// The name of an entity, or the number of a character.
    Reference(&'x str),
}

/// An element of a tree.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    at: u32,
}

/// A child of an element.
pub enum Child<'t> {
    /// An element.
    Element(Node<'t>),
    /// Text between elements.
    Text(Cow<'t, str>),
}

impl<'x> Tree<'x> {
    /// Parses `xml`. An end tag too many or too few does no harm.
    ///
    /// # Errors
    ///
    /// It is no XML.
    pub fn parse(xml: &'x str) -> Result<Self, Fault> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        let mut nodes = vec![Entry { what: What::Element(""), end: 0 }];
        let mut open: Vec<usize> = Vec::new();
        loop {
            let from = position(&reader);
            let event = reader.read_event().map_err(|_damaged| Fault::Corrupt)?;
            let source = xml.get(from..position(&reader)).unwrap_or_default();
            let what = match event {
                Event::Eof => break,
                Event::End(_) => {
                    if let Some(element) = open.pop() {
                        nodes[element].end = index(nodes.len());
                    }
                    continue;
                }
                Event::Start(_) => {
                    open.push(nodes.len());
                    What::Element(source.trim_start_matches('<').trim_end_matches('>'))
                }
                Event::Empty(_) => What::Element(source.trim_start_matches('<').trim_end_matches("/>")),
                Event::Text(_) => What::Text(source),
                Event::CData(_) => What::Text(source.trim_start_matches("<![CDATA[").trim_end_matches("]]>")),
                Event::GeneralRef(_) => What::Reference(source.trim_start_matches('&').trim_end_matches(';')),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            nodes.push(Entry { what, end: index(nodes.len() + 1) });
        }
        let end = index(nodes.len());
        for element in open {
            nodes[element].end = end;
        }
        nodes[0].end = end;
        Ok(Self { nodes })
    }

    /// The outermost element.
    pub fn root(&self) -> Node<'_> {
        let top = Node { tree: self, at: 0 };
        top.children().next().unwrap_or(top)
    }
}

/// Parts are bounded far below 4 GB.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

impl<'t> Node<'t> {
    fn tag(self) -> &'t str {
        match self.tree.nodes[self.at as usize].what {
            What::Element(tag) => tag,
            What::Text(_) | What::Reference(_) => "",
        }
    }

    fn full_name(self) -> &'t str {
        let tag = self.tag();
        tag.split(|c: char| c.is_ascii_whitespace() || c == '/').next().unwrap_or_default()
    }

    /// Its name without its prefix.
    pub fn name(self) -> &'t str {
        let name = self.full_name();
        name.split_once(':').map_or(name, |(_, local)| local)
    }

    /// Whether its name without its prefix is this.
    pub fn is(self, name: &str) -> bool {
        self.name() == name
    }

    fn find_attribute(self, wanted: impl Fn(Option<&str>, &str) -> bool) -> Option<Cow<'t, str>> {
        let mut attributes = Attributes::new(self.tag(), self.full_name().len());
        let attributes = attributes.with_checks(false).flatten();
        for attribute in attributes {
            let (prefix, name) = match attribute.key.0.split_once(':') {
                Some((prefix, name)) => (Some(prefix), name),
                None => (None, attribute.key.0),
            };
            if wanted(prefix, name) {
                let raw = attribute.value;
                return Some(match quick_xml::escape::unescape(&raw).map(Cow::into_owned) {
                    Ok(value) if value != raw => Cow::Owned(value),
                    _ => raw,
                });
            }
        }
        None
    }

    /// The value of the attribute of this name, whatever its prefix.
    pub fn attr(self, name: &str) -> Option<Cow<'t, str>> {
        self.find_attribute(|_, local| local == name)
    }

    /// The value of the attribute of this name that has a prefix: an id of a relationship beside an id of its own.
    pub fn prefixed(self, name: &str) -> Option<Cow<'t, str>> {
        self.find_attribute(|prefix, local| prefix.is_some() && local == name)
    }

    /// The attribute as a number; `None` also if it is none.
    pub fn number<T: std::str::FromStr>(self, name: &str) -> Option<T> {
        self.attr(name)?.trim().parse().ok()
    }

    /// Whether the attribute says yes.
    pub fn flag(self, name: &str) -> Option<bool> {
        self.attr(name).map(|value| is_yes(&value))
    }

    /// The elements directly within it.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        self.content().filter_map(|child| match child {
            Child::Element(node) => Some(node),
            Child::Text(_) => None,
        })
    }

    /// The elements and texts directly within it.
    pub fn content(self) -> impl Iterator<Item = Child<'t>> {
        let (tree, end) = (self.tree, self.end());
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let node = Node { tree, at };
            at = node.end();
            Some(node.as_child())
        })
    }

    fn as_child(self) -> Child<'t> {
        match self.tree.nodes[self.at as usize].what {
            What::Element(_) => Child::Element(self),
            What::Text(text) => Child::Text(Cow::Borrowed(text)),
            What::Reference(name) => Child::Text(resolved(name)),
        }
    }

    /// Whether it stands within `other`.
    pub fn is_within(self, other: Self) -> bool {
        (other.at + 1..other.end()).contains(&self.at)
    }

    fn end(self) -> u32 {
        self.tree.nodes[self.at as usize].end
    }

    /// The first child of this name.
    pub fn child(self, name: &str) -> Option<Node<'t>> {
        self.children().find(|child| child.is(name))
    }

    /// The first child of the first child … of these names.
    pub fn path(self, names: &[&str]) -> Option<Node<'t>> {
        names.iter().try_fold(self, |node, name| node.child(name))
    }

    /// The children of this name.
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = Node<'t>> + use<'t, 'n> {
        self.children().filter(move |child| child.is(name))
    }

    /// The elements within it, at any depth, in the order of the file.
    pub fn descendants(self) -> impl Iterator<Item = Node<'t>> {
        let tree = self.tree;
        (self.at + 1..self.end()).map(move |at| Node { tree, at }).filter(|node| !node.tag().is_empty())
    }

    /// The first element of this name within it, at any depth.
    pub fn find(self, name: &str) -> Option<Node<'t>> {
        self.descendants().find(|node| node.is(name))
    }

    /// All text within it.
    pub fn text(self) -> String {
        let mut text = String::new();
        for at in self.at..self.end() {
            match self.tree.nodes[at as usize].what {
                What::Text(words) => text.push_str(words),
                What::Reference(name) => text.push_str(&resolved(name)),
                What::Element(_) => {}
            }
        }
        text
    }

    /// The attribute `val` of the child `name`.
    pub fn val(self, name: &str) -> Option<Cow<'t, str>> {
        self.child(name)?.attr("val")
    }

    /// Whether the child `name` switches something on; `None` if there is no such child.
    pub fn on(self, name: &str) -> Option<bool> {
        self.child(name).map(|child| child.flag("val").unwrap_or(true))
    }
}

/// Whether a value of a switch is neither `0`, `false` nor `off`.
fn is_yes(value: &str) -> bool {
    !matches!(value.trim(), "0" | "false" | "off" | "none")
}

fn resolved(name: &str) -> Cow<'_, str> {
    quick_xml::escape::unescape(&format!("&{name};")).map_or(Cow::Borrowed(""), |text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name_whatever_their_prefix() {
        let tree = Tree::parse("<?xml version='1.0'?><x:a><y:b v='1' r:v='2'/><b q=\"&lt;\">t<c/>&amp;&#65;</b></x:a>")
            .unwrap();
        let root = tree.root();
        assert_eq!(root.name(), "a");
        let both: Vec<_> = root.all("b").collect();
        assert_eq!((both[0].attr("v").as_deref(), both[0].prefixed("v").as_deref()), (Some("1"), Some("2")));
        assert_eq!((both[1].attr("q").as_deref(), both[1].text().as_str()), (Some("<"), "t&A"));
        assert!(root.find("c").is_some() && root.path(&["b", "c"]).is_none());
    }

    #[test]
    fn a_part_that_ends_early_or_nests_deeply_is_a_tree() {
        let tree = Tree::parse("<a><b>one<c>two").unwrap();
        assert_eq!((tree.root().text().as_str(), tree.root().children().count()), ("onetwo", 1));
        let deep = "<d>".repeat(1_000_000);
        assert_eq!(Tree::parse(&deep).unwrap().root().descendants().count(), 999_999);
        assert!(Tree::parse("").unwrap().root().children().next().is_none());
        assert!(Tree::parse("</a></b><c/>").unwrap().root().is("c"));
    }

    #[test]
    fn entities_of_a_document_type_are_not_expanded() {
        let xml = "<!DOCTYPE a [<!ENTITY x 'boom'>]><a>1&x;2</a>";
        assert_eq!(Tree::parse(xml).unwrap().root().text(), "12");
    }
}
