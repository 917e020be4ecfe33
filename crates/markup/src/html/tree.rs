//! The tree of a page, in one vector: nodes name each other by index.
//!
//! html5ever's tree builder makes it. Only what the readers look at is kept: comments are not, nor most attributes.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use html5ever::{
    Attribute, ExpandedName, LocalName, QualName, local_name, ns,
    tendril::StrTendril,
    tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink},
};

/// No node.
const NONE: u32 = u32::MAX;
/// The document itself.
pub(super) const ROOT: u32 = 0;

/// A finished tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    first: u32,
    last: u32,
    previous: u32,
    next: u32,
    depth: u32,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// The document, or the content of a template.
    Fragment,
    Text(StrTendril),
    Element(Rc<QualName>, Vec<(LocalName, StrTendril)>),
}

/// A node of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Text.
    Text(&'a str),
    /// An element of HTML, by its name.
    Html(&'a str),
    /// An element of MathML.
    Math(&'a str),
    /// An element of SVG.
    Svg(&'a str),
    /// Anything else.
    Other,
}

impl Tree {
    /// What a node is.
    pub(super) fn kind(&self, id: u32) -> Kind<'_> {
        match &self.node(id).data {
            Data::Fragment => Kind::Other,
            Data::Text(text) => Kind::Text(text),
            Data::Element(name, _) if name.ns == ns!(html) => Kind::Html(&name.local),
            Data::Element(name, _) if name.ns == ns!(mathml) => Kind::Math(&name.local),
            Data::Element(name, _) if name.ns == ns!(svg) => Kind::Svg(&name.local),
            Data::Element(..) => Kind::Other,
        }
    }

    /// The name of an element of HTML; empty for any other node.
    pub(super) fn name(&self, id: u32) -> &str {
        match self.kind(id) {
            Kind::Html(name) => name,
            _ => "",
        }
    }

    /// The children, in order.
    pub(super) fn children(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.node(id).first;
        std::iter::from_fn(move || {
            let found = (at != NONE).then_some(at)?;
            at = self.node(found).next;
            Some(found)
        })
    }

    /// The node and all below it, each before its children.
    pub(super) fn descendants(&self, top: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = Some(top);
        std::iter::from_fn(move || {
            let found = next?;
            next = self.after(found, top, true);
            Some(found)
        })
    }

    /// The node that follows `id` below `top`: its first child if `into`, else what follows the node and all below it.
    pub(super) fn after(&self, id: u32, top: u32, into: bool) -> Option<u32> {
        let first = self.node(id).first;
        if into && first != NONE {
            return Some(first);
        }
        let mut at = id;
        while at != top {
            let node = self.node(at);
            if node.next != NONE {
                return Some(node.next);
            }
            at = node.parent;
        }
        None
    }

    /// The node that holds this one.
    pub(super) fn parent(&self, id: u32) -> Option<u32> {
        let parent = self.node(id).parent;
        (parent != NONE).then_some(parent)
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, id: u32, name: &str) -> Option<&str> {
        match &self.node(id).data {
            Data::Element(_, attributes) => {
                attributes.iter().find(|(found, _)| &**found == name).map(|(_, value)| &**value)
            }
            _ => None,
        }
    }

    fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }
}

/// A node's index with its name, which the tree builder asks for most.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    id: u32,
    name: Rc<QualName>,
}

/// Takes what the tree builder says.
#[derive(Debug)]
pub(super) struct Sink {
    nodes: RefCell<Vec<Node>>,
    templates: RefCell<HashMap<u32, Handle>>,
    no_name: Rc<QualName>,
    /// How deep the last opened element stands.
    depth: Cell<u32>,
}

impl Sink {
    pub(super) fn new() -> Self {
        let no_name = Rc::new(QualName::new(None, ns!(), local_name!("")));
        let root = Node::new(Data::Fragment);
        Self { nodes: RefCell::new(vec![root]), templates: RefCell::default(), no_name, depth: Cell::new(0) }
    }

    /// How deep the next element would stand.
    pub(super) fn depth(&self) -> u32 {
        self.depth.get()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    fn add(&self, data: Data) -> u32 {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node::new(data));
        u32::try_from(nodes.len() - 1).unwrap_or(NONE - 1)
    }

