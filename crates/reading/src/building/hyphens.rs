//! Hyphens at the ends of lines: whether a word was only divided there (“dam-age”), or has a hyphen (“well-known”).

use std::collections::HashSet;

use domain::document::{Block, BlockKind, Inline};

/// Stands where a line ended with a hyphen between two lower-case letters, until [`resolve`] has seen the whole document.
pub const DIVISION: char = '\u{2}';

/// First parts that keep their hyphen where the document does not write the word elsewhere.
const PREFIXES: [&str; 3] = ["self", "well", "non"];
/// The fewest letters of a second part that such a first part keeps its hyphen for.
const MIN_SECOND: usize = 4;

/// Decides each division by how the document writes the word elsewhere; most divided words have no hyphen of their own.
pub fn resolve(blocks: &mut [Block]) {
    let mut words = Words::default();
    let mut divided = false;
    each_text(blocks, &mut |text| {
        divided |= text.contains(DIVISION);
        words.add(text);
    });
    if divided {
        each_text(blocks, &mut |text| {
            if text.contains(DIVISION) {
                *text = words.resolved(text);
            }
        });
    }
}

/// The words of a document that no line divides, in lower case: those with hyphens, and those without.
#[derive(Default)]
struct Words {
    plain: HashSet<String>,
    hyphenated: HashSet<String>,
}

impl Words {
    fn add(&mut self, text: &str) {
        for word in text.split(|c: char| !is_of_word(c)).filter(|word| !word.contains(DIVISION)) {
            let known = if word.contains('-') { &mut self.hyphenated } else { &mut self.plain };
            if !word.is_empty() && !known.contains(word) {
                known.insert(word.to_lowercase());
            }
        }
    }

    fn resolved(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split(DIVISION).peekable();
        while let Some(part) = parts.next() {
            out.push_str(part);
            let Some(next) = parts.peek() else { break };
            let first = out.rsplit(|c: char| !is_of_word(c)).next().unwrap_or_default().to_lowercase();
            let second = next.split(|c: char| !is_of_word(c)).next().unwrap_or_default().to_lowercase();
            if self.has_hyphen(&first, &second) {
                out.push('-');
            }
        }
        out
    }

    fn has_hyphen(&self, first: &str, second: &str) -> bool {
        if self.plain.contains(&format!("{first}{second}")) {
            return false;
        }
        let is_compound = PREFIXES.contains(&first) && second.chars().count() >= MIN_SECOND;
        self.hyphenated.contains(&format!("{first}-{second}")) || is_compound
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == DIVISION
}

/// Shows `see` each text of the blocks that words stand in.
fn each_text(blocks: &mut [Block], see: &mut dyn FnMut(&mut String)) {
    for block in blocks {
        match &mut block.kind {
            BlockKind::Heading { text, .. } | BlockKind::Paragraph(text) => each_inline(text, see),
            BlockKind::List(items) => items.iter_mut().for_each(|item| each_text(&mut item.blocks, see)),
            BlockKind::Table(table) => {
                each_inline(&mut table.caption, see);
                table.rows.iter_mut().flatten().for_each(|cell| each_text(&mut cell.blocks, see));
            }
            BlockKind::Quote(blocks) | BlockKind::Footnote { blocks, .. } | BlockKind::Aside { blocks, .. } => {
                each_text(blocks, see);
            }
            BlockKind::Code(text) => see(text),
            BlockKind::Page(_)
            | BlockKind::Formula(_)
            | BlockKind::Picture(_)
            | BlockKind::PictureFile { .. }
            | BlockKind::Markdown(_) => {}
        }
    }
}

fn each_inline(inlines: &mut [Inline], see: &mut dyn FnMut(&mut String)) {
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Superscript(text) | Inline::Subscript(text) | Inline::Code(text) => see(text),
            Inline::Strong(inner)
            | Inline::Emphasis(inner)
            | Inline::Deleted(inner)
            | Inline::Link { text: inner, .. } => {
                each_inline(inner, see);
            }
            Inline::LineBreak | Inline::Formula(_) | Inline::NoteRef(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divided_word_is_written_as_elsewhere() {
        let mut blocks = [
            Block::paragraph("A long-term lease and an overtime rate."),
            Block::heading(
                2,
                "The long\u{2}term over\u{2}time dam\u{2}age of a well\u{2}known self\u{2}ish co\u{2}op\u{2}er",
            ),
        ];
        resolve(&mut blocks);
        let BlockKind::Heading { text, .. } = &blocks[1].kind else { panic!("{blocks:?}") };
        assert_eq!(text[..], [Inline::text("The long-term overtime damage of a well-known selfish cooper")]);
    }

    #[test]
    fn a_division_at_the_end_of_a_text_joins() {
        let mut blocks = [Block::paragraph("dam\u{2}")];
        resolve(&mut blocks);
        assert_eq!(blocks, [Block::paragraph("dam")]);
    }
}
