//! Reads Word documents (WordprocessingML): any part names, any prefixes, Transitional and Strict.
//!
//! Tracked changes are read as accepted. Notes and comments stand after the block that holds their marks; headers and
//! footers stand once, headers at the top of their section and footers at the end.

mod blocks;
mod drawing;
mod embedded;
mod fields;
mod numbering;
mod runs;
mod sections;
mod styles;

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use domain::document::{Block, Document, LeftOut, Notice};

use fields::Field;
use numbering::Numbering;
use reading::{
    fault::Fault,
    package::{Package, Relationship, by_id},
    xml::{Node, Tree},
};
use styles::Styles;

/// Elements nest down to this depth; what is nested more deeply is read as plain text.
const MAX_DEPTH: usize = 1000;
/// A document within a document within … is read down to this depth.
const MAX_EMBEDDED: usize = 3;

/// Reads the document.
pub fn read(bytes: &[u8]) -> Result<Document, Fault> {
    read_embedded(bytes, 0)
}

fn read_embedded(bytes: &[u8], embedded: usize) -> Result<Document, Fault> {
    let mut package = Package::open(bytes)?;
    let main = package.main_part()?.unwrap_or_else(|| "word/document.xml".into());
    let mut reader = Reader::new(&mut package, &main)?;
    reader.embedded = embedded;
    let xml = reader.package.xml(&main)?.ok_or(Fault::Corrupt)?;
    let tree = Tree::parse(&xml)?;
    tree.root().child("body").ok_or(Fault::Corrupt)?;
    let mut blocks = Vec::new();
    for body in tree.root().all("body") {
        blocks.extend(reader.document(body)?);
    }
    let left_out = [
        (LeftOut::HiddenText, reader.hidden),
        (LeftOut::Pictures, reader.pictures),
        (LeftOut::Attachments, reader.attachments),
        (LeftOut::DeepParts, reader.deep),
    ];
    let notices = left_out.into_iter().filter_map(|(what, count)| Notice::left_out(what, count)).collect();
    Ok(Document { blocks, notices, ..Document::default() })
}

/// A footnote, endnote or comment.
#[derive(Debug, Default)]
struct Note {
    by: String,
    blocks: Vec<Block>,
}

/// Reads the parts of one document.
struct Reader<'r, 'p> {
    package: &'r mut Package<'p>,
    /// The relationships of the part that is being read.
    links: BTreeMap<String, Relationship>,
    styles: Styles,
    numbering: Numbering,
    footnotes: HashMap<String, Note>,
    endnotes: HashMap<String, Note>,
    comments: HashMap<String, Note>,
    footnotes_seen: u32,
    endnotes_seen: u32,
    /// Notes and comments whose marks have been read.
    waiting: Vec<Block>,
    /// The fields that are open.
    fields: Vec<Field>,
    /// The targets of the links that are open.
    targets: Vec<Rc<str>>,
    /// Whether a header or footer is being read.
    at_edge: bool,
    depth: usize,
    /// How many tables are open.
    tables: usize,
    embedded: usize,
    hidden: usize,
    pictures: usize,
    attachments: usize,
    deep: usize,
}

impl<'r, 'p> Reader<'r, 'p> {
    /// A reader of the package's main part, with styles, numbering and notes read.
    fn new(package: &'r mut Package<'p>, main: &str) -> Result<Self, Fault> {
        let links = by_id(package.relationships(main)?);
        let mut reader = Self {
            package,
            links,
            styles: Styles::default(),
            numbering: Numbering::default(),
            footnotes: HashMap::new(),
            endnotes: HashMap::new(),
            comments: HashMap::new(),
            footnotes_seen: 0,
            endnotes_seen: 0,
            waiting: Vec::new(),
            fields: Vec::new(),
            targets: Vec::new(),
            at_edge: false,
            depth: 0,
            tables: 0,
            embedded: 0,
            hidden: 0,
            pictures: 0,
            attachments: 0,
            deep: 0,
        };
        if let Some(xml) = reader.xml_of_kind("styles")? {
            reader.styles = Styles::of(Tree::parse(&xml)?.root());
        }
        if let Some(xml) = reader.xml_of_kind("numbering")? {
            reader.numbering = Numbering::of(Tree::parse(&xml)?.root());
        }
        reader.footnotes = reader.notes("footnotes")?;
        reader.endnotes = reader.notes("endnotes")?;
        reader.comments = reader.notes("comments")?;
        Ok(reader)
    }

    /// The name of the main part's related part of this kind.
    fn part_of_kind(&self, kind: &str) -> Option<String> {
        self.links.values().find(|link| link.kind == kind && !link.external).map(|link| link.target.clone())
    }

    fn xml_of_kind(&mut self, kind: &str) -> Result<Option<String>, Fault> {
        self.part_of_kind(kind).map_or(Ok(None), |part| self.package.xml(&part))
    }

    /// The notes of the related part of this kind, by their ids.
    fn notes(&mut self, kind: &str) -> Result<HashMap<String, Note>, Fault> {
        let mut notes = HashMap::new();
        let Some(part) = self.part_of_kind(kind) else { return Ok(notes) };
        self.part(&part, |reader, root| {
            for note in root.children() {
                // Lines that separate the notes from the text have a type.
                if note.attr("type").is_none_or(|kind| kind == "normal") {
                    let by = note.attr("author").unwrap_or_default().trim().to_owned();
                    let blocks = reader.blocks(note)?;
                    notes.insert(note.attr("id").unwrap_or_default().into_owned(), Note { by, blocks });
                }
            }
            Ok(())
        })?;
        Ok(notes)
    }

    /// Reads a part with its own relationships. Nothing is read if there is no such part.
    fn part(&mut self, name: &str, read: impl FnOnce(&mut Self, Node<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let Some(xml) = self.package.xml(name)? else { return Ok(()) };
        let tree = Tree::parse(&xml)?;
        let links = by_id(self.package.relationships(name)?);
        let links = std::mem::replace(&mut self.links, links);
        let fields = std::mem::take(&mut self.fields);
        let targets = std::mem::take(&mut self.targets);
        let done = read(self, tree.root());
        (self.links, self.fields, self.targets) = (links, fields, targets);
        done
    }

    /// The relationship of the part that is being read with this id.
    fn link(&self, id: &str) -> Option<Relationship> {
        self.links.get(id).cloned()
    }

    /// Whether `read` may go one level deeper. Counts what is nested too deeply.
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
