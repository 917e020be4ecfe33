//! What belongs to a slide beside it: comments, with their replies, and speaker notes.

use std::collections::BTreeMap;

use domain::document::{AsideKind, Block, BlockKind};

use super::{Reader, layouts::placeholder_of};
use crate::ooxml;
use reading::{
    fault::Fault,
    package::{Relationship, by_id},
    xml::{Node, Tree},
};

impl Reader<'_, '_> {
    /// Reads the authors of comments, of both kinds.
    pub(super) fn read_authors(&mut self, links: &BTreeMap<String, Relationship>) -> Result<(), Fault> {
        for link in links.values().filter(|link| matches!(link.kind.as_str(), "commentAuthors" | "authors")) {
            let Some(xml) = self.package.xml(&link.target)? else { continue };
            for author in Tree::parse(&xml)?.root().children() {
                let attr = |name| author.attr(name).unwrap_or_default().into_owned();
                self.authors.insert(attr("id"), attr("name"));
            }
        }
        Ok(())
    }

    /// The comments in this part.
    pub(super) fn comments(&mut self, part: &str) -> Result<Vec<Block>, Fault> {
        let Some(xml) = self.package.xml(part)? else { return Ok(Vec::new()) };
        let tree = Tree::parse(&xml)?;
        let comments = tree.root().descendants().filter(|node| node.is("cm") || node.is("reply"));
        Ok(comments.filter_map(|comment| self.comment(comment)).collect())
    }

    fn comment(&self, comment: Node<'_>) -> Option<Block> {
        let by = comment.attr("authorId").and_then(|id| self.authors.get(&*id)).cloned().unwrap_or_default();
        let blocks = match comment.child("text") {
            Some(text) => vec![Block::paragraph(text.text())],
            None => ooxml::plain_paragraphs(comment.child("txBody")?),
        };
        Some(BlockKind::Aside { kind: AsideKind::Comment, by, blocks }.into())
    }

    /// The speaker notes in this part.
    pub(super) fn notes(&mut self, part: &str) -> Result<Option<Block>, Fault> {
        let Some(xml) = self.package.xml(part)? else { return Ok(None) };
        let tree = Tree::parse(&xml)?;
        self.links = by_id(self.package.relationships(part)?);
        let mut blocks = Vec::new();
        for shape in tree.root().descendants().filter(|node| node.is("sp")) {
            let is_text = placeholder_of(shape).is_none_or(|(kind, _)| matches!(kind.as_str(), "body" | "obj"));
            if let Some(body) = shape.child("txBody").filter(|_| is_text) {
                blocks.extend(self.text(body, &[]));
            }
        }
        let notes = |blocks| BlockKind::Aside { kind: AsideKind::SpeakerNotes, by: String::new(), blocks }.into();
        Ok((!blocks.is_empty()).then(|| notes(blocks)))
    }
}
