//! Cuts markdown into chunks that fit the embedding model, along the structure of the text.
//!
//! Tokens are counted as all-MiniLM-L6-v2 counts them, for every model: so another model finds the chunks as they are, and a
//! chunk has the same size in every store. Longer chunks are worse to search even where a model could read them
//! (docs/performance.md).
//!
//! `source` removes the page markers, `blocks` finds where the text may be cut, `tokens` counts tokens, `leaves` finds cuts
//! inside a part that is too long, `titles` shortens the headings, and `pack` fills the chunks. Every word is in exactly one
//! chunk, except that a chunk which begins inside a table repeats the table's head. A chunk that continues a code block has
//! no opening fence. The same text always gives the same chunks.
//!
//! *Must not know:* files, the database, or anything of the model but how many tokens it reads.

mod blocks;
mod leaves;
mod pack;
mod source;
mod titles;
mod tokens;
mod vocabulary;

#[cfg(test)]
mod tests;

use tokenizers::Tokenizer;

use self::{
    blocks::Outline,
    pack::{Packer, Piece, Sizes},
    source::Source,
    titles::Titles,
    tokens::{Counter, TextTokens},
};
use domain::{
    Code, Failure,
    layout::Layout,
    ports::{Chunk, Chunker},
};

/// The most tokens of a chunk, including the two special ones: what all-MiniLM-L6-v2 reads.
const WINDOW: usize = 256;
/// The smallest budget of a chunk, in tokens.
const MIN_BUDGET: usize = 16;
/// A chunk smaller than this part of the budget is merged with a neighbour: 63 of 254 tokens.
const TINY_SHARE: usize = 4;

/// Cuts markdown at headings, paragraphs, items, rows, sentences and words, preferring the earlier ones.
pub struct MarkdownChunker {
    counter: Counter,
    sizes: Sizes,
}

impl MarkdownChunker {
    /// Makes a chunker for a model that reads at most `max_tokens` tokens of a text, including special tokens.
    ///
    /// # Errors
    ///
    /// `tokenizer_failed`, which the vocabulary in the program rules out.
    pub fn new(max_tokens: usize) -> Result<Self, Failure> {
        Ok(Self::with_tokenizer(vocabulary::tokenizer()?, max_tokens.min(WINDOW)))
    }

    fn with_tokenizer(tokenizer: Tokenizer, max_tokens: usize) -> Self {
        let counter = Counter::new(tokenizer);
        let budget = max_tokens.saturating_sub(counter.special_tokens()).max(MIN_BUDGET);
        Self { counter, sizes: Sizes { budget, tiny: budget / TINY_SHARE } }
    }
}

impl Chunker for MarkdownChunker {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn chunk(&self, markdown: &str, layout: &Layout) -> Result<Vec<Chunk>, Failure> {
        let source = Source::new(markdown, &layout.places(markdown));
        if source.text.trim().is_empty() {
            let message = "The document has no text to search. If it is a scan, upload it with OCR; otherwise check that the file is the right one.";
            return Err(Failure::new(Code::TextEmpty, message));
        }
        let outline = Outline::parse(&source.text);
        let tokens = TextTokens::new(&self.counter, &source.text)?;
        let titles = Titles::new(&outline.headings, &tokens, self.sizes.budget)?;
        let packer =
            Packer { text: &source.text, outline: &outline, tokens: &tokens, titles: &titles, sizes: self.sizes };
        let chunk = |piece: Piece| {
            let pages = source.pages(&piece.range);
            Chunk {
                text: packer.passage(&piece),
                heading: titles.joined(&piece.path),
                page_first: pages.map(|(first, _)| first),
                page_last: pages.map(|(_, last)| last),
                page_label: pages.and_then(|(first, _)| layout.label_of(u32::try_from(first).ok()?)).map(str::to_owned),
                boxes: source.boxes(&piece.range),
                token_count: i32::try_from(piece.tokens).unwrap_or(i32::MAX),
            }
        };
        Ok(packer.pack()?.into_iter().map(chunk).collect())
    }
}