    /// Puts `child` below `parent`: before `before`, or last.
    fn insert(&self, parent: u32, before: u32, child: NodeOrText<Handle>) {
        let text = match child {
            NodeOrText::AppendNode(child) => {
                self.detach(child.id);
                self.link(parent, before, child.id);
                return;
            }
            NodeOrText::AppendText(text) => text,
        };
        let previous = {
            let nodes = self.nodes.borrow();
            if before == NONE { nodes[parent as usize].last } else { nodes[before as usize].previous }
        };
        if previous != NONE
            && let Data::Text(words) = &mut self.nodes.borrow_mut()[previous as usize].data
        {
            words.push_tendril(&text);
            return;
        }
        let id = self.add(Data::Text(text));
        self.link(parent, before, id);
    }

    fn link(&self, parent: u32, before: u32, id: u32) {
        let mut nodes = self.nodes.borrow_mut();
        let depth = nodes[parent as usize].depth + 1;
        let previous = if before == NONE { nodes[parent as usize].last } else { nodes[before as usize].previous };
        match previous {
            NONE => nodes[parent as usize].first = id,
            previous => nodes[previous as usize].next = id,
        }
        match before {
            NONE => nodes[parent as usize].last = id,
            before => nodes[before as usize].previous = id,
        }
        let node = &mut nodes[id as usize];
        (node.parent, node.previous, node.next, node.depth) = (parent, previous, before, depth);
        if let Data::Element(name, _) = &node.data
            && !is_void(&name.local)
        {
            self.depth.set(depth);
        }
    }

    fn detach(&self, id: u32) {
        let mut nodes = self.nodes.borrow_mut();
        let Node { parent, previous, next, .. } = nodes[id as usize];
        if parent == NONE {
            return;
        }
        match previous {
            NONE => nodes[parent as usize].first = next,
            previous => nodes[previous as usize].next = next,
        }
        match next {
            NONE => nodes[parent as usize].last = previous,
            next => nodes[next as usize].previous = previous,
        }
        let node = &mut nodes[id as usize];
        (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
    }
}

impl Node {
    fn new(data: Data) -> Self {
        Self { parent: NONE, first: NONE, last: NONE, previous: NONE, next: NONE, depth: 0, data }
    }
}

/// Whether an element never has content.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Whether the readers look at an attribute.
fn is_kept(name: &str) -> bool {
    const KEPT: [&str; 24] = [
        "alt",
        "alttext",
        "aria-level",
        "checked",
        "class",
        "colspan",
        "data-latex",
        "encoding",
        "hidden",
        "href",
        "label",
        "multiple",
        "open",
        "reversed",
        "role",
        "rowspan",
        "scope",
        "selected",
        "src",
        "start",
        "style",
        "title",
        "type",
        "value",
    ];
    KEPT.contains(&name)
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Tree;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Tree {
        Tree { nodes: self.nodes.into_inner() }
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { id: ROOT, name: Rc::clone(&self.no_name) }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> Handle {
        let name = Rc::new(name);
        let attributes = attributes.into_iter().filter(|attribute| is_kept(&attribute.name.local));
        let attributes = attributes.map(|attribute| (attribute.name.local, attribute.value)).collect();
        Handle { id: self.add(Data::Element(Rc::clone(&name), attributes)), name }
    }

    fn create_comment(&self, _text: StrTendril) -> Handle {
        Handle { id: NONE, name: Rc::clone(&self.no_name) }
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Handle {
        Handle { id: NONE, name: Rc::clone(&self.no_name) }
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        if !is_comment(&child) {
            self.insert(parent.id, NONE, child);
        }
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        let has_parent = self.nodes.borrow()[element.id as usize].parent != NONE;
        if has_parent {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn pop(&self, node: &Handle) {
        let depth = self.nodes.borrow()[node.id as usize].depth;
        self.depth.set(depth.saturating_sub(1));
    }

    fn get_template_contents(&self, target: &Handle) -> Handle {
        let mut templates = self.templates.borrow_mut();
        let content = templates
            .entry(target.id)
            .or_insert_with(|| Handle { id: self.add(Data::Fragment), name: Rc::clone(&self.no_name) });
        content.clone()
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.id == other.id
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        let parent = self.nodes.borrow()[sibling.id as usize].parent;
        if parent != NONE && !is_comment(&child) {
            self.insert(parent, sibling.id, child);
        }
    }

    fn add_attrs_if_missing(&self, _target: &Handle, _attributes: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut child = self.nodes.borrow()[node.id as usize].first;
        while child != NONE {
            let next = self.nodes.borrow()[child as usize].next;
            self.detach(child);
            self.link(new_parent.id, NONE, child);
            child = next;
        }
    }
}

fn is_comment(child: &NodeOrText<Handle>) -> bool {
    matches!(child, NodeOrText::AppendNode(node) if node.id == NONE)
}
