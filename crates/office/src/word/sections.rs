//! The document as a whole: its sections with their headers and footers.

use std::collections::{HashMap, HashSet};

use domain::document::{Block, Document};

use super::Reader;
use reading::{
    building::flow::Flow,
    fault::Fault,
    render,
    xml::{Node, Tree},
};

/// The parts of headers and footers of a section, by their place and kind: `("header", "first")`.
type Edges = HashMap<(&'static str, String), String>;

impl Reader<'_, '_> {
    /// The blocks of the whole document.
    pub(super) fn document(&mut self, body: Node<'_>) -> Result<Vec<Block>, Fault> {
        let even = self.has_even_pages()?;
        let mut sections: Vec<Node<'_>> = Vec::new();
        for section in body.descendants().filter(|node| node.is("sectPr")) {
            // Properties from before a tracked change stand within the present ones.
            if sections.last().is_none_or(|last| !section.is_within(*last)) {
                sections.push(section);
            }
        }
        let mut sections = sections.into_iter().peekable();
        let mut edges = Edges::new();
        let mut seen = HashSet::new();
        let mut flow = Flow::default();
        let mut footers = Vec::new();
        let mut begins = true;
        for block in body.children() {
            if let Some(section) = sections.peek().filter(|_| begins) {
                self.take_edges(*section, &mut edges);
                let first = section.on("titlePg").unwrap_or(false);
                for header in self.edges("header", &edges, first, even, &mut seen)? {
                    flow.push(header);
                }
                footers.extend(self.edges("footer", &edges, first, even, &mut seen)?);
            }
            self.block(block, &mut flow)?;
            // A section ends with the paragraph that holds its properties.
            begins = false;
            while let Some(section) = sections.next_if(|section| section.is_within(block)) {
                self.take_edges(section, &mut edges);
                begins = true;
            }
        }
        flow.after(std::mem::take(&mut self.waiting));
        footers.into_iter().for_each(|footer| flow.push(footer));
        Ok(flow.finish())
    }

    /// Notes the headers and footers that the section names; it has those of the section before where it names none.
    fn take_edges(&self, section: Node<'_>, edges: &mut Edges) {
        for reference in section.children() {
            let place = match reference.name() {
                "headerReference" => "header",
                "footerReference" => "footer",
                _ => continue,
            };
            let kind = reference.attr("type").unwrap_or("default".into()).into_owned();
            if let Some(link) = reference.attr("id").and_then(|id| self.link(&id)) {
                edges.insert((place, kind), link.target);
            }
        }
    }

    /// The headers or footers of a section whose texts are new.
    fn edges(
        &mut self,
        place: &'static str,
        edges: &Edges,
        first: bool,
        even: bool,
        seen: &mut HashSet<String>,
    ) -> Result<Vec<Block>, Fault> {
        let mut found = Vec::new();
        for (kind, is_used) in [("first", first), ("default", true), ("even", even)] {
            let Some(part) = edges.get(&(place, kind.to_owned())).filter(|_| is_used) else { continue };
            // The same part is not read for each section.
            if !seen.insert(format!("part {part}")) {
                continue;
            }
            let mut blocks = Vec::new();
            self.at_edge = true;
            let done = self.part(part, |reader, root| {
                blocks = reader.blocks(root)?;
                Ok(())
            });
            self.at_edge = false;
            done?;
            let document = Document { blocks, ..Document::default() };
            if seen.insert(render::tidy_markdown(&document)) {
                found.extend(document.blocks);
            }
        }
        Ok(found)
    }

    fn has_even_pages(&mut self) -> Result<bool, Fault> {
        let Some(xml) = self.xml_of_kind("settings")? else { return Ok(false) };
        Ok(Tree::parse(&xml)?.root().on("evenAndOddHeaders").unwrap_or(false))
    }
}
