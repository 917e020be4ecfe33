//! Cuts markdown into passages that fit the embedding model, along the text's own structure.
//!
//! `source` takes the page markers out, `blocks` finds where the text may be cut, `tokens` how long each part is,
//! `leaves` where a part that is too long may be cut, `titles` what its headings are called, and `pack` fills the
//! chunks. No word is left out and none stands in two chunks, but for a table's head, which each chunk that begins
//! with a later row of the table repeats. A chunk that goes on inside a code block has no fence of its own.

mod blocks;
mod leaves;
mod pack;
mod source;
mod titles;
mod tokens;

#[cfg(test)]
mod tests;

use tokenizers::Tokenizer;

use self::{
    blocks::Outline,
    pack::{Packer, Piece, Sizes},
    source::Source,
    titles::Titles,
    tokens::{Meter, Ruler},
};
use crate::{
    domain::{Code, Failure},
    ports::{Chunk, Chunker},
};

/// No model reads fewer tokens than this.
const MIN_BUDGET: usize = 16;
/// A chunk below this part of the budget joins a neighbour: 63 tokens of 254.
const TINY_SHARE: usize = 4;

/// Cuts markdown by headings, paragraphs, items, rows, sentences, words.
pub struct MarkdownChunker {
    meter: Meter,
    sizes: Sizes,
}

impl MarkdownChunker {
    /// A chunker for the model that `tokenizer` belongs to. `max_tokens`: what it reads of one text, special
    /// tokens included.
    pub fn load(tokenizer: Tokenizer, max_tokens: usize) -> Self {
        let meter = Meter::new(tokenizer);
        let budget = max_tokens.saturating_sub(meter.special_tokens()).max(MIN_BUDGET);
        Self { meter, sizes: Sizes { budget, tiny: budget / TINY_SHARE } }
    }
}

impl Chunker for MarkdownChunker {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn chunk(&self, markdown: &str) -> Result<Vec<Chunk>, Failure> {
        let source = Source::new(markdown);
        if source.text.trim().is_empty() {
            let message = "The document has no text to search. If it is a scan, upload it with OCR; otherwise check that the file is the right one.";
            return Err(Failure::new(Code::TextEmpty, message));
        }
        let outline = Outline::parse(&source.text);
        let ruler = Ruler::new(&self.meter, &source.text)?;
        let titles = Titles::new(&outline.headings, &ruler, self.sizes.budget)?;
        let packer =
            Packer { text: &source.text, outline: &outline, ruler: &ruler, titles: &titles, sizes: self.sizes };
        let chunk = |piece: Piece| {
            let pages = source.pages(&piece.range);
            Chunk {
                text: packer.passage(&piece),
                heading: titles.joined(&piece.path),
                page_first: pages.map(|(first, _)| first),
                page_last: pages.map(|(_, last)| last),
                token_count: i32::try_from(piece.tokens).unwrap_or(i32::MAX),
            }
        };
        Ok(packer.pack()?.into_iter().map(chunk).collect())
    }
}
