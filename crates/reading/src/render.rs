//! Makes markdown of a document's blocks. Every reader's text goes through here, so all formats look alike.
//!
//! What a merged cell says stands in each place that it covers, column headings of several rows become one, and tables
//! that only set a page (one column, or headings within) become plain blocks.

mod inline;
mod table;

#[cfg(test)]
mod tests;

use domain::{
    document::{AsideKind, Block, BlockKind, Document, Inline, ListItem, PageBox},
    layout::{Layout, Place, count_lines},
    markdown,
    ports::page_marker,
};

/// Lists and quotations are indented down to this depth; what is nested more deeply stands at this one.
const MAX_DEPTH: usize = 16;

/// The document's markdown, [tidied](markdown::tidy).
pub fn tidy_markdown(document: &Document) -> String {
    laid_out(document).0
}

/// The same, with the places of its lines.
pub fn laid_out(document: &Document) -> (String, Layout) {
    let (mut out, mut layout) = (String::new(), Layout::default());
    for block in &document.blocks {
        match block.kind {
            // A document's text cannot make a page marker: only this line does.
            BlockKind::Page(number) => {
                let marker = page_marker(number);
                markdown::push_paragraphs(&mut out, &marker);
                layout.add_lines(&marker);
            }
            _ => {
                let mut writer = Writer::default();
                writer.block(&block.kind);
                let text = markdown::tidy(&writer.text);
                markdown::push_paragraphs(&mut out, &text);
                let first = layout.add_lines(&text);
                let lines = count_lines(&text);
                // Lines that look like page markers are gone from the text, so those behind are not where they were.
                let items = std::mem::take(&mut writer.items);
                if !items.is_empty() && count_lines(&writer.text) == lines {
                    items.into_iter().for_each(|item| layout.mark(Place { first: first + item.first, ..item }));
                } else {
                    block.boxes.iter().for_each(|place| layout.mark(Place { first, lines, place: *place }));
                }
            }
        }
    }
    if document.pages == 0 {
        return (out, Layout::default());
    }
    document.labels.iter().for_each(|(page, label)| layout.label(*page, label));
    (out, layout)
}

/// The words of a table's cell.
pub fn cell(text: &[Inline]) -> String {
    inline::paragraph(text).replace('\n', "<br>").replace('|', "\\|")
}

/// Writes blocks, each apart from the one before by a blank line.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
    /// Where the items of a list stand that is the whole text.
    items: Vec<Place>,
}

impl Writer {
    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.block(&block.kind);
        }
    }

    fn block(&mut self, kind: &BlockKind) {
        match kind {
            // Pages begin between blocks, never within one.
            BlockKind::Page(_) => {}
            BlockKind::Heading { level, text } => {
                let words = inline::on_one_line(text);
                if !words.is_empty() {
                    self.push(&format!("{} {words}", "#".repeat(usize::from((*level).clamp(1, 6)))));
                }
            }
            BlockKind::Paragraph(text) => self.push(&inline::paragraph(text)),
            BlockKind::List(items) => self.list(items),
            BlockKind::Table(table) => table::write(self, table),
            BlockKind::Code(text) => self.code(text),
            BlockKind::Formula(text) => self.push(&format!("$$\n{}\n$$", text.trim())),
            BlockKind::Quote(blocks) => self.quote("", blocks),
            BlockKind::Footnote { label, blocks } => {
                let text = self.nested(blocks, "    ");
                self.push(&format!("[^{}]: {}", inline::label(label), text.trim_start()));
            }
            BlockKind::Aside { kind, by, blocks } => self.aside(*kind, by, blocks),
            BlockKind::Markdown(text) => self.push(&markdown::tidy(text)),
            BlockKind::PictureFile { .. } => {}
            BlockKind::Picture(description) if description.trim().is_empty() => {}
            BlockKind::Picture(description) => {
                self.push(&inline::paragraph(&[Inline::text(format!("Picture: {}", description.trim()))]));
            }
        }
    }

    /// Adds `text` as a block of its own.
    fn push(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text.trim_end());
    }

    fn code(&mut self, text: &str) {
        let text = text.trim_matches('\n');
        if text.trim().is_empty() {
            return;
        }
        let fence = "`".repeat(inline::longest_run(text, '`').max(2) + 1);
        self.push(&format!("{fence}\n{text}\n{fence}"));
    }

    fn list(&mut self, items: &[ListItem]) {
        let mut lines = String::new();
        let (mut line, mut places) = (0, Vec::new());
        for item in items {
            let marker = item.marker.as_deref().map(str::trim).filter(|marker| !marker.is_empty());
            let (bullet, label) = match marker {
                None => ("-", ""),
                Some(number) if is_list_number(number) => (number, ""),
                Some(label) => ("-", label),
            };
            let text = self.nested(&item.blocks, &" ".repeat(bullet.len() + 1));
            let text = text.trim_start();
            if text.is_empty() && label.is_empty() {
                continue;
            }
            let words = if label.is_empty() { text.to_owned() } else { format!("{label} {text}") };
            let written = format!("{bullet} {}\n", words.trim_end());
            let (first, count) = (line, count_lines(&written));
            line += count;
            places.extend(boxes_of(&item.blocks).map(|place| Place { first, lines: count, place }));
            lines.push_str(&written);
        }
        if self.text.is_empty() {
            self.items = places;
        }
        self.push(&lines);
    }

    /// The markdown of `blocks`, each line but the first behind `indent`. The blocks of one item stand close together.
    fn nested(&self, blocks: &[Block], indent: &str) -> String {
        let mut inner = Self { depth: self.depth + 1, ..Self::default() };
        inner.blocks(blocks);
        let indent = if inner.depth > MAX_DEPTH { "" } else { indent };
        let mut text = String::with_capacity(inner.text.len());
        let close = blocks.iter().skip(1).all(|block| matches!(block.kind, BlockKind::List(_)));
        for (at, line) in inner.text.lines().enumerate() {
            match line.is_empty() {
                true if close => continue,
                true => {}
                false if at > 0 => text.push_str(indent),
                false => {}
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// A quotation that begins with the words `lead`.
    fn quote(&mut self, lead: &str, blocks: &[Block]) {
        let inner = self.nested(blocks, "");
        if inner.trim().is_empty() {
            return;
        }
        let text = format!("{lead}{inner}");
        if self.depth >= MAX_DEPTH {
            return self.push(&text);
        }
        let lines: Vec<String> = text.trim_end().lines().map(|line| format!("> {line}")).collect();
        self.push(&lines.join("\n"));
    }

    fn aside(&mut self, kind: AsideKind, by: &str, blocks: &[Block]) {
        let name = match kind {
            AsideKind::SpeakerNotes => "Notes",
            AsideKind::Comment => "Comment",
            AsideKind::Annotation => "Annotation",
            AsideKind::Attachment => "Attachment",
        };
        let by = inline::on_one_line(&[Inline::text(by)]);
        let lead = if by.is_empty() { format!("{name}: ") } else { format!("{name} ({by}): ") };
        if kind == AsideKind::Attachment && blocks.is_empty() && !by.is_empty() {
            return self.push(&format!("> {name}: {by}"));
        }
        self.quote(&lead, blocks);
    }
}

/// The boxes of the blocks themselves, without those that stand in them.
fn boxes_of(blocks: &[Block]) -> impl Iterator<Item = PageBox> {
    blocks.iter().flat_map(|block| block.boxes.iter().copied())
}

/// Whether markdown takes `marker` as the number of a list item.
fn is_list_number(marker: &str) -> bool {
    let digits = marker.trim_end_matches(['.', ')']);
    marker.len() == digits.len() + 1 && (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}
