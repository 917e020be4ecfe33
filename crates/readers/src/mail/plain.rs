//! A plain body: paragraphs with the author's line ends, and what is quoted.

use domain::document::{Block, BlockKind, Document, Inline};

/// How deep quotations are told apart.
const MAX_QUOTES: usize = 4;

/// The body as blocks. In a `flowed` one, lines that end with a blank go on in the next.
pub(super) fn body(text: &str, flowed: bool) -> Document {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    Document { blocks: blocks(&lines, flowed, 0), ..Document::default() }
}

fn blocks(lines: &[&str], flowed: bool, depth: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let quoted = |line: &&str| line.starts_with('>');
    for run in lines.chunk_by(|one, next| quoted(one) == quoted(next)) {
        if run.first().is_some_and(quoted) && depth < MAX_QUOTES {
            let inner: Vec<&str> = run
                .iter()
                .map(|line| line.get(1..).unwrap_or_default())
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            blocks.push(BlockKind::Quote(self::blocks(&inner, flowed, depth + 1)).into());
            continue;
        }
        for paragraph in run.split(|line| line.trim().is_empty()).filter(|lines| !lines.is_empty()) {
            blocks.push(BlockKind::Paragraph(words(paragraph, flowed)).into());
        }
    }
    blocks
}

fn words(lines: &[&str], flowed: bool) -> Vec<Inline> {
    let mut words = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let goes_on = flowed && line.ends_with(' ') && *line != "-- ";
        words.push(Inline::text(format!("{}{}", line.trim_end(), if goes_on { " " } else { "" })));
        if !goes_on && at + 1 < lines.len() {
            words.push(Inline::LineBreak);
        }
    }
    words
}
